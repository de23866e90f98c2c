"""Commands that forecast: small runs, a forecast written before the large run, and what became of it."""

import json as jsonlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from castalia.cli.learning import RUNS, Set, settings_of
from castalia.errors import CastaliaError, CheckpointError, RecipeError

if TYPE_CHECKING:
    from rich.table import Table

    from castalia.forecast.forecast import Check, Forecast
    from castalia.training.recipe import Recipe

UNITS = {"s": 1 / 60, "m": 1.0, "h": 60.0}
HALVINGS = (1 / 4, 1 / 2, 1)
"""Sizes of the rungs, as shares of the largest."""
LARGEST = 1 / 4
"""A rung has no more of the run's compute than this: otherwise there would be little to forecast."""
SPEED = 0.4
"""Share of the machine's peak that training reaches, about: how long a recipe given in steps will take."""


def forecast(
    recipe: tyro.conf.Positional[str] = "pocket",
    /,
    budget: str = "10m",
    seeds: int = 2,
    stretches: tuple[float, ...] = (1.0,),
    questions: int = 50,
    out: Path | None = None,
    overrides: Set = (),
    json: bool = False,
) -> None:
    """Run a recipe in three small sizes, and write down what it will give at full size, before it is trained.

    Example: castalia forecast pocket --budget 3m && castalia pretrain pocket && castalia forecast check runs/pocket
    Example: castalia forecast ladder --budget 1h --seeds 3

    Args:
        recipe: name of a recipe, or path of a .py file with a function recipe().
        budget: wall clock of all small runs together, as 90s, 10m or 1h.
        seeds: runs of every size.
        stretches: how many times as long as planned every size is trained, too: 0.5 1 2 is what castalia plan needs.
        questions: exam questions a family and difficulty, after every small run.
        out: directory of the run that is forecast (default: runs/RECIPE); small runs are in RECIPE-ladder beside it.
        overrides: fields of the recipe, as model.width=256.
        json: print the forecasts as one line of JSON instead of a table.
    """
    from castalia.console import console
    from castalia.forecast.forecast import write_forecasts
    from castalia.forecast.ladder import climb
    from castalia.forecast.predict import foresee
    from castalia.recipes import load_recipe

    made = load_recipe(recipe).override(settings_of(None, None, overrides))
    directory = out or RUNS / made.name
    if (directory / "metrics.jsonl").exists():
        raise RecipeError(f"{directory} has begun: a forecast is written before its run; choose another --out")
    if 1 not in stretches or min(stretches) <= 0:
        raise RecipeError("--stretches are above 0, and 1, what is forecast, is among them")
    runs = sum(HALVINGS) * seeds * sum(stretches)
    largest = min(LARGEST, minutes_of(budget) / (runs * minutes_to_train(made)))
    sizes = [largest * share for share in HALVINGS]
    with console.status("small runs") as status:

        def report(name: str, line: dict[str, Any]) -> None:
            status.update(f"{name}: step {line['step']}, loss {line['loss']:.3f}")

        ladder = directory.with_name(f"{directory.name}-ladder")
        climbed = climb(made, ladder, sizes, range(seeds), stretches=stretches, questions=questions, report=report)
    rungs = [rung for rung in climbed if rung.stretch == 1]
    forecasts = foresee(rungs, rungs[-1].flops / sizes[-1])
    path = directory / "forecast.json"
    write_forecasts(path, forecasts)
    if json:
        print(jsonlib.dumps([one.to_json() for one in forecasts]))
        return
    console.print(forecast_table(forecasts))
    console.print(f"written to {path}; after the run: castalia forecast check {directory}")


def check(run: tyro.conf.Positional[Path], /, json: bool = False) -> None:
    """Compare a run with the forecast that was written before it.

    Example: castalia forecast check runs/pocket

    Args:
        run: run directory.
        json: print one line of JSON instead of a table.
    """
    from castalia.console import console
    from castalia.forecast.forecast import read_forecasts
    from castalia.forecast.outcome import measured_of

    forecasts = read_forecasts(run / "forecast.json")
    if not forecasts:
        raise CheckpointError(f"{run} has no forecast.json: castalia forecast RECIPE writes it before the run")
    measured = measured_of(run)
    checks = {one.of: one.check(measured[one.of])[0] for one in forecasts if one.of in measured}
    if json:
        rows = {of: {"expected": c.expected.value, "measured": c.measured, "error": c.error, "inside": c.inside}
                for of, c in checks.items()}  # fmt: skip
        print(jsonlib.dumps(rows))
    else:
        console.print(forecast_table(forecasts, checks))


def forecast_table(forecasts: Sequence["Forecast"], checks: Mapping[str, "Check"] | None = None) -> "Table":
    """Return the table of forecasts, each with its interval, and, where there are `checks`, with what was measured."""
    from rich.table import Table

    target = forecasts[0].targets[0]
    title = f"forecast at {target.x:.3g} {forecasts[0].along}, written {forecasts[0].written}"
    table = Table(title=title, title_justify="left")
    columns = ("", "expected", f"{forecasts[0].share:.0%} interval", *(("measured", "error") if checks else ()))
    for name in columns:
        table.add_column(name, justify="right" if name else "left")
    for forecast in forecasts:
        check = (checks or {}).get(forecast.of)
        at = check.expected if check else forecast.targets[0]
        write = "{:.0%}".format if forecast.in_points else "{:.4f}".format
        cells = [write(at.value), f"{write(at.low)} to {write(at.high)}"]
        if check:
            unit = " points" if forecast.in_points else " %"
            cells += [write(check.measured), f"{check.error:+.1f}{unit}{'' if check.inside else ', outside'}"]
        table.add_row(forecast.of, *cells)
    return table


def minutes_of(budget: str) -> float:
    """Return the minutes of ``90s``, ``10m`` or ``1h``. Raises CastaliaError for anything else."""
    match = re.fullmatch(r"\s*([0-9.]+)\s*([smh])\s*", budget)
    try:
        minutes = float(match[1]) * UNITS[match[2]] if match else 0.0
    except ValueError:
        minutes = 0.0
    if minutes <= 0:
        raise CastaliaError(f"--budget expects a time as 90s, 10m or 1h, not {budget!r}")
    return minutes


def minutes_to_train(recipe: "Recipe") -> float:
    """Return how long a recipe trains here; of one given in steps, as its compute and this machine's speed say."""
    from castalia.forecast.ladder import run_flops
    from castalia.training.pretrain import measure_peak_flops

    if recipe.training.steps is None:
        return recipe.training.minutes
    return run_flops(recipe) / (SPEED * measure_peak_flops()) / 60
