"""Castalia: natively multimodal reasoning models, from school to service.

import castalia
model = castalia.load("nano")
print(model.ask("Which bar is tallest?", image="chart.png"))
"""

from pathlib import Path
from typing import TYPE_CHECKING

from castalia.shipped import find_run

if TYPE_CHECKING:
    from castalia.assistant import Assistant

__version__ = "0.1.0"


def load(name: str | Path | None = None) -> "Assistant":
    """Return the model of a run, ready to answer: that of a directory, or one that comes with the package, by its name
    (default: the one that does).

    Raises CheckpointError if there is none.
    """
    from castalia.assistant import Assistant  # torch takes a second to import; ``castalia --help`` should not

    return Assistant.load(find_run(name))


__all__ = ["__version__", "load"]
