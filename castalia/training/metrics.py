"""Structured metrics: JSON lines always, a tracker where wanted."""

import json
from pathlib import Path
from typing import Any

from castalia.errors import CheckpointError, RecipeError
from castalia.training.checkpoint import replace_file


class Metrics:
    """Appends JSON objects, one a line, to ``metrics.jsonl``; on resuming, lines past the checkpoint are dropped."""

    def __init__(self, path: Path, tracker: str = "none", name: str = "") -> None:
        self.path = path
        self._tracker = _open_tracker(tracker, path.parent, name)

    def rewind(self, step: int) -> None:
        """Drop what was written after `step`, so that a resumed run's lines are those of an undisturbed one."""
        if self.path.exists():
            kept = "".join(json.dumps(line) + "\n" for line in read_metrics(self.path) if line["step"] <= step)
            if kept != self.path.read_text():
                replace_file(self.path, kept)

    def write(self, line: dict[str, Any]) -> None:
        """Append one line and hand it to the tracker. Raises CheckpointError if it cannot be written."""
        try:
            with open(self.path, "a") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise CheckpointError(f"cannot write {self.path}: {error.strerror or error}") from error
        if self._tracker is not None:
            self._tracker(line)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a metrics file; a last line torn by a crash is left out."""
    lines = []
    for text in path.read_text().splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break
    return lines


def _open_tracker(kind: str, directory: Path, name: str) -> Any:
    try:
        return _tracker(kind, directory, name)
    except ModuleNotFoundError as error:
        raise RecipeError(f"training.tracker={kind} needs {error.name}: pip install 'castalia[track]'") from error


def _tracker(kind: str, directory: Path, name: str) -> Any:
    if kind == "trackio":
        import trackio

        trackio.init(project="castalia", name=name)
        return lambda line: trackio.log({k: v for k, v in line.items() if k != "step"}, step=line["step"])
    if kind == "tensorboard":
        from torch.utils.tensorboard import SummaryWriter

        writer = SummaryWriter(str(directory / "tensorboard"))

        def write(line: dict[str, Any]) -> None:
            for key, value in line.items():
                if isinstance(value, (int, float)):
                    writer.add_scalar(key, value, line["step"])
            writer.flush()  # a process that ends, however it does, leaves nothing in its memory

        return write
    return None
