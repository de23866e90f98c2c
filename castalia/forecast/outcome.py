"""What became of a run: the figures that were forecast of it, as they were measured."""

import json
from pathlib import Path

from castalia.errors import CheckpointError
from castalia.evals.losses import family_losses
from castalia.forecast.predict import ACCURACY, LOSS
from castalia.training.metrics import read_metrics


def measured_of(run: Path) -> dict[str, dict[float, float]]:
    """Return what a run gave, ``{what: {FLOPs: value}}``: its loss, that of every family, and their accuracies."""
    lines = [line for line in read_metrics(run / "metrics.jsonl") if "held_out_loss" in line]
    if not lines:
        raise CheckpointError(f"{run} has not measured a held-out loss yet")
    flops = lines[-1]["flops"]
    found = {LOSS: {flops: lines[-1]["held_out_loss"]}}
    found |= {f"{LOSS} {family}": {flops: loss} for family, loss in family_losses(run).items()}
    if (path := run / "evaluation.json").exists():
        means = json.loads(path.read_text())["means"]
        found |= {f"{ACCURACY} {family}": {flops: mean} for family, mean in means.items()}
    return found
