"""Sequences -> Batch: several documents side by side in one row, without attention between them."""

from collections.abc import Iterable
from collections.abc import Sequence as Many
from dataclasses import dataclass, fields

import numpy as np

from castalia.errors import DocumentError
from castalia.perception.sequence import Kind, Sequence


@dataclass(frozen=True, eq=False)
class Batch:
    """B rows of T positions; N patches and M frames among them; L positions are learned.

    - ``tokens_BT`` int64, ``places_BT3`` int64
    - ``documents_BT`` int64: which document of the row a position belongs to, -1 on padding
    - ``images_BT`` int64: which image of the row, -1 elsewhere
    - ``patches_NP`` int16 relative pixels, ``patch_at_N`` int64 flat positions in B·T; ``frames_MF``, ``frame_at_M``
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

    @property
    def pairs(self) -> int:
        """Pairs of patches of one picture: the sum over pictures of their squared numbers."""
        T = self.tokens_BT.shape[1]
        pictures_N = self.patch_at_N // T * T + self.images_BT.flat[self.patch_at_N]
        return int((np.unique(pictures_N, return_counts=True)[1] ** 2).sum())


class Packer:
    """Fills rows of `length` positions with whole sequences, each into the fullest row that it fits.

    A sequence that fits nowhere waits for the next batch, while shorter ones still find room in this one; when more
    than `waiting` of them wait, the batch is done. Rows are thus nearly full, and no sequence waits for long.
    """

    def __init__(self, rows: int, length: int, pad: int, waiting: int = 24) -> None:
        self.rows, self.length, self.pad, self.most_waiting = rows, length, pad, waiting
        self.waiting: list[Sequence] = []
        self._clear()

    def _clear(self) -> None:
        self.filled: list[list[Sequence]] = [[] for _ in range(self.rows)]
        self.used = [0] * self.rows

    def add(self, sequence: Sequence) -> Batch | None:
        """Place one sequence; return a batch when it is done.

        Raises DocumentError if the sequence is longer than a row.
        """
        if len(sequence) > self.length:
            raise DocumentError(f"a document of {len(sequence)} positions does not fit a row of {self.length}")
        if not self._place(sequence):
            self.waiting.append(sequence)
        return self.flush() if len(self.waiting) > self.most_waiting else None

    def flush(self) -> Batch | None:
        """Return what is in the rows, full or not, as a batch, and let in what waited; None if nothing is there."""
        if not any(self.filled):
            return None
        batch = collate(self.filled, self.length, self.pad)
        self._clear()
        self.waiting = [sequence for sequence in self.waiting if not self._place(sequence)]
        return batch

    def sequences(self) -> list[Sequence]:
        """Return what was added and is in no batch yet."""
        return [sequence for row in self.filled for sequence in row] + self.waiting

    def _place(self, sequence: Sequence) -> bool:
        fitting = [row for row in range(self.rows) if self.used[row] + len(sequence) <= self.length]
        if fitting:
            row = max(fitting, key=self.used.__getitem__)
            self.filled[row].append(sequence)
            self.used[row] += len(sequence)
        return bool(fitting)


def pack(sequences: Iterable[Sequence], rows: int, length: int, pad: int) -> Iterable[Batch]:
    """Yield batches of `rows` × `length` positions holding all `sequences`."""
    packer = Packer(rows, length, pad)
    for sequence in sequences:
        if (batch := packer.add(sequence)) is not None:
            yield batch
    while (batch := packer.flush()) is not None:
        yield batch


def collate(rows: Many[Many[Sequence]], length: int, pad: int) -> Batch:
    """Lay out `rows` of sequences as one batch; what is left of each row is padding.

    All sequences are joined to S positions first; ``at_S`` says where in B·T each of them stands.
    """
    B = len(rows)
    sequences = [sequence for row in rows for sequence in row]
    firsts, numbers, images_before = [], [], []
    for b, row in enumerate(rows):
        filled = image = 0
        for number, sequence in enumerate(row):
            firsts.append(b * length + filled)
            numbers.append(number)
            images_before.append(image)
            filled += len(sequence)
            image += len(sequence.spans)
    lengths = np.array([len(sequence) for sequence in sequences])
    starts = np.cumsum(lengths) - lengths  # where each sequence begins among the S positions
    at_S = np.arange(lengths.sum()) + np.repeat(np.array(firsts) - starts, lengths)
    kinds_S = np.concatenate([sequence.kinds_T for sequence in sequences])
    tokens_S = np.concatenate([sequence.tokens_T for sequence in sequences])
    images_S = np.concatenate([sequence.images_T for sequence in sequences])
    weights_S = np.concatenate([sequence.weights_T for sequence in sequences])
    is_learned_S = weights_S != 0
    is_learned_S[starts[lengths > 0]] = False  # nothing stands before the first position that could predict it
    tokens_BT = np.full((B, length), pad, np.int64)
    places_BT3 = np.zeros((B, length, 3), np.int64)
    documents_BT, images_BT = np.full((B, length), -1, np.int64), np.full((B, length), -1, np.int64)
    tokens_BT.flat[at_S] = tokens_S
    places_BT3.reshape(-1, 3)[at_S] = np.concatenate([sequence.places_T3 for sequence in sequences])
    documents_BT.flat[at_S] = np.repeat(numbers, lengths)
    images_BT.flat[at_S] = np.where(images_S >= 0, images_S + np.repeat(images_before, lengths), -1)
    return Batch(
        tokens_BT=tokens_BT,
        places_BT3=places_BT3,
        documents_BT=documents_BT,
        images_BT=images_BT,
        patches_NP=np.concatenate([sequence.patches_NP for sequence in sequences]),
        patch_at_N=at_S[kinds_S == Kind.PATCH],
        frames_MF=np.concatenate([sequence.frames_MF for sequence in sequences]).astype(np.float32),
        frame_at_M=at_S[kinds_S == Kind.FRAME],
        learn_at_L=at_S[is_learned_S] - 1,
        targets_L=tokens_S[is_learned_S].astype(np.int64),
        weights_L=weights_S[is_learned_S].astype(np.float32),
        logprobs_L=np.concatenate([_logprobs(sequence) for sequence in sequences])[is_learned_S],
        documents=len(sequences),
    )


def _logprobs(sequence: Sequence) -> np.ndarray:
    known = sequence.logprobs_T
    return np.full(len(sequence), np.nan, np.float32) if known is None else known.astype(np.float32)


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
