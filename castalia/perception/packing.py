"""Sequences -> Batch: several documents side by side in one row, without attention between them."""

from collections.abc import Iterable, Sequence as Many
from dataclasses import dataclass, fields

import numpy as np

from castalia.errors import DocumentError
from castalia.perception.sequence import Sequence

PATCH_MEAN, PATCH_SCALE = 127.5, 73.0
"""Pixels are centred and scaled by these constants before they enter the model."""


@dataclass(frozen=True, eq=False)
class Batch:
    """B rows of T positions; N patches and M frames among them; L positions are learned.

    - ``tokens_BT`` int64, ``places_BT3`` int64
    - ``documents_BT`` int64: which document of the row a position belongs to, -1 on padding
    - ``images_BT`` int64: which image of the row, -1 elsewhere
    - ``patches_NP`` float32 centred pixels, ``patch_at_N`` int64 flat positions in B·T; ``frames_MF``, ``frame_at_M``
    - ``learn_at_L`` int64: flat positions whose *next* token is learned; ``targets_L`` int64 that token;
      ``weights_L`` float32 its weight; ``logprobs_L`` float32 the sampler's log-probability, NaN where unknown
    - ``documents``: how many documents the batch holds
    """

    tokens_BT: np.ndarray
    places_BT3: np.ndarray
    documents_BT: np.ndarray
    images_BT: np.ndarray
    patches_NP: np.ndarray
    patch_at_N: np.ndarray
    frames_MF: np.ndarray
    frame_at_M: np.ndarray
    learn_at_L: np.ndarray
    targets_L: np.ndarray
    weights_L: np.ndarray
    logprobs_L: np.ndarray
    documents: int

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "documents"}

    @property
    def positions(self) -> int:
        """Positions that hold something."""
        return int((self.documents_BT >= 0).sum())


class Packer:
    """Fills rows of `length` positions with whole sequences, first row that fits first, until `rows` are full."""

    def __init__(self, rows: int, length: int, pad: int) -> None:
        self.rows, self.length, self.pad = rows, length, pad
        self._clear()

    def _clear(self) -> None:
        self.filled: list[list[Sequence]] = [[] for _ in range(self.rows)]
        self.used = [0] * self.rows

    def add(self, sequence: Sequence) -> Batch | None:
        """Place one sequence; return a batch once a sequence no longer fits (it then opens the next batch).

        Raises DocumentError if the sequence is longer than a row.
        """
        if len(sequence) > self.length:
            raise DocumentError(f"a document of {len(sequence)} positions does not fit a row of {self.length}")
        if self._place(sequence):
            return None
        batch = collate(self.filled, self.length, self.pad)
        self._clear()
        self._place(sequence)
        return batch

    def _place(self, sequence: Sequence) -> bool:
        for row in range(self.rows):
            if self.used[row] + len(sequence) <= self.length:
                self.filled[row].append(sequence)
                self.used[row] += len(sequence)
                return True
        return False

    def flush(self) -> Batch | None:
        """Return what is left as a last batch, or None."""
        if not any(self.filled):
            return None
        batch = collate(self.filled, self.length, self.pad)
        self._clear()
        return batch


def pack(sequences: Iterable[Sequence], rows: int, length: int, pad: int) -> Iterable[Batch]:
    """Yield batches of `rows` × `length` positions holding all `sequences`."""
    packer = Packer(rows, length, pad)
    for sequence in sequences:
        if (batch := packer.add(sequence)) is not None:
            yield batch
    if (batch := packer.flush()) is not None:
        yield batch


def collate(rows: Many[Many[Sequence]], length: int, pad: int) -> Batch:
    """Lay out `rows` of sequences as one batch; what is left of each row is padding."""
    B = len(rows)
    tokens = np.full((B, length), pad, np.int64)
    places = np.zeros((B, length, 3), np.int64)
    documents = np.full((B, length), -1, np.int64)
    images = np.full((B, length), -1, np.int64)
    patch_at, frame_at, patches, frames = [], [], [], []
    learn_at, targets, weights, logprobs = [], [], [], []
    for b, row in enumerate(rows):
        start = image = 0
        for index, sequence in enumerate(row):
            T = len(sequence)
            span = slice(start, start + T)
            tokens[b, span], places[b, span], documents[b, span] = sequence.tokens_T, sequence.places_T3, index
            images[b, span] = np.where(sequence.images_T >= 0, sequence.images_T + image, -1)
            image += len(sequence.spans)
            flat = b * length + start
            patch_at.append(flat + np.flatnonzero(sequence.kinds_T == 1))
            frame_at.append(flat + np.flatnonzero(sequence.kinds_T == 2))
            patches.append(sequence.patches_NP)
            frames.append(sequence.frames_MF)
            learned = np.flatnonzero(sequence.weights_T[1:])
            learn_at.append(flat + learned)
            targets.append(sequence.tokens_T[learned + 1])
            weights.append(sequence.weights_T[learned + 1])
            known = sequence.logprobs_T
            logprobs.append(np.full(len(learned), np.nan) if known is None else known[learned + 1])
            start += T
    centred = (np.concatenate(patches).astype(np.float32) - PATCH_MEAN) / PATCH_SCALE
    return Batch(
        tokens_BT=tokens,
        places_BT3=places,
        documents_BT=documents,
        images_BT=images,
        patches_NP=centred,
        patch_at_N=np.concatenate(patch_at).astype(np.int64),
        frames_MF=np.concatenate(frames).astype(np.float32),
        frame_at_M=np.concatenate(frame_at).astype(np.int64),
        learn_at_L=np.concatenate(learn_at).astype(np.int64),
        targets_L=np.concatenate(targets).astype(np.int64),
        weights_L=np.concatenate(weights).astype(np.float32),
        logprobs_L=np.concatenate(logprobs).astype(np.float32),
        documents=sum(len(row) for row in rows),
    )


def concatenate(batches: Many[Batch]) -> Batch:
    """Put batches of equal length under each other."""
    if len(batches) == 1:
        return batches[0]
    joined: dict[str, list[np.ndarray]] = {name: [] for name in batches[0].arrays()}
    offset = 0
    for batch in batches:
        for name, array in batch.arrays().items():
            joined[name].append(array + offset if "_at_" in name else array)
        offset += batch.tokens_BT.size
    arrays = {name: np.concatenate(parts) for name, parts in joined.items()}
    return Batch(**arrays, documents=sum(batch.documents for batch in batches))
