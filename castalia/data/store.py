"""Arrays of unequal shapes in one memory-mapped file, with what is known of each: read in any process at once."""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

VALUES, INDEX = "values.npy", "index.json"


@dataclass(frozen=True)
class Stored:
    """Loads one array of a store; small, and can be sent to other processes. Called, it returns the array."""

    directory: Path
    start: int
    shape: tuple[int, ...]

    def __call__(self) -> np.ndarray:
        """Return the array: sound as float32 [samples] in [-1, 1], pictures as uint8 RGB [height, width, 3]."""
        flat = values(self.directory)[self.start : self.start + int(np.prod(self.shape))]
        if flat.dtype == np.int16:
            return to_float(flat)
        pixels = np.array(flat).reshape(self.shape)
        return np.repeat(pixels[:, :, None], 3, axis=2) if pixels.ndim == 2 else pixels


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Return float samples in [-1, 1] as int16; what was recorded in 16 bits stays exactly what it was."""
    return np.clip(np.rint(samples * np.float32(32768)), -32768, 32767).astype(np.int16)


def to_float(samples: np.ndarray) -> np.ndarray:
    """Return int16 samples as float32 in [-1, 1]."""
    return samples.astype(np.float32) / np.float32(32768)


def write(directory: Path, items: list[tuple[np.ndarray, dict[str, Any]]]) -> None:
    """Write arrays of one dtype (int16 samples or uint8 pixels), each with a JSON record of what it is."""
    arrays = [array for array, _ in items]
    dtype = arrays[0].dtype if arrays else np.dtype(np.uint8)
    np.save(directory / VALUES, np.concatenate([a.ravel() for a in arrays]) if arrays else np.zeros(0, dtype))
    index, start = [], 0
    for array, record in items:
        index.append(record | {"start": start, "shape": list(array.shape)})
        start += array.size
    (directory / INDEX).write_text(json.dumps(index, ensure_ascii=False))


def read(directory: Path) -> list[tuple[Stored, dict[str, Any]]]:
    """Return every array's loader and record, in the order written."""
    records = json.loads((directory / INDEX).read_text())
    return [(Stored(directory, r.pop("start"), tuple(r.pop("shape"))), r) for r in records]


@lru_cache(maxsize=32)
def values(directory: Path) -> np.ndarray:
    """Return all values of a store, flat, memory-mapped: nothing is read before it is used."""
    return np.load(directory / VALUES, mmap_mode="r")
