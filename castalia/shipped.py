"""Models that come with the package, and which run a name means."""

import os
from pathlib import Path

from castalia.errors import CheckpointError

MODELS = Path(__file__).parent / "models"
"""Where they are: each a run's directory, without its optimizer."""
DEFAULT = "nano"
"""The one that answers where none is named."""


def shipped() -> list[str]:
    """Return the names of the models that come with this package."""
    return sorted(path.parent.name for path in MODELS.glob("[!.]*/recipe.json"))


def is_run(name: str | Path) -> bool:
    """Say whether a name means a run: a directory, or a model that comes with the package.

    Whatever looks like a path is meant as one, also where there is no such directory; 6/2 does not.
    """
    text = str(name)
    looks = "/" in text and not set(text) & {" ", "?", "="} and any(map(str.isalpha, text))
    return os.path.isdir(text) or text in shipped() or looks


def find_run(name: str | Path | None = None) -> Path:
    """Return the directory of the run that a name means; without a name, of the model that answers by default.

    Raises CheckpointError where there is neither such a directory nor such a model.
    """
    wanted = str(name or DEFAULT)
    is_here = name is not None and os.path.isdir(wanted)  # which, unlike Path.is_dir, bears names of any length
    if is_here and (wanted not in shipped() or os.path.exists(os.path.join(wanted, "recipe.json"))):
        return Path(wanted)
    if wanted in shipped():
        return MODELS / wanted
    if name is None:
        raise CheckpointError("no model comes with this package: make one (castalia run pocket) and name its directory")
    known = f", nor a model of the package ({', '.join(shipped()) or 'there is none'})"
    raise CheckpointError(f"{wanted} is not a run: it is no directory{known}")
