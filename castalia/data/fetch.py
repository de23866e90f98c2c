"""Fetching sources into the cache. What cannot be had costs one line, never the others."""

import importlib.util
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from castalia.data.cache import cache_directory, marker, publish
from castalia.data.download import Report
from castalia.data.registries import obtain
from castalia.data.sources import SOURCES, Source, find
from castalia.errors import DataError


@dataclass(frozen=True)
class Outcome:
    """What became of one source: where it is (None: left out) and a `note`, which then is the cause."""

    source: Source
    path: Path | None
    version: str = ""
    note: str = ""


def directory_of(source: Source, cache: Path | None = None) -> Path:
    """Return where the fetched files of `source` are, or would be."""
    name = re.sub(r"[^\w.+~-]+", "-", f"{source.package}@{source.version}").strip("-")[-150:]
    return (cache or cache_directory()) / "sources" / source.registry / name


def located(source: Source, cache: Path | None = None) -> Path | None:
    """Return where the files of `source` are on this machine: in the cache or installed; None if they are not."""
    directory = directory_of(source, cache)
    # A copy of the same source with another checksum pinned since, or with other files kept, is not this one.
    if (said := marker(directory)) is not None and said.get("wanted") == _wanted(source):
        return directory
    return _installed(source)


def fetch(source: Source, cache: Path | None = None, report: Report = lambda words: None) -> Outcome:
    """Fetch one source, unless it is there already. Raises DataError with the cause if it cannot be had.

    The directory appears whole or not at all, also if the process is killed, and also if several fetch at once.
    """
    if (path := located(source, cache)) is not None:
        said = marker(path) or {}
        return Outcome(source, path, said.get("version", source.version), said.get("note", ""))
    directory = directory_of(source, cache)

    def make(into: Path) -> dict[str, Any]:
        obtained = obtain(source, into, report)
        return {
            "source": source.name, "wanted": _wanted(source), "version": obtained.version,
            "sha256": obtained.sha256, "note": obtained.note, "licence": source.licence,
        }  # fmt: skip

    said = publish(directory, make, fresh=lambda found: found.get("wanted") == _wanted(source))
    return Outcome(source, directory, said["version"], said["note"])


def fetch_all(
    names: Iterable[str] | None = None, cache: Path | None = None, report: Report = lambda words: None
) -> list[Outcome]:
    """Fetch the sources called `names` and what they need; by default all that are not optional.

    A source that cannot be had is left out: its outcome has no path and says why. Raises DataError for unknown names.
    """
    return [attempt(source, cache, report) for source in wanted_sources(names)]


def attempt(source: Source, cache: Path | None = None, report: Report = lambda words: None) -> Outcome:
    """Fetch one source as `fetch` does; if it cannot be had, the outcome says why, on one line."""
    try:
        return fetch(source, cache, report)
    except DataError as error:
        return Outcome(source, None, note=" ".join(str(error).split()))


def wanted_sources(names: Iterable[str] | None = None) -> list[Source]:
    """Return the sources called `names` with what they need, each once; by default all that are not optional."""
    chosen = [find(name) for name in names] if names is not None else [s for s in SOURCES.values() if not s.optional]
    with_needs = [needed for source in chosen for needed in (*map(find, source.needs), source)]
    return list(dict.fromkeys(with_needs))


def _wanted(source: Source) -> list[Any]:
    return [source.version, source.sha256, list(source.keep)]


def _installed(source: Source) -> Path | None:
    if not source.module:
        return None
    found = importlib.util.find_spec(source.module)
    places = list(found.submodule_search_locations or []) if found else []
    return Path(places[0]).parent if places else None
