"""Commands that compare and plan: what a budget is best spent on, and how much compute another recipe would need."""

import json as jsonlib
import shlex
from pathlib import Path
from typing import Any

import tyro

from castalia.cli.forecasting import minutes_of
from castalia.cli.learning import RUNS, Set, settings_of
from castalia.errors import RecipeError


def plan(
    *,
    flops: str | None = None,
    hours: float | None = None,
    target_accuracy: float | None = None,
    family: str | None = None,
    device: str = "laptop",
    mfu: float | None = None,
    price: float | None = None,
    ladder: Path | None = None,
    json: bool = False,
) -> None:
    """Say what a budget is best spent on: size, positions, what it will give, how long it takes and what it costs.

    $ castalia plan --hours 8
    $ castalia plan --flops 1e20 --device h100:8 --mfu 0.4
    $ castalia plan --target-accuracy 0.9 --ladder runs/school-ladder

    It needs a ladder, best one of your own recipe and data: castalia forecast school --budget 2h --stretches 0.5 1 2

    Args:
        flops: operations to spend, as 1e20.
        hours: hours to spend, on the devices.
        target_accuracy: share of held-out questions to be right, from 0 to 1.
        family: the family whose accuracy is meant (default: the mean of all that the ladder can foretell).
        device: laptop (this machine), or a kind and number of GPUs, as h100 or h100:8.
        mfu: share of the devices' peak that training reaches (default: 0.5 here, 0.4 on GPUs).
        price: dollars an hour and device (default: about what it is rented for).
        ladder: directory in which castalia forecast has climbed (default: the newest in runs with --stretches, or else
            that of the recipe ladder, which comes with Castalia).
        json: print one line of JSON instead of a table.
    """
    from castalia.console import console
    from castalia.forecast.devices import cluster_of
    from castalia.forecast.ladder import read_ladder
    from castalia.forecast.plan import Planner, budget
    from castalia.forecast.tables import plan_table
    from castalia.recipes import MEASURED, load_recipe, recipe_names

    if sum(given is not None for given in (flops, hours, target_accuracy)) != 1:
        raise RecipeError("give one of --flops, --hours and --target-accuracy")
    if target_accuracy is not None and not 0 < target_accuracy < 1:
        raise RecipeError(f"--target-accuracy is a share above 0 and below 1, not {target_accuracy}")
    if hours is not None and not 0 < hours < float("inf"):
        raise RecipeError(f"--hours is above 0, not {hours}")
    if price is not None and not price >= 0:
        raise RecipeError(f"--price is 0 or more, not {price}")
    if family is not None and target_accuracy is None:
        raise RecipeError("--family says whose --target-accuracy is meant: give that, too")
    cluster = cluster_of(device, mfu, price)
    spent = budget(flops) if flops is not None else cluster.flops(hours or 0)
    ladder = ladder or _newest_ladder() or MEASURED
    with console.status("fitting a ladder"):
        planner = Planner(*read_ladder(ladder))
        if target_accuracy is not None:
            spent = planner.budget_for(target_accuracy, family)
        made = planner.plan(spent, cluster)
    if json:
        print(jsonlib.dumps(made.to_json()))
        return
    console.print(plan_table(made, cluster))
    known = made.recipe.name in recipe_names()
    name = made.recipe.name if known else f"YOUR-{made.recipe.name.upper()}.py"
    differs = made.recipe.difference(load_recipe(name) if known else planner.recipe)
    settings = shlex.join(f"{name}={value}" for name, value in differs.items() if name != "training.compile")
    console.print(f"train it: {cluster.launcher} pretrain {name} --set {settings}", highlight=False, soft_wrap=True)
    if ladder == MEASURED:
        own = "castalia forecast RECIPE --stretches 0.5 1 2 climbs one of your own recipe and data"
        console.print(f"from the ladder that comes with Castalia; {own}", highlight=False, soft_wrap=True)


def _newest_ladder() -> Path | None:
    """Return the ladder for plans that was climbed last here."""
    found = {path.parents[1] for path in RUNS.glob("*-ladder/size-*-stretch-*/rung.json")}
    return max(found, key=lambda path: (path / "recipe.json").stat().st_mtime, default=None)


def multiplier(
    recipe: tyro.conf.Positional[str] = "ladder",
    /,
    against: str = "maverick",
    budget: str = "1h",
    seeds: int = 2,
    questions: int = 50,
    further: int = 0,
    parts: bool = False,
    out: Path | None = None,
    overrides: Set = (),
    json: bool = False,
) -> None:
    """Measure how many times as much compute another recipe needs to be as often right, over a ladder of each.

    Both get as many sizes, seeds, minutes and trials of learning rates. What is done is not done again.

    $ castalia forecast multiplier --against maverick --budget 2h
    $ castalia forecast multiplier --against maverick --budget 8h --parts

    Args:
        recipe: name of a recipe, or path of a .py file with a function recipe().
        against: the recipe it is compared with.
        budget: wall clock of all runs together, as 90s, 10m or 1h.
        seeds: runs of every size.
        questions: exam questions a family and difficulty, after every run.
        further: so many sizes more of the other recipe, each twice the one before, besides the budget: where it is far
            behind, both else reach little that can be compared.
        parts: switch every part in which the two differ (PARTS of the other recipe's file) alone, too.
        out: directory of the runs (default: runs/RECIPE-against-OTHER).
        overrides: fields of both recipes, as model.width=256.
        json: print one line of JSON instead of a table.
    """
    from castalia.console import console
    from castalia.forecast.multiplier import climb_all, compared
    from castalia.forecast.tables import multiplier_table
    from castalia.recipes import load_parts, load_recipe
    from castalia.training.checkpoint import replace_file

    settings = settings_of(None, None, overrides)
    ours, other = (load_recipe(name).override(settings) for name in (recipe, against))
    directory = out or RUNS / f"{ours.name}-against-{other.name}"
    with console.status("runs") as status:

        def report(name: str, line: dict[str, Any]) -> None:
            status.update(f"{name}: step {line['step']}, loss {line['loss']:.3f}")

        switched, minutes = load_parts(against) if parts else {}, minutes_of(budget)
        ladders = climb_all(
            ours,
            other,
            switched,
            directory,
            minutes,
            seeds=seeds,
            questions=questions,
            further=further,
            report=report,
        )
    rows = compared({name: rungs for name, (_, rungs) in ladders.items()})
    said = jsonlib.dumps({name: [vars(one) for one in its] for name, its in rows.items()})
    replace_file(directory / "multiplier.json", said + "\n")
    if json:
        print(said)
        return
    console.print(multiplier_table(rows, ours.name, other.name))
    console.print(f"kept in {directory / 'multiplier.json'}", soft_wrap=True)
