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
    - ``patches_NP`` uint8: pixels of the patches, in order of position; P = patch_size² · 3
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
