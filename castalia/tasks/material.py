"""Real things that tasks are made of: handwriting, recorded clips, captioned pictures, passages of prose.

`castalia.data` reads them out of packages; task families only know these types. Every record says on which side of the
train/held-out border it stands, so that no family can mix them up.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Handwriting:
    """Handwritten digits: `pixels_NHW` uint8 ink on black (0 is empty), `labels_N` 0..9, `held_out_N` bool."""

    source: str
    pixels_NHW: np.ndarray
    labels_N: np.ndarray
    held_out_N: np.ndarray


@dataclass(frozen=True)
class Clip:
    """One recorded clip of human speech.

    `key` is its name inside the source (``digits/7``), `language` an ISO 639-1 code, `speaker` who speaks.
    `held_out` follows from a hash of the transcript. `load()` returns float32 samples at 16 kHz, silence trimmed.
    """

    source: str
    key: str
    transcript: str
    language: str
    speaker: str
    held_out: bool
    load: Callable[[], np.ndarray]


@dataclass(frozen=True)
class Picture:
    """One captioned picture: `names` are those accepted, best first; `load()` returns uint8 RGB [height, width, 3]."""

    source: str
    key: str
    names: tuple[str, ...]
    held_out: bool
    load: Callable[[], np.ndarray]


@dataclass(frozen=True)
class Passage:
    """A passage of prose: its `text`, and the `heading` it stands under. `held_out` follows from a hash of the text."""

    source: str
    key: str
    heading: str
    text: str
    held_out: bool
