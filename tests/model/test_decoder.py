"""What a position may know of others, and what every switch does."""

import dataclasses
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from castalia.model.config import ModelConfig
from castalia.model.decoder import Decoder, ModelInput
from castalia.perception.packing import collate
from castalia.perception.sequence import Sequence

MakeDecoder = Callable[[ModelConfig], Decoder]
MakeSequence = Callable[..., Sequence]
Logits = Callable[..., torch.Tensor]

SHAPE = {"vocab_size", "patch_values", "frame_values", "width", "layers", "heads"}
LAYOUTS = st.lists(st.tuples(st.sampled_from(["text", "image", "sound"]), st.integers(1, 5)), min_size=1, max_size=5)


def changed(sequence: Sequence, position: int) -> Sequence:
    """Return `sequence` with another token, patch or frame at `position`."""
    kind = sequence.kinds_T[position]
    if kind == 0:
        tokens_T = sequence.tokens_T.copy()
        tokens_T[position] = 3 + (tokens_T[position] - 2) % 47
        return replace(sequence, tokens_T=tokens_T)
    name = {1: "patches_NP", 2: "frames_MF"}[int(kind)]
    values = getattr(sequence, name).copy()
    index = (sequence.kinds_T[:position] == kind).sum()
    values[index] = 255 - values[index] if kind == 1 else -values[index]
    return replace(sequence, **{name: values})


def first_to_know(sequence: Sequence, position: int) -> int:
    """Return the first position that may see `position`: itself, or the beginning of its image."""
    image = sequence.images_T[position]
    return position if image < 0 else int(np.flatnonzero(sequence.images_T == image)[0])


@settings(max_examples=60)
@given(LAYOUTS, st.data())
def test_a_changed_position_changes_no_logits_before_it_and_always_its_own(
    small: ModelConfig, decoder: MakeDecoder, sequence: MakeSequence, logits: Logits, layout: list, data: st.DataObject
) -> None:
    before = sequence(7, *layout)
    position = data.draw(st.integers(0, len(before) - 1))
    model = decoder(small)
    old, new = (logits(model, [[s]])[0] for s in (before, changed(before, position)))
    start = first_to_know(before, position)
    torch.testing.assert_close(new[:start], old[:start], rtol=0, atol=1e-5)
    assert not torch.allclose(new[position], old[position], rtol=0, atol=1e-3)


@pytest.mark.parametrize("bidirectional", [True, False])
def test_patches_see_later_patches_of_their_own_image_only(
    small: ModelConfig, decoder: MakeDecoder, sequence: MakeSequence, logits: Logits, bidirectional: bool
) -> None:
    two = sequence(1, ("text", 2), ("image", 6), ("image", 6))
    model = decoder(replace(small, bidirectional_images=bidirectional))
    old = logits(model, [[two]])[0]
    moved = (logits(model, [[changed(two, 7)]])[0] - old).abs().amax(-1) > 1e-3
    assert moved[2:7].all() if bidirectional else not moved[2:7].any()
    assert not moved[:2].any()
    assert moved[7:].all()
    later = (logits(model, [[changed(two, 13)]])[0] - old).abs().amax(-1) > 1e-3
    assert not later[:8].any()


def test_documents_in_one_row_do_not_know_of_each_other(
    small: ModelConfig, settings: dict, decoder: MakeDecoder, sequence: MakeSequence, logits: Logits
) -> None:
    model = decoder(replace(small, **settings))
    documents = [
        sequence(1, ("text", 5), ("image", 5), ("text", 3)),
        sequence(2, ("image", 3), ("sound", 4), ("text", 4)),
        sequence(3, ("text", 1)),
        sequence(4, ("sound", 2), ("image", 2), ("image", 3), ("text", 6)),
    ]
    together = logits(model, [documents[:3], documents[3:]], 48)
    starts = [(0, 0), (0, 13), (0, 24), (1, 0)]
    for document, (row, start) in zip(documents, starts, strict=True):
        alone = logits(model, [[document]])[0]
        torch.testing.assert_close(together[row, start : start + len(document)], alone, rtol=0, atol=1e-4)


def test_padding_changes_nothing(
    small: ModelConfig, settings: dict, decoder: MakeDecoder, sequence: MakeSequence, logits: Logits
) -> None:
    model = decoder(replace(small, **settings))
    short, long = sequence(5, ("text", 4), ("image", 3), ("text", 2)), sequence(6, ("text", 12))
    bare = logits(model, [[short]])[0]
    for padded in (logits(model, [[short]], 30, pad=0), logits(model, [[short], [long]], pad=9)):
        torch.testing.assert_close(padded[0, : len(short)], bare, rtol=0, atol=1e-5)
        assert padded.isfinite().all()


def test_logits_at_chosen_positions_are_those_of_all(
    small: ModelConfig, decoder: MakeDecoder, sequence: MakeSequence
) -> None:
    model = decoder(small)
    batch = ModelInput.of(collate([[sequence(1, ("text", 6))], [sequence(2, ("text", 4))]], 8, 0))
    at_M = torch.tensor([1, 5, 11])
    torch.testing.assert_close(model(batch, at_M), model(batch)[at_M], rtol=0, atol=1e-6)


def test_every_switch_of_the_configuration_is_tried(switches: dict[str, dict]) -> None:
    names = {field.name for field in dataclasses.fields(ModelConfig)}
    assert names - SHAPE - {"zero_init"} == set(switches)


def test_every_switch_changes_the_logits(
    small: ModelConfig, settings: dict, decoder: MakeDecoder, sequence: MakeSequence, logits: Logits
) -> None:
    document = sequence(1, ("text", 8), ("image", 6), ("sound", 4), ("text", 8))
    as_it_is, turned = (logits(decoder(c), [[document]]) for c in (small, replace(small, **settings)))
    assert torch.equal(as_it_is, turned) == (not settings)


def test_every_switch_works_in_bf16(
    small: ModelConfig, settings: dict, decoder: MakeDecoder, sequence: MakeSequence, logits: Logits
) -> None:
    model, document = decoder(replace(small, **settings)), sequence(1, ("text", 8), ("image", 6), ("sound", 4))
    with torch.autocast("cpu", torch.bfloat16):
        rough = logits(model, [[document]])
    assert (rough.float() - logits(model, [[document]])).abs().mean() < 0.05


@pytest.mark.parametrize("name", ["experts_per_token", "shared_expert"])
def test_switches_of_the_experts_change_what_experts_do(
    small: ModelConfig, switches: dict, name: str, decoder: MakeDecoder, sequence: MakeSequence, logits: Logits
) -> None:
    document = sequence(1, ("text", 8))
    experts = replace(small, **switches["experts"])
    turned = replace(small, **switches[name])
    assert not torch.allclose(logits(decoder(experts), [[document]]), logits(decoder(turned), [[document]]))


def test_softcapped_logits_stay_below_the_cap(
    small: ModelConfig, decoder: MakeDecoder, sequence: MakeSequence, logits: Logits
) -> None:
    document = sequence(1, ("text", 30))
    free = logits(decoder(replace(small, softcap=0.0)), [[document]])
    capped = logits(decoder(replace(small, softcap=1.0)), [[document]])
    assert free.abs().max() > 1 > capped.abs().max()
    torch.testing.assert_close(capped, torch.tanh(free))


def test_a_zero_initialised_model_starts_with_an_even_guess_and_another_does_not(
    small: ModelConfig, sequence: MakeSequence, logits: Logits
) -> None:
    document = sequence(1, ("text", 5), ("image", 3))
    assert not logits(Decoder(small).initialise(0), [[document]]).any()
    assert logits(Decoder(replace(small, zero_init=False)).initialise(0), [[document]]).any()


def test_one_seed_makes_one_model_and_another_seed_another(small: ModelConfig) -> None:
    first, again, other = (Decoder(small).initialise(seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["embedding.weight"], other["embedding.weight"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 30}, "width 30 must be heads 4"),
        ({"heads": 5}, "width 32 must be heads 5"),
        ({"width": 48}, "multiple of 8"),
        ({"kv_heads": 3}, "heads 4 must be a multiple of kv_heads 3"),
        ({"experts": 2, "experts_per_token": 3}, "experts_per_token 3"),
        ({"layers": 0}, "layers"),
        ({"global_every": 0}, "global_every"),
        ({"window": -1}, "window"),
    ],
)
def test_impossible_shapes_are_refused_by_name(small: ModelConfig, settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(small, **settings)


def test_patches_frames_and_tokens_of_another_size_are_refused(
    small: ModelConfig, decoder: MakeDecoder, sequence: MakeSequence
) -> None:
    batch = ModelInput.of(collate([[sequence(1, ("image", 4), ("sound", 3), ("text", 2))]], 9, 0))
    model = decoder(small)
    assert model(batch).shape == (9, small.vocab_size)
    for wrong in (
        replace(batch, patches_NP=batch.patches_NP[:, :-1]),
        replace(batch, frames_MF=batch.frames_MF[:, :-1]),
        replace(batch, tokens_BT=batch.tokens_BT + small.vocab_size),
        replace(batch, documents_BT=batch.documents_BT[:, :-1]),
        replace(batch, places_BT3=batch.places_BT3[:, :-1]),
    ):
        with pytest.raises((RuntimeError, IndexError)):
            model(wrong)
