"""Whatever is packed comes out whole: every sequence once, at the places and with the weights it had."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from castalia.errors import DocumentError
from castalia.perception.packing import Batch, Packer, collate, concatenate, pack
from castalia.perception.sequence import ImageSpan, Sequence

LENGTH, PAD, PATCH, FRAME = 12, 0, 5, 7
LAYOUT = st.lists(st.tuples(st.sampled_from("tif"), st.integers(1, 4)), min_size=1, max_size=4)


@st.composite
def sequences(draw: st.DrawFn) -> Sequence:
    """Make a sequence of text (t), images (i) and sound (f) with weights of either sign, some of them zero."""
    kinds, images, spans = [], [], []
    for name, count in draw(LAYOUT):
        count = min(count, LENGTH - len(kinds))
        if name == "i" and count:
            spans.append(ImageSpan(len(kinds), len(kinds) + count, 16, 16))
        images += [len(spans) - 1 if name == "i" else -1] * count
        kinds += ["tif".index(name)] * count
    T, kinds_T = len(kinds), np.array(kinds, np.uint8)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    patches, frames = (kinds_T == 1).sum(), (kinds_T == 2).sum()
    return Sequence(
        kinds_T=kinds_T,
        tokens_T=rng.integers(1, 1000, T, dtype=np.int32),
        places_T3=rng.integers(0, 99, (T, 3), dtype=np.int32),
        images_T=np.array(images, np.int32),
        weights_T=rng.choice([0, 0, 1, -0.5, 2], T).astype(np.float32),
        patches_NP=rng.integers(-255, 256, (patches, PATCH), dtype=np.int16),
        frames_MF=rng.standard_normal((frames, FRAME)).astype(np.float32),
        spans=tuple(spans),
        logprobs_T=-rng.random(T, dtype=np.float32) if draw(st.booleans()) else None,
    )


MANY = st.lists(sequences(), min_size=1, max_size=12)


def dense(batch: Batch, values: np.ndarray, at: np.ndarray, empty: object) -> np.ndarray:
    """Spread `values` over all B·T positions, `empty` elsewhere; no position may be named twice."""
    assert len(set(at.tolist())) == len(at) == len(values)
    spread = np.full((batch.tokens_BT.size, *values.shape[1:]), empty, values.dtype)
    spread[at] = values
    return spread


def unpacked(batch: Batch) -> list[Sequence]:
    """Read the sequences back out of a batch, row by row."""
    is_patch, is_frame = (
        dense(batch, np.ones(len(at), bool), at, False) for at in (batch.patch_at_N, batch.frame_at_M)
    )
    patches, frames = (
        dense(batch, batch.patches_NP, batch.patch_at_N, 0),
        dense(batch, batch.frames_MF, batch.frame_at_M, np.nan),
    )
    weights, targets, logprobs = (
        dense(batch, values, batch.learn_at_L, 0) for values in (batch.weights_L, batch.targets_L, batch.logprobs_L)
    )
    documents, tokens, images = (a.ravel() for a in (batch.documents_BT, batch.tokens_BT, batch.images_BT))
    found = []
    for b in range(len(batch.tokens_BT)):
        image = 0
        for number in range(batch.documents_BT[b].max() + 1):
            at = b * batch.tokens_BT.shape[1] + np.flatnonzero(batch.documents_BT[b] == number)
            assert (np.diff(at) == 1).all(), "a document stands in one piece"
            assert (documents[at] == number).all()
            learned = np.flatnonzero(weights[at[:-1]])
            np.testing.assert_array_equal(targets[at[:-1]][learned], tokens[at[1:]][learned])
            assert weights[at[-1]] == 0, "the last position has nothing of its own to predict"
            own = np.where(images[at] >= 0, images[at] - image, -1)
            image = max(image, images[at].max() + 1)
            found.append(
                Sequence(
                    kinds_T=is_patch[at] * 1 + is_frame[at] * 2,
                    tokens_T=tokens[at],
                    places_T3=batch.places_BT3.reshape(-1, 3)[at],
                    images_T=own,
                    weights_T=np.concatenate(([0], weights[at[:-1]])),
                    patches_NP=patches[at[is_patch[at]]],
                    frames_MF=frames[at[is_frame[at]]],
                    logprobs_T=np.concatenate(([0], logprobs[at[:-1]])),
                )
            )
    return found


def assert_same(found: Sequence, given: Sequence) -> None:
    for name in ("kinds_T", "tokens_T", "places_T3", "images_T", "patches_NP", "frames_MF"):
        np.testing.assert_array_equal(getattr(found, name), getattr(given, name), name)
    # The first position cannot be predicted from anything, so its weight is not kept.
    np.testing.assert_array_equal(found.weights_T[1:], given.weights_T[1:])
    learned = np.flatnonzero(given.weights_T[1:]) + 1
    known = np.full(len(given), np.nan) if given.logprobs_T is None else given.logprobs_T
    np.testing.assert_array_equal(found.logprobs_T[learned], known[learned])


def text(count: int) -> Sequence:
    return Sequence(
        kinds_T=np.zeros(count, np.uint8),
        tokens_T=np.arange(1, count + 1, dtype=np.int32),
        places_T3=np.zeros((count, 3), np.int32),
        images_T=np.full(count, -1, np.int32),
        weights_T=np.ones(count, np.float32),
        patches_NP=np.zeros((0, PATCH), np.int16),
        frames_MF=np.zeros((0, FRAME), np.float32),
    )


def key(sequence: Sequence) -> tuple:
    return (tuple(sequence.tokens_T.tolist()), tuple(sequence.places_T3.ravel().tolist()))


@given(MANY, st.integers(1, 3))
def test_every_sequence_comes_out_whole_exactly_once(many: list[Sequence], rows: int) -> None:
    batches = list(pack(many, rows, LENGTH, PAD))
    found = [sequence for batch in batches for sequence in unpacked(batch)]
    for one, other in zip(sorted(found, key=key), sorted(many, key=key), strict=True):
        assert_same(one, other)
    assert sum(batch.documents for batch in batches) == len(many)
    assert sum(batch.positions for batch in batches) == sum(map(len, many))


@given(MANY, st.integers(1, 3))
def test_batches_have_the_size_asked_for_and_what_is_left_is_padding(many: list[Sequence], rows: int) -> None:
    for batch in pack(many, rows, LENGTH, PAD):
        assert batch.tokens_BT.shape == (rows, LENGTH)
        padding = batch.documents_BT < 0
        assert (batch.tokens_BT[padding] == PAD).all()
        assert (batch.places_BT3[padding] == 0).all()
        assert (batch.images_BT[padding] == -1).all()
        flat = padding.ravel()
        for at in (batch.patch_at_N, batch.frame_at_M, batch.learn_at_L, batch.learn_at_L + 1):
            assert not flat[at].any()
        assert (batch.weights_L != 0).all()


@given(MANY, st.integers(1, 3), st.integers(0, 3))
def test_a_batch_is_done_only_when_more_wait_than_may(many: list[Sequence], rows: int, waiting: int) -> None:
    packer, inside = Packer(rows, LENGTH, PAD, waiting), 0
    for sequence in many:
        waited = len(packer.waiting)
        fits = any(used + len(sequence) <= LENGTH for used in packer.used)
        batch = packer.add(sequence)
        assert (batch is not None) == (not fits and waited == waiting)
        inside += 1 - (batch.documents if batch is not None else 0)
        assert len(packer.sequences()) == inside
        assert len(packer.waiting) <= waiting


def test_what_is_left_after_a_batch_can_be_packed_anew_alike() -> None:
    """A resumed run depends on it: it hands the packer again what was in it, in the order it came."""
    rng = np.random.default_rng(0)
    many = [text(int(length)) for length in rng.integers(1, LENGTH + 1, 300)]
    packer = Packer(2, LENGTH, PAD, waiting=4)
    for sequence in many:
        before = [*packer.sequences(), sequence]
        if packer.add(sequence) is not None:
            left = set(map(id, packer.sequences()))
            again = Packer(2, LENGTH, PAD, waiting=4)
            assert not any(again.add(sequence) for sequence in many if id(sequence) in left)
            assert [list(map(id, row)) for row in again.filled] == [list(map(id, row)) for row in packer.filled]
            assert list(map(id, again.waiting)) == list(map(id, packer.waiting))
            assert len(left) < len(before)


@given(MANY, MANY)
def test_images_of_one_row_never_share_a_number(first: list[Sequence], second: list[Sequence]) -> None:
    batch = collate([first, second], LENGTH * 12, PAD)
    for row, given_row in zip(batch.images_BT, (first, second), strict=True):
        assert set(row.tolist()) - {-1} == set(range(sum(len(s.spans) for s in given_row)))


@given(st.lists(MANY, min_size=1, max_size=3))
def test_concatenated_batches_are_the_batch_of_all_their_rows(parts: list[list[Sequence]]) -> None:
    length = LENGTH * 12
    joined = concatenate([collate([many], length, PAD) for many in parts])
    whole = collate(parts, length, PAD)
    assert joined.documents == whole.documents
    for name, array in whole.arrays().items():
        np.testing.assert_array_equal(joined.arrays()[name], array, name)
        assert joined.arrays()[name].dtype == array.dtype


@given(sequences())
def test_a_sequence_without_weights_teaches_nothing(sequence: Sequence) -> None:
    batch = collate([[replace(sequence, weights_T=np.zeros(len(sequence), np.float32))]], LENGTH, PAD)
    assert [len(a) for a in (batch.learn_at_L, batch.targets_L, batch.weights_L, batch.logprobs_L)] == [0] * 4


def test_types_are_those_the_model_expects() -> None:
    text = Sequence(
        kinds_T=np.zeros(2, np.uint8),
        tokens_T=np.array([3, 4], np.int32),
        places_T3=np.zeros((2, 3), np.int32),
        images_T=np.full(2, -1, np.int32),
        weights_T=np.ones(2, np.float32),
        patches_NP=np.zeros((0, PATCH), np.int16),
        frames_MF=np.zeros((0, FRAME), np.float32),
    )
    arrays = collate([[text], []], 4, PAD).arrays()
    expected = dict.fromkeys(("frames_MF", "weights_L", "logprobs_L"), np.float32) | {"patches_NP": np.int16}
    for name, array in arrays.items():
        assert array.dtype == expected.get(name, np.int64), name
    assert arrays["patches_NP"].shape == (0, PATCH)
    assert arrays["learn_at_L"].tolist() == [0]
    assert arrays["targets_L"].tolist() == [4]
    assert np.isnan(arrays["logprobs_L"]).all()


def test_a_sequence_longer_than_a_row_is_refused_and_harms_nothing() -> None:
    packer = Packer(2, LENGTH, PAD)
    assert packer.flush() is None
    assert packer.add(text(LENGTH)) is None
    with pytest.raises(DocumentError, match="13 positions does not fit a row of 12"):
        packer.add(text(LENGTH + 1))
    batch = packer.flush()
    assert batch is not None
    assert batch.documents == 1
    assert packer.flush() is None
