"""Document and Part: what is said, by whom, and what of it is learned.

A `Document` is what people and programs say, before perception cuts it into positions. Everything upstream of the
model (tasks, data, actions, the API) makes documents; everything downstream handles `perception.Sequence`.
"""

import io
import wave
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from PIL import Image as pillow

SAMPLE_RATE = 16_000
"""Samples a second of every `Speech`: 16 kHz, mono."""

Author = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, eq=False)
class Image:
    """A picture: `pixels_HWC` is uint8 RGB of shape [height, width, 3].

    `since` is the same picture as it was seen last, before something was drawn into it: then only what has changed is
    looked at again.
    """

    pixels_HWC: np.ndarray
    since: "Image | None" = None

    def __post_init__(self) -> None:
        shape = self.pixels_HWC.shape
        if self.pixels_HWC.dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
            raise ValueError(f"an image is uint8 [height, width, 3] and not empty, got {self.pixels_HWC.dtype} {shape}")
        if self.since is not None and self.since.pixels_HWC.shape != shape:
            raise ValueError(f"a picture of {shape} cannot have been one of {self.since.pixels_HWC.shape} before")

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return self.pixels_HWC.shape[0]

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return self.pixels_HWC.shape[1]

    def png(self) -> bytes:
        """Return it as a PNG file."""
        file = io.BytesIO()
        # Compressing harder takes ten times as long and saves a few per cent.
        pillow.fromarray(self.pixels_HWC).save(file, "PNG", compress_level=3)
        return file.getvalue()


@dataclass(frozen=True, eq=False)
class Speech:
    """A sound: `samples` is float32 in [-1, 1], mono, at `SAMPLE_RATE`. `synthetic` labels voices made by machine."""

    samples: np.ndarray
    synthetic: bool = False

    def __post_init__(self) -> None:
        if self.samples.dtype != np.float32 or self.samples.ndim != 1:
            raise ValueError(f"speech is float32 [samples], got {self.samples.dtype} {self.samples.shape}")

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.samples) / SAMPLE_RATE

    def wav(self) -> bytes:
        """Return it as a WAV file of 16 bits a sample."""
        file = io.BytesIO()
        with wave.open(file, "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(SAMPLE_RATE)
            out.writeframes((self.samples.clip(-1, 1) * 32767).astype("<i2").tobytes())
        return file.getvalue()


@dataclass(frozen=True)
class Call:
    """An action as it is written: its name and its arguments as JSON text."""

    name: str
    arguments: str = "{}"


Content = str | Image | Speech | Call


@dataclass(frozen=True)
class Part:
    """One thing said: text, an image, speech, or a call.

    `author` says who said it; `learned` whether the model is taught to say it; `thought` whether it belongs to the
    assistant's thinking rather than to its answer; `spelled` whether a text is taken letter by letter, as one writes a
    word that was spelled to one, known or not. `call`, where it is known, is the number of a call in its conversation,
    and at what a tool says the number of the call that it answers; no model sees it.
    """

    content: Content
    author: Author = "user"
    learned: bool = False
    thought: bool = False
    spelled: bool = False
    call: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Document:
    """An ordered list of parts."""

    parts: tuple[Part, ...] = field(default_factory=tuple)

    def __iter__(self) -> Iterator[Part]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)

    def __add__(self, other: "Document") -> "Document":
        return Document(self.parts + other.parts)

    def text(self, *, thoughts: bool = False) -> str:
        """Return the text parts joined by spaces; the assistant's thoughts only if `thoughts`."""
        return " ".join(p.content for p in self.parts if isinstance(p.content, str) and (thoughts or not p.thought))

    def unlearned(self) -> "Document":
        """Return the same document with nothing marked as learned."""
        return Document(tuple(replace(part, learned=False) for part in self.parts))
