"""Before a run: a ladder of small runs that fits a budget, and what they say of it, written down."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from castalia.errors import RecipeError
from castalia.forecast.forecast import Forecast, write_forecasts
from castalia.forecast.ladder import climb, run_flops
from castalia.forecast.predict import foresee
from castalia.training.pretrain import measure_peak_flops
from castalia.training.recipe import Recipe

FORECAST = "forecast.json"
HALVINGS = (1 / 4, 1 / 2, 1)
"""Sizes of the rungs, as shares of the largest."""
LARGEST = 1 / 8
"""A rung has no more of the run's compute than this: otherwise there would be little to forecast."""
SPEED = 0.4
"""Share of the machine's peak that training reaches, about: how long a recipe given in steps will take."""


def forecast_run(
    recipe: Recipe,
    directory: Path,
    minutes: float,
    *,
    seeds: int = 2,
    stretches: Sequence[float] = (1,),
    questions: int = 50,
    report: Callable[[str, dict[str, Any]], None] = lambda name, line: None,
) -> list[Forecast]:
    """Climb a ladder for so many minutes, in DIRECTORY-ladder; forecast the run in `directory`, and write it there.

    Raises RecipeError if the run has begun: a forecast of what is known would be none.
    """
    if (directory / "metrics.jsonl").exists():
        raise RecipeError(f"{directory} has begun: a forecast is written before its run; choose another --out")
    if 1 not in stretches or min(stretches) <= 0:
        raise RecipeError("--stretches are above 0, and 1, what is forecast, is among them")
    runs = sum(HALVINGS) * seeds * sum(stretches)
    largest = min(LARGEST, minutes / (runs * minutes_to_train(recipe)))
    sizes = [largest * share for share in HALVINGS]
    ladder = directory.with_name(f"{directory.name}-ladder")
    climbed = climb(recipe, ladder, sizes, range(seeds), stretches=stretches, questions=questions, report=report)
    rungs = [rung for rung in climbed if rung.stretch == 1]
    forecasts = foresee(rungs, rungs[-1].flops / sizes[-1])
    write_forecasts(directory / FORECAST, forecasts)
    return forecasts


def minutes_to_train(recipe: Recipe) -> float:
    """Return how long a recipe trains here; of one given in steps, as its compute and this machine's speed say."""
    if recipe.training.steps is None:
        return recipe.training.minutes
    return run_flops(recipe) / (SPEED * measure_peak_flops()) / 60
