"""Handwritten digits: scikit-learn's (8 × 8) and MNIST's (28 × 28)."""

import gzip
import json
import zlib
from pathlib import Path

import numpy as np

from castalia.data.sources import Source

SCIKIT_HELD_OUT = 297
"""How many of scikit-learn's digits, the last ones, are for evaluation."""


def scikit_digits(source: Source, root: Path, needs: dict[str, Path]) -> dict[str, np.ndarray]:
    """Read 1,797 digits; values 0..16 become 0..255."""
    with gzip.open(root / "sklearn/datasets/data/digits.csv.gz", "rt") as file:
        table = np.loadtxt(file, delimiter=",")
    pixels_NHW = np.rint(table[:, :-1].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    held_out_N = np.arange(len(table)) >= len(table) - SCIKIT_HELD_OUT
    return {"pixels_NHW": pixels_NHW, "labels_N": table[:, -1].astype(np.uint8), "held_out_N": held_out_N}


def mnist(source: Source, root: Path, needs: dict[str, Path]) -> dict[str, np.ndarray]:
    """Read 10,000 digits, one JSON file a digit; one in ten is held out, by a hash of its pixels."""
    pixels, labels = [], []
    for digit in range(10):
        data = np.array(json.loads((root / f"src/digits/{digit}.json").read_text())["data"], np.float32)
        pixels.append(np.rint(data.reshape(-1, 28, 28) * 255).astype(np.uint8))
        labels += [digit] * len(pixels[-1])
    pixels_NHW = np.concatenate(pixels)
    held_out_N = np.array([zlib.crc32(picture.tobytes()) % 10 == 0 for picture in pixels_NHW])
    return {"pixels_NHW": pixels_NHW, "labels_N": np.array(labels, np.uint8), "held_out_N": held_out_N}
