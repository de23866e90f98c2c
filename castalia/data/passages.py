"""Prose: the definitions of WordNet, each under its words."""

import re
from collections.abc import Iterator
from pathlib import Path

from castalia.data.sources import Source
from castalia.errors import DataError

Item = dict[str, str]

FILES = ("noun", "verb", "adj", "adv")
SENSE = re.compile(r"\d{8} \d\d [nvasr] ([0-9a-f]{2}) (.*?) \| (.+)")
"""A line of a data file (wndb(5)): offset, file, kind, how many words, the words and pointers, the gloss."""
MARKER = re.compile(r"\((?:a|p|ip)\)$")
"""How an adjective stands, written behind it."""


def wordnet(source: Source, root: Path, needs: dict[str, Path]) -> tuple[Item, ...]:
    """Read every sense: its words are the heading, its definition and examples the passage."""
    return tuple(item for name in FILES for item in _senses(source, root / f"usr/share/wordnet/data.{name}"))


def _senses(source: Source, path: Path) -> Iterator[Item]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise DataError(f"{source.name}: {path.name} cannot be read: {error}") from error
    for line in lines:
        if found := SENSE.match(line):
            count, fields, gloss = int(found[1], 16), found[2].split(" "), found[3]
            words = [MARKER.sub("", word).replace("_", " ") for word in fields[: 2 * count : 2]]
            yield {"key": f"{path.suffix[1:]}/{line[:8]}", "heading": ", ".join(words), "text": " ".join(gloss.split())}
