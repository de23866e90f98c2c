"""Castalia: natively multimodal reasoning models, from school to service.

import castalia
model = castalia.load("runs/pocket")
print(model.ask("Which bar is tallest?", image="chart.png"))
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from castalia.assistant import Assistant

__version__ = "0.1.0"


def load(path: str | Path) -> "Assistant":
    """Return the model of the run at `path`, ready to answer; raises CheckpointError if there is none."""
    from castalia.assistant import Assistant  # torch takes a second to import; ``castalia --help`` should not

    return Assistant.load(Path(path))


__all__ = ["__version__", "load"]
