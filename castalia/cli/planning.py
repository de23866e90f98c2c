"""Commands that compare and plan: what a budget is best spent on, and how much compute another recipe would need."""

import json as jsonlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from castalia.cli.learning import RUNS, Set, settings_of
from castalia.errors import RecipeError

if TYPE_CHECKING:
    from rich.table import Table

    from castalia.forecast.devices import Cluster
    from castalia.forecast.multiplier import Multiplier
    from castalia.forecast.plan import Plan


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

    Example: castalia plan --hours 8
    Example: castalia plan --flops 1e20 --device h100:8 --mfu 0.4
    Example: castalia forecast school --budget 2h --stretches 0.5 1 2
    Example: castalia plan --target-accuracy 0.9 --ladder runs/school-ladder

    Args:
        flops: operations to spend, as 1e20.
        hours: hours to spend, on the devices.
        target_accuracy: share of held-out questions to be right, from 0 to 1.
        family: the family whose accuracy is meant (default: the mean of all).
        device: laptop (this machine), or a kind and number of GPUs, as h100 or h100:8.
        mfu: share of the devices' peak that training reaches (default: 0.5 here, 0.4 on GPUs).
        price: dollars an hour and device (default: about what it is rented for).
        ladder: directory in which castalia forecast has climbed (default: a ladder that comes with Castalia).
        json: print one line of JSON instead of a table.
    """
    from castalia.console import console
    from castalia.forecast.devices import cluster_of
    from castalia.forecast.ladder import RECORDED, read_ladder
    from castalia.forecast.plan import Planner, budget

    if sum(given is not None for given in (flops, hours, target_accuracy)) != 1:
        raise RecipeError("give one of --flops, --hours and --target-accuracy")
    if target_accuracy is not None and not 0 < target_accuracy < 1:
        raise RecipeError(f"--target-accuracy is a share above 0 and below 1, not {target_accuracy}")
    if hours is not None and not hours > 0:
        raise RecipeError(f"--hours is above 0, not {hours}")
    cluster = cluster_of(device, mfu, price)
    planner = Planner(*read_ladder(ladder or RECORDED))
    if target_accuracy is not None:
        spent = planner.budget_for(target_accuracy, family)
    else:
        spent = budget(flops) if flops is not None else cluster.flops(hours or 0)
    made = planner.plan(spent, cluster)
    if json:
        print(jsonlib.dumps(made.to_json()))
        return
    console.print(plan_table(made, cluster))
    settings = " ".join(f"{name}={value}" for name, value in made.to_json()["settings"].items())
    console.print(f"train it: castalia pretrain {made.recipe.name} --set {settings}", highlight=False, soft_wrap=True)


def multiplier(
    recipe: tyro.conf.Positional[str] = "ladder",
    /,
    against: str = "maverick",
    budget: str = "1h",
    seeds: int = 2,
    questions: int = 50,
    parts: bool = False,
    out: Path | None = None,
    overrides: Set = (),
    json: bool = False,
) -> None:
    """Measure how many times as much compute another recipe needs to be as often right, over a ladder of each.

    Both get as many sizes, seeds, minutes and trials of learning rates. What is done is not done again.

    Example: castalia forecast multiplier --against maverick --budget 2h
    Example: castalia forecast multiplier --against maverick --budget 8h --parts

    Args:
        recipe: name of a recipe, or path of a .py file with a function recipe().
        against: the recipe it is compared with.
        budget: wall clock of all runs together, as 90s, 10m or 1h.
        seeds: runs of every size.
        questions: exam questions a family and difficulty, after every run.
        parts: switch every part in which the two differ (PARTS of the other recipe's file) alone, too.
        out: directory of the runs (default: runs/RECIPE-against-OTHER).
        overrides: fields of both recipes, as model.width=256.
        json: print one line of JSON instead of a table.
    """
    from castalia.cli.forecasting import minutes_of, minutes_to_train
    from castalia.console import console
    from castalia.forecast.multiplier import (
        FACTORS,
        SIZES,
        climb_tuned,
        multipliers,
        shared_targets,
        with_parts,
    )
    from castalia.recipes import load_parts, load_recipe

    settings = settings_of(None, None, overrides)
    ours, other = (load_recipe(name).override(settings) for name in (recipe, against))
    directory = out or RUNS / f"{ours.name}-against-{other.name}"
    chosen = {ours.name: ours, other.name: other} | (with_parts(ours, load_parts(against)) if parts else {})
    share = minutes_of(budget) / len(chosen)
    ladders = {}
    with console.status("runs") as status:
        for name, one in chosen.items():

            def report(run: str, line: dict[str, Any], name: str = name) -> None:
                status.update(f"{name}, {run}: step {line['step']}, loss {line['loss']:.3f}")

            runs = sum(SIZES) * seeds + min(SIZES) * len(FACTORS)
            largest = min(1.0, share / (runs * minutes_to_train(one)))
            sizes = [largest * size for size in SIZES]
            place = directory / name.replace(" ", "-")
            ladders[name] = climb_tuned(one, place, sizes, range(seeds), questions=questions, report=report)
    mine = ladders.pop(ours.name)
    rows = {name: multipliers(mine, rungs, shared_targets([mine, rungs])) for name, rungs in ladders.items()}
    if json:
        print(jsonlib.dumps({name: [vars(one) for one in its] for name, its in rows.items()}))
        return
    console.print(multiplier_table(rows, ours.name, other.name))


def plan_table(made: "Plan", cluster: "Cluster") -> "Table":
    """Return what to train, what it takes, and what is expected of it."""
    from rich.table import Table

    from castalia.forecast.plan import FAR

    table = Table(title=f"plan for {made.flops:.3g} FLOPs", title_justify="left", show_header=False)
    model, feed = made.recipe.model, made.recipe.feed
    size = made.parameters
    rows = {
        "parameters": f"{_short(size.value)} ({_short(size.low)} to {_short(size.high)} may be as good)",
        "model": f"width {model.width}, {model.layers} layers, {model.heads} heads",
        "positions": f"{_short(made.positions)}, {made.positions / size.value:.0f} a parameter",
        "batch": f"{feed.rows} rows of {feed.length}, {made.recipe.training.steps:,} steps",
        "loss": f"{made.loss.value:.4f} ({made.loss.low:.4f} to {made.loss.high:.4f})",
        "right": f"{made.accuracy:.1%} on average",
    }
    rows |= {f"  {name}": f"{e.value:.1%} ({e.low:.1%} to {e.high:.1%})" for name, e in made.accuracies.items()}
    of = f"{cluster.count} × {cluster.name}" if cluster.count > 1 else cluster.name
    speed = f"{cluster.mfu:.0%} of {cluster.device.flops:.3g} FLOPs a second each"
    room = "" if made.memory <= cluster.device.memory else ", more than it has"
    rows |= {
        "time": f"{duration(made.hours)} on {of} at {speed}",
        "memory": f"{made.memory / 1e9:.2g} GB a device of {cluster.device.memory / 1e9:.0f}{room}",
    }
    if made.dollars is not None:
        rows["cost"] = f"${made.dollars:,.2f}"
    if made.beyond > FAR:
        rows["beware"] = f"{made.beyond:.2g} times the compute of the largest run it is foretold from: climb higher"
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def multiplier_table(rows: Mapping[str, Sequence["Multiplier"]], ours: str, other: str) -> "Table":
    """Return how many times the compute the other recipe, and each part alone, needs at every accuracy."""
    from rich.table import Table

    table = Table(title=f"times the compute of {ours}", title_justify="left")
    for name in ("", "right", ours, "needs", "times", "90% interval"):
        table.add_column(name, justify="right" if name else "left")
    for name, its in rows.items():
        label = name if name == other else f"{name} of {other}"
        for number, one in enumerate(its):
            cells = (f"{one.accuracy:.1%}", f"{one.flops:.3g}", f"{one.other_flops:.3g}", f"{one.value:.2f}")
            table.add_row("" if number else label, *cells, f"{one.low:.2f} to {one.high:.2f}")
    return table


def duration(hours: float) -> str:
    """Return a time as people say it: 42 s, 12 min, 3.5 h, 2.1 days, 3 years."""
    for unit, size in (("years", 8766), ("days", 48), ("h", 2), ("min", 1 / 30)):
        if hours >= size:
            return f"{hours / {'years': 8766, 'days': 24, 'h': 1, 'min': 1 / 60}[unit]:,.3g} {unit}"
    return f"{hours * 3600:.2g} s"


def _short(number: float) -> str:
    for size, unit in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.0f}"
