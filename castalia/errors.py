"""Errors for the person who reads them: one exception type per kind of user error."""

import difflib
import math
from collections.abc import Iterable


class CastaliaError(Exception):
    """Base of every error a user can cause. The message is one clear sentence; the command line prints it alone."""


class DocumentError(CastaliaError):
    """A document, or one part of it, cannot be understood."""


class ImageError(CastaliaError):
    """A picture cannot be read."""


class SpeechError(CastaliaError):
    """A sound cannot be read."""


class RecipeError(CastaliaError):
    """A recipe, or a field of one, is wrong."""


class TaskError(CastaliaError):
    """A task, split or difficulty does not exist."""


class DataError(CastaliaError):
    """A data source cannot be had or read."""


class CheckpointError(CastaliaError):
    """A checkpoint cannot be written or read."""


class ActionError(CastaliaError):
    """An action cannot be carried out as it was written; the model is told why."""


class EngineError(CastaliaError):
    """A request cannot be served: it is too long, or asks for what does not exist."""


class DatabaseError(CastaliaError):
    """A database cannot be opened, read or written. The message never has a password."""


class AccessError(CastaliaError):
    """A request may not come in. `status` is HTTP's, `code` is what OpenAI calls it.

    `retry_after` is in how many seconds it may, None where that is not known; `headers` say so, and how much is left.
    """

    def __init__(
        self,
        message: str,
        status: int,
        code: str,
        retry_after: float | None = None,
        headers: dict[str, str] | None = None,
    ):
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after = retry_after
        waiting = {} if retry_after is None else {"retry-after": str(math.ceil(retry_after - 1e-6))}
        self.headers = (headers or {}) | waiting


def nearest(name: str, options: Iterable[str]) -> str:
    """Return a hint such as ``did you mean 'mazes'? (there are: charts, mazes)`` for a misspelt `name`."""
    options = sorted(options)
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.4)
    known = f"there are: {', '.join(options)}"
    return f"did you mean {close[0]!r}? ({known})" if close else known
