"""Pictures and sounds of people's own documents, each kept once under its checksum, in shards of safetensors."""

import hashlib
import io
import json
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from PIL import Image as pillow

from castalia.data.store import to_float, to_int16
from castalia.document import Image, Speech
from castalia.errors import DataError

SHARDS, WHERE = "media", "media.json"
SHARD_BYTES = 64 << 20
"""A shard is closed when it holds this much."""


class MediaWriter:
    """Takes pictures and sounds, returns the name each is kept under; the same content has the same name."""

    def __init__(self, directory: Path) -> None:
        """Write into `directory`; the last shard is written when the context is left."""
        self.directory = directory
        self.images = self.sounds = 0
        self._shard_of: dict[str, int] = {}
        self._open: dict[str, np.ndarray] = {}
        self._shards = 0

    def add_image(self, image: Image) -> str:
        """Keep a picture, without loss, as PNG."""
        name = _name(image.pixels_HWC)
        if name not in self._shard_of:
            self._add(name, np.frombuffer(image.png(), np.uint8))
            self.images += 1
        return name

    def add_speech(self, speech: Speech) -> str:
        """Keep a sound as 16-bit samples."""
        samples = to_int16(speech.samples)
        name = _name(samples)
        if name not in self._shard_of:
            self._add(name, samples)
            self.sounds += 1
        return name

    def __enter__(self) -> "MediaWriter":
        (self.directory / SHARDS).mkdir(parents=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._close_shard()
            (self.directory / WHERE).write_text(json.dumps(self._shard_of))

    def _add(self, name: str, array: np.ndarray) -> None:
        self._open[name] = array
        self._shard_of[name] = self._shards
        if sum(kept.nbytes for kept in self._open.values()) >= SHARD_BYTES:
            self._close_shard()

    def _close_shard(self) -> None:
        if self._open:
            safetensors.numpy.save_file(self._open, _shard(self.directory, self._shards))
            self._open = {}
            self._shards += 1


class MediaReader:
    """Returns pictures and sounds by name; shards are mapped into memory when first used, in each process anew."""

    def __init__(self, directory: Path) -> None:
        """Raises DataError if the directory holds none."""
        self.directory = directory
        try:
            self._shard_of: dict[str, int] = json.loads((directory / WHERE).read_text())
        except (OSError, ValueError) as error:
            raise DataError(f"{directory / WHERE} cannot be read: run `castalia data build` again") from error
        self._shards: dict[int, Any] = {}

    def image(self, name: str) -> Image:
        """Return a picture."""
        with pillow.open(io.BytesIO(self._array(name).tobytes())) as picture:
            return Image(np.array(picture.convert("RGB")))

    def speech(self, name: str, synthetic: bool = False) -> Speech:
        """Return a sound."""
        return Speech(to_float(self._array(name)), synthetic)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_shards": {}}

    def _array(self, name: str) -> np.ndarray:
        number = self._shard_of[name]
        if number not in self._shards:
            try:
                self._shards[number] = safetensors.safe_open(_shard(self.directory, number), "numpy")
            except (OSError, safetensors.SafetensorError) as error:
                raise DataError(f"{_shard(self.directory, number)} cannot be read: {error}") from error
        return self._shards[number].get_tensor(name)


def _name(array: np.ndarray) -> str:
    digest = hashlib.sha256(f"{array.dtype}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:32]


def _shard(directory: Path, number: int) -> Path:
    return directory / SHARDS / f"{number:05}.safetensors"
