"""The cache on disk: directories that are either whole and marked so, or not there; safe between processes."""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from castalia.errors import DataError

MARKER = ".complete"


def cache_directory() -> Path:
    """Return ``$XDG_CACHE_HOME/castalia``, by default ``~/.cache/castalia``; it need not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "castalia"


def marker(directory: Path) -> dict[str, Any] | None:
    """Return what the marker of a whole `directory` says, None where there is none."""
    try:
        return json.loads((directory / MARKER).read_text())
    except (OSError, ValueError):
        return None


def publish(
    directory: Path,
    make: Callable[[Path], dict[str, Any]],
    fresh: Callable[[dict[str, Any]], bool] = lambda said: True,
) -> dict[str, Any]:
    """Return the marker of `directory`; if it is not there, or not `fresh` any more, let `make` fill it.

    `make` is given an empty directory beside it and returns what the marker shall say. Only when it has returned does
    the directory get its name, so a process that is killed leaves nothing that looks whole. Of several processes one
    makes it and the others wait. Raises DataError if the disk refuses.
    """
    if (found := marker(directory)) is not None and fresh(found):
        return found
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with _locked(directory.with_name(directory.name + ".lock")):
            if (found := marker(directory)) is not None and fresh(found):
                return found
            # One name for the unfinished directory: under the lock whatever has it was left by a process that died.
            unfinished = directory.with_name(directory.name + ".unfinished")
            for leftover in (unfinished, directory):
                if leftover.exists():
                    shutil.rmtree(leftover)
            unfinished.mkdir()
            try:
                said = make(unfinished)
                (unfinished / MARKER).write_text(json.dumps(said))
                unfinished.rename(directory)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
            return said
    except OSError as error:
        place = error.filename or directory
        raise DataError(f"the cache cannot be written: {place}: {error.strerror or error}") from error


@contextmanager
def _locked(path: Path) -> Generator[None]:
    # The kernel lets go of the lock when its process dies, however it dies; so the file can stay.
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
