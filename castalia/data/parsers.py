"""Sources to material: decoded once into the cache, then read in a moment by every process."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from castalia.data import clips, handwriting, passages, pictures, store
from castalia.data.cache import cache_directory, marker, publish
from castalia.data.fetch import directory_of, located
from castalia.data.sources import Source, find
from castalia.errors import DataError
from castalia.tasks.material import Clip, Handwriting, Passage, Picture
from castalia.tasks.task import held_out

Parsed = dict[str, np.ndarray] | list[tuple[np.ndarray, dict[str, Any]]] | tuple[dict[str, str], ...]
Parser = Callable[[Source, Path, dict[str, Path]], Parsed]

PARSERS: dict[str, Parser] = {
    "scikit-digits": handwriting.scikit_digits,
    "mnist": handwriting.mnist,
    "fashion-mnist": pictures.fashion_mnist,
    "stamps": pictures.stamps,
    "emoji": pictures.emoji,
    "asterisk": clips.asterisk,
    "asterisk-second": clips.asterisk_second,
    "klettres": clips.klettres,
    "wordnet": passages.wordnet,
}
"""Each takes the source, its directory and those of what it needs; returns arrays with records of what they are, or
records alone."""

PASSAGES = "passages.json"
FORMAT = 1
"""Part of the names of decoded sources: raise it when a parser changes what it makes."""


def decoded_directory(source: Source, cache: Path | None = None) -> Path:
    """Return where the decoded form of `source` is, or would be."""
    name = f"{source.name}@{directory_of(source).name.rpartition('@')[2]}-{FORMAT}"
    return (cache or cache_directory()) / "decoded" / name


def decode(source: Source, cache: Path | None = None) -> int:
    """Decode a fetched source into the cache unless it is there; return the number of its items.

    Raises DataError if it is not fetched, or nothing in it can be read.
    """
    if not source.parser:
        raise DataError(f"{source.name} is no material by itself: other sources need it")
    directory = decoded_directory(source, cache)
    if (found := marker(directory)) is not None:
        return found["count"]

    def make(into: Path) -> dict[str, Any]:
        parsed = PARSERS[source.parser](source, _root(source, cache), {n: _root(find(n), cache) for n in source.needs})
        if isinstance(parsed, dict):
            np.savez(into / "handwriting.npz", allow_pickle=False, **parsed)
            count = len(parsed["labels_N"])
        elif isinstance(parsed, tuple):
            (into / PASSAGES).write_text(json.dumps(parsed, ensure_ascii=False))
            count = len(parsed)
        else:
            store.write(into, parsed)
            count = len(parsed)
        if not count:
            raise DataError(f"{source.name}: nothing in it could be read")
        return {"count": count}

    return publish(directory, make)["count"]


def handwriting_of(source: Source, cache: Path | None = None) -> Handwriting:
    """Return a source of kind ``handwriting``. Raises DataError if it is not fetched."""
    decode(source, cache)
    with np.load(decoded_directory(source, cache) / "handwriting.npz") as arrays:
        return Handwriting(source.name, arrays["pixels_NHW"], arrays["labels_N"], arrays["held_out_N"])


def clips_of(source: Source, cache: Path | None = None) -> list[Clip]:
    """Return a source of kind ``speech``; held out is what a hash of the words says. Raises DataError if not fetched.

    All of a source that is for evaluation only is held out.
    """
    decode(source, cache)
    return [
        Clip(
            source.name, record["key"], record["transcript"], record["language"], record["speaker"],
            source.evaluation_only or held_out(clips.normalised(record["transcript"])), load,
        )
        for load, record in store.read(decoded_directory(source, cache))
    ]  # fmt: skip


def pictures_of(source: Source, cache: Path | None = None) -> list[Picture]:
    """Return a source of kind ``pictures``; held out is what its files say, else a hash of the key."""
    decode(source, cache)
    return [
        Picture(
            source.name, record["key"], tuple(record["names"]),
            bool(record.get("held_out", source.evaluation_only or held_out(record["key"]))), load,
        )
        for load, record in store.read(decoded_directory(source, cache))
    ]  # fmt: skip


def passages_of(source: Source, cache: Path | None = None) -> list[Passage]:
    """Return a source of kind ``text``; held out is what a hash of the words says. Raises DataError if not fetched."""
    decode(source, cache)
    records = json.loads((decoded_directory(source, cache) / PASSAGES).read_text())
    return [
        Passage(source.name, one["key"], one["heading"], one["text"], source.evaluation_only or held_out(one["text"]))
        for one in records
    ]


def _root(source: Source, cache: Path | None) -> Path:
    if (path := located(source, cache)) is None:
        raise DataError(f"{source.name} is not fetched: castalia data fetch {source.name}")
    return path
