"""Sequence: what the model reads, position by position. Batch: sequences packed into rows of equal length."""

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np


class Kind(IntEnum):
    """What one position holds."""

    TEXT = 0
    PATCH = 1
    FRAME = 2


@dataclass(frozen=True)
class ImageSpan:
    """Where one image stands: positions [start, stop) hold its patches; height and width are in pixels."""

    start: int
    stop: int
    height: int
    width: int


@dataclass(frozen=True, eq=False)
class Sequence:
    """One document as positions. T positions, N of them patches, M of them frames of sound.

    - ``kinds_T`` uint8: a `Kind` per position
    - ``tokens_T`` int32: the token id; for patches and frames the id of their placeholder token
    - ``places_T3`` int32: time, row, column; row and column are 0 outside images
    - ``images_T`` int32: which image of the sequence a patch belongs to, -1 elsewhere
    - ``weights_T`` float32: how much predicting this position's token is learned (0: not at all)
    - ``patches_NP`` int16: pixels of the patches less their image's background, in order of position; the first
      patch of an image is that background less mid-grey; P = patch_size² · 3
    - ``frames_MF`` float32: features of the frames, in order of position
    - ``logprobs_T`` float32 or None: the sampler's log-probabilities, for RL
    """

    kinds_T: np.ndarray
    tokens_T: np.ndarray
    places_T3: np.ndarray
    images_T: np.ndarray
    weights_T: np.ndarray
    patches_NP: np.ndarray
    frames_MF: np.ndarray
    spans: tuple[ImageSpan, ...] = field(default_factory=tuple)
    logprobs_T: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.tokens_T)

    def first(self, stop: int) -> "Sequence":
        """Return the first `stop` positions."""
        kinds_T = self.kinds_T[:stop]
        return Sequence(
            kinds_T=kinds_T,
            tokens_T=self.tokens_T[:stop],
            places_T3=self.places_T3[:stop],
            images_T=self.images_T[:stop],
            weights_T=self.weights_T[:stop],
            patches_NP=self.patches_NP[: int((kinds_T == Kind.PATCH).sum())],
            frames_MF=self.frames_MF[: int((kinds_T == Kind.FRAME).sum())],
            spans=tuple(span for span in self.spans if span.stop <= stop),
            logprobs_T=None if self.logprobs_T is None else self.logprobs_T[:stop],
        )

    def whole_answers(self, length: int, end: int) -> "Sequence | None":
        """Return the sequence up to its last learned answer that ends, with token `end`, within `length` positions.

        All of it if it fits; None if no answer does: half an answer is never learned.
        """
        if len(self) <= length:
            return self
        ends = np.flatnonzero((self.tokens_T[:length] == end) & (self.weights_T[:length] != 0))
        return self.first(int(ends[-1]) + 1) if len(ends) else None
