"""What became of a run: the figures that were forecast of its school, as they were measured."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from castalia.errors import CheckpointError, DataError
from castalia.forecast.forecast import FORECAST, Check, Forecast, read_forecasts
from castalia.forecast.ladder import RUNG, Rung, measure
from castalia.forecast.predict import ACCURACY, LOSS
from castalia.training.checkpoint import replace_file
from castalia.training.metrics import read_metrics
from castalia.training.run import load_recipe_of

Outcome = dict[str, dict[float, float]]
"""``{what: {FLOPs: value}}``."""


def measure_outcome(run: Path) -> Outcome:
    """Measure what a run's school gave, as its forecast's small runs were, and write it down; what is known is read.

    Raises CheckpointError for a run that is not at its end.
    """
    lines = read_metrics(run / "metrics.jsonl")
    if lines and "held_out_loss" not in lines[-1]:
        raise CheckpointError(f"{run} is not at its end yet: the command that began it goes on")
    if not (known := read_outcome(run)) or not lines or lines[-1]["flops"] not in known[LOSS]:
        questions = next((one.questions for one in read_forecasts(run / FORECAST)), 50)
        rung = measure(run, 1.0, load_recipe_of(run).training.seed, questions)
        replace_file(run / RUNG, json.dumps(asdict(rung), indent=1))
    return read_outcome(run)


def read_outcome(run: Path) -> Outcome:
    """Return what `measure_outcome` has measured; {} if it has not, or nobody can read it."""
    try:
        return outcome_of(Rung(**json.loads((run / RUNG).read_text())))
    except (OSError, ValueError, TypeError):
        return {}


def outcome_of(rung: Rung) -> Outcome:
    """Return the figures of a run by what they are of."""
    values = {LOSS: rung.loss} | {f"{LOSS} {family}": loss for family, loss in rung.losses.items()}
    values |= {f"{ACCURACY} {family}": accuracy for family, accuracy in rung.accuracies.items()}
    return {of: {rung.flops: value} for of, value in values.items()}


def checks_of(forecasts: Sequence[Forecast], outcome: Outcome) -> dict[str, Check]:
    """Return what was measured of every forecast beside it, by what it is of; nothing where none leads so far."""
    found = {}
    for one in (one for one in forecasts if one.of in outcome):
        with suppress(DataError):  # a run that went on far beyond what it was planned for
            found[one.of] = one.check(outcome[one.of])[0]
    return found
