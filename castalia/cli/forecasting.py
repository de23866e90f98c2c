"""Commands that forecast: small runs, a forecast written before the large run, and what became of it."""

import json as jsonlib
import re
from pathlib import Path
from typing import Any

import tyro

from castalia.cli.learning import RUNS, Set, settings_of
from castalia.errors import CastaliaError, CheckpointError
from castalia.shipped import find_run

UNITS = {"s": 1 / 60, "m": 1.0, "h": 60.0}


def forecast(
    recipe: tyro.conf.Positional[str] = "pocket",
    /,
    budget: str = "10m",
    sizes: int = 3,
    seeds: int = 2,
    stretches: tuple[float, ...] = (1.0,),
    questions: int = 50,
    largest: float = 1 / 8,
    apart: float = 2.0,
    jobs: int = 1,
    ladder: Path | None = None,
    out: Path | None = None,
    overrides: Set = (),
    json: bool = False,
) -> None:
    """Run a recipe in small sizes, and write down what it will give at full size, before it is trained.

    $ castalia forecast pocket --budget 3m --out runs/second && castalia pretrain pocket --out runs/second
    $ castalia forecast ladder --ladder castalia/recipes/ladder.json --set training.steps=20000 --out runs/longer
    $ castalia forecast nano --budget 4h --largest 0.2 --apart 3.4 --jobs 2

    Args:
        recipe: name of a recipe, or path of a .py file with a function recipe().
        budget: wall clock of all small runs together, as 90s, 10m or 1h.
        sizes: how many small sizes; with five or more one seed is enough.
        seeds: runs of every size.
        stretches: how many times as long as planned every size is trained, too: 0.5 1 2 is what castalia plan needs.
        questions: exam questions a family and difficulty, after every small run.
        largest: share of the run's compute that no small run is above: from nearer it is foretold better, at a price.
        apart: how many times the compute of a small size the next has.
        jobs: small runs at a time, each on its share of the cores: quicker where models are small.
        ladder: directory or file of small runs that were made before, of the same data: nothing is run.
        out: directory of the run that is forecast (default: runs/RECIPE); small runs are in RECIPE-ladder beside it.
        overrides: fields of the recipe, as model.width=256.
        json: print the forecasts as one line of JSON instead of a table.
    """
    from castalia.console import console
    from castalia.forecast.before import Climb, forecast_from, forecast_run
    from castalia.forecast.forecast import FORECAST
    from castalia.forecast.tables import forecast_sheet, unforetold
    from castalia.recipes import load_recipe

    made = load_recipe(recipe).override(settings_of(None, None, overrides))
    directory = out or RUNS / made.name
    with console.status("small runs") as status:

        def report(name: str, line: dict[str, Any]) -> None:
            status.update(f"{name}: step {line['step']}, loss {line['loss']:.3f}")

        if ladder is not None:
            forecasts = forecast_from(ladder, made, directory, console.print)
        else:
            small = Climb(sizes, seeds, stretches, questions, largest, apart, jobs)
            forecasts = forecast_run(made, directory, minutes_of(budget), small, report)
    if json:
        print(jsonlib.dumps([one.to_json() for one in forecasts]))
        return
    console.print(forecast_sheet(forecasts).table())
    if said := unforetold(forecasts):
        console.print(said, soft_wrap=True)
    console.print(f"written to {directory / FORECAST}; after the run: castalia forecast check {directory}")


def check(run: tyro.conf.Positional[str], /, json: bool = False) -> None:
    """Compare a run with the forecast that was written before it.

    $ castalia forecast check runs/pocket

    Args:
        run: run directory.
        json: print one line of JSON instead of a table.
    """
    from castalia.console import console
    from castalia.forecast.forecast import FORECAST, read_forecasts
    from castalia.forecast.outcome import checks_of, measure_outcome
    from castalia.forecast.tables import forecast_sheet

    directory = find_run(run)
    forecasts = read_forecasts(directory / FORECAST)
    if not forecasts:
        raise CheckpointError(f"{run} has no {FORECAST}: castalia forecast RECIPE writes it before the run")
    checks = checks_of(forecasts, outcome := measure_outcome(directory))
    if not checks:
        reached, foretold = next(iter(next(iter(outcome.values())))), forecasts[0].curve
        raise CheckpointError(
            f"{run} ended at {reached:.3g} FLOPs, and was foretold for {foretold[0].x:.3g} to {foretold[-1].x:.3g}: "
            "there is nothing to compare"
        )
    if json:
        rows = {of: {"expected": c.expected.value, "measured": c.measured, "error": c.error, "inside": c.inside}
                for of, c in checks.items()}  # fmt: skip
        print(jsonlib.dumps(rows))
    else:
        console.print(forecast_sheet(forecasts, checks).table())


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
