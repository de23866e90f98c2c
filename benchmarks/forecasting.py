"""Forecasts, checked: from small runs to one eight times as large, from a quarter of homework, from 16 attempts to 160.

    python benchmarks/forecasting.py                from what is recorded: fits, draws, prints
    python benchmarks/forecasting.py --rerun        runs the ladders anew (hours; they resume), records them
    python benchmarks/forecasting.py --more         tries the first target often, runs the ladder of plans
    python benchmarks/forecasting.py --rates        tries learning rates in two sizes, records them

Of the recipe `ladder`: rungs of 1/90 to 1/10.8 of its compute, of all seeds together, are fitted, and what the whole
recipe gives, of every seed, is compared with what they foretell. `loss_error_percent` is the mean size of the error of
the held-out loss, `family_loss_error_percent` that of the families' losses, `accuracy_error_points` that of their
accuracies (of a family that no small run answers better than by guessing nothing is foretold: so of prose);
`coverage_error_points` that of pass@k beyond 16 and up to 160 attempts, foretold from 16;
`agents_error_points` and `latency_error_points` that of the accuracy of 16 agents, foretold along agents and along
seconds from 2, 4 and 8 (of what benchmarks/contemplating.py has recorded). `interval_coverage` is the share of all
these that lie in their intervals of 90 %, in per cent, `interval_coverage_school` that of losses and accuracies alone,
`interval_coverage_attempts` that of pass@k; `interval_width_percent` and `interval_width_points` are the medians of how
far the ends of losses' and accuracies' intervals lie apart.
`compute_ratio` is the compute of the target over that of the largest rung. `rates_lost_percent` is by how much the loss
in the third size is above what it could be, at the rates that are best in the smallest.
"""

import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from harness import RESULTS, finish, options
from plots import forecast_panels

from castalia.console import console
from castalia.data.catalog import build_task
from castalia.engine.engine import Engine
from castalia.forecast.accuracy import Growth
from castalia.forecast.fits import fit
from castalia.forecast.forecast import Check, Forecast
from castalia.forecast.ladder import Rung, climb, read_ladder, write_ladder
from castalia.forecast.multiplier import FACTORS, with_rates
from castalia.forecast.outcome import checks_of, outcome_of
from castalia.forecast.practice import earliest
from castalia.forecast.predict import ACCURACY, LOSS, foresee
from castalia.forecast.scaling import foretell_coverage
from castalia.reasoning.effort import Thinking
from castalia.recipes import MEASURED, load_recipe
from castalia.rl.homework import MeasureConfig
from castalia.rl.measure import measure
from castalia.rl.rollouts import roll_out
from castalia.training.metrics import read_metrics
from castalia.training.run import load_model

KEPT = RESULTS / "forecasting"
HEADLINE = RESULTS.parent / "images" / "forecasts.png"
Checked = tuple[Forecast, list[tuple[float, float]]]
"""A forecast, and what was measured: (place, value)."""
SIZES = (1 / 90, 1 / 38, 1 / 19, 1 / 10.8)
"""Where models of width 24, 32, 40 and 48 have the compute of their size."""
STRETCHES = (0.5, 2)
"""What the first seed's rungs are trained for, too: with all others the ladder that plans are made from."""
RATED, RATES = SIZES[::2], "rates.json"
"""Sizes in which other learning rates are tried, and where their losses are recorded."""
FEW, MANY = 16, 160
AGENTS = (2, 4, 8, 16)
AGREEING = ("majority of {}", "contemplating, {} agents, until one has found")
TRIED = ("countdown", "mazes")
"""Families that are tried often."""
QUESTIONS, TRIED_QUESTIONS = 200, 100


def main() -> None:
    """Run what is to be run, check every forecast, draw and print."""
    parser = options(__doc__ or "")
    parser.add_argument("--rerun", action="store_true", help="run the ladders anew")
    parser.add_argument("--more", action="store_true", help="try the first target often, run the ladder of plans")
    parser.add_argument("--rates", action="store_true", help="try other learning rates in two sizes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/forecasting"), help="where the runs are kept")
    arguments = parser.parse_args()
    if arguments.rerun:
        for seed in arguments.seeds:
            rerun(arguments.out, seed)
    if arguments.more:
        rerun_more(arguments.out)
    if arguments.rates:
        rerun_rates(arguments.out)
    ladders = [read_ladder(path)[1] for path in sorted(KEPT.glob("seed-*.json"))]
    if not ladders:
        sys.exit(f"nothing is recorded in {KEPT}: --rerun runs it")
    forecasts, checks = check_ladders(ladders)
    attempts, agents = list(check_attempts()), list(check_agents())
    if arguments.record or not arguments.rerun:
        draw(ladders, forecasts, [*attempts, *agents])
    finish("forecasting", summary(ladders, checks, attempts, agents), arguments)


def report(name: str, line: dict[str, Any]) -> None:
    """Say how far a run has come."""
    console.print(f"{name}: step {line['step']}, loss {line['loss']:.3f}", end="\r")


def rerun(out: Path, seed: int) -> None:
    """Run one seed's rungs and its target, and record them."""
    recipe, place = load_recipe("ladder"), out / f"seed-{seed}"

    rungs = climb(recipe, place, [*SIZES, 1], [seed], questions=QUESTIONS, report=report)
    KEPT.mkdir(parents=True, exist_ok=True)
    write_ladder(KEPT / f"seed-{seed}.json", recipe, rungs)


def rerun_more(out: Path) -> None:
    """Try the first seed's target often, and run its rungs for longer and shorter, for plans."""
    recipe, place = load_recipe("ladder"), out / "seed-0"
    engine = Engine(*load_model(place / "size-1-seed-0"))
    tasks = {name: build_task(name) for name in TRIED}
    often = MeasureConfig(("held_out",), TRIED_QUESTIONS, MANY, passes=())
    found = measure(partial(roll_out, engine), tasks, often, recipe.data.difficulties, Thinking())
    (KEPT / "attempts.json").write_text(json.dumps(found["right"]["held_out"]) + "\n")
    stretched = climb(recipe, place, SIZES, [0], stretches=STRETCHES, questions=QUESTIONS, report=report)
    known = [rung for path in sorted(KEPT.glob("seed-*.json")) for rung in read_ladder(path)[1]]
    write_ladder(MEASURED, recipe, [*known, *stretched])


def rerun_rates(out: Path) -> None:
    """Run two sizes at half and at twice the recipe's learning rates, and record the losses."""
    recipe, losses = load_recipe("ladder"), {}
    for factor in FACTORS:
        place = out / ("seed-0" if factor == 1 else f"rates-{factor:g}")
        for rung in climb(with_rates(recipe, factor), place, RATED, [0], questions=QUESTIONS, report=report):
            losses.setdefault(f"{rung.size:g}", {})[f"{factor:g}"] = rung.loss
    (KEPT / RATES).write_text(json.dumps(losses, indent=1) + "\n")


def check_ladders(ladders: list[list[Rung]]) -> tuple[list[Forecast], list[dict[str, Check]]]:
    """Return what the small rungs of all seeds foretell, and the whole recipe's run of every seed beside it."""
    targets = [max(rungs, key=lambda rung: rung.flops) for rungs in ladders]
    small = [rung for rungs in ladders for rung in rungs if rung not in targets]
    forecasts = foresee(small, max(target.flops for target in targets))
    return forecasts, [checks_of(forecasts, outcome_of(target)) for target in targets]


def check_attempts() -> Iterator[Checked]:
    """Yield, for every family that was tried often, what a few attempts foretell and what many measured."""
    path = KEPT / "attempts.json"
    said: dict[str, list[int]] = json.loads(path.read_text()) if path.exists() else {}
    for task, right in said.items():
        yield foretell_coverage(task, MANY, right, FEW)


def check_agents() -> Iterator[Checked]:
    """Yield, for every family and way to agree, what few agents foretell of 16: along agents, and along seconds."""
    path = RESULTS / "contemplating" / "points.json"
    families: dict[str, list[dict[str, Any]]] = json.loads(path.read_text()) if path.exists() else {}
    for family, points in families.items():
        for way in AGREEING:
            by_agents = {n: next(p for p in points if p["name"] == way.format(n)) for n in AGENTS}
            for along in ("agents", "seconds"):
                x = [float(n) if along == "agents" else by_agents[n]["seconds"] for n in AGENTS]
                y = [sum(by_agents[n]["halves"]) / 200 for n in AGENTS]
                found = fit(Growth(), np.array(x[:-1]), np.array(y[:-1]))
                name = f"{family}, {way.format('n').split(',')[-1].strip()}"
                known = list(zip(x[:-1], y[:-1], strict=True))
                yield Forecast.make(name, along, found, known, [x[-1]]), [(x[-1], y[-1])]


def practised() -> Iterator[Checked]:
    """Yield how a long run of homework (of benchmarks/practising.py) went on, foretold from its first quarter."""
    lines = read_metrics(RESULTS / "practising" / "metrics.jsonl")
    for k in ("1", "16"):
        points = [(float(line["step"]), next(iter(line["pass"]["held_out"].values()))[k]) for line in lines]
        (_, start), *points = points
        known = [point for point in points if point[0] <= points[-1][0] / 4]
        found, _ = earliest(points, start)
        yield Forecast.make(f"pass@{k} of homework", "steps", found, known, [points[-1][0]]), points[len(known) :]


def summary(
    ladders: list[list[Rung]],
    checks: list[dict[str, Check]],
    attempts: list[Checked],
    agents: list[Checked],
) -> dict[str, float]:
    """Return the figures."""
    rows = [(of, check) for one in checks for of, check in one.items()]
    tries = [check for forecast, measured in attempts for check in forecast.check(dict(measured))]
    by = {
        along: [check for one, measured in agents if one.along == along for check in one.check(dict(measured))]
        for along in ("agents", "seconds")
    }

    def mean_error(found: list[Check]) -> float:
        return sum(abs(check.error) for check in found) / len(found)

    def inside(found: list[Check]) -> float:
        return 100 * sum(check.inside for check in found) / len(found)

    def width(found: list[Check], of_ratios: bool) -> float:
        ends = [(check.expected.low, check.expected.high) for check in found]
        return 100 * float(np.median([high / low - 1 if of_ratios else high - low for low, high in ends]))

    every = [check for _, check in rows] + tries + by["agents"] + by["seconds"]
    flops = sorted(rung.flops for rung in ladders[0])
    figures: dict[str, float] = {
        "loss_error_percent": mean_error([check for of, check in rows if of == LOSS]),
        "family_loss_error_percent": mean_error([check for of, check in rows if of.startswith(f"{LOSS} ")]),
        "accuracy_error_points": mean_error([check for of, check in rows if of.startswith(ACCURACY)]),
        "interval_coverage": inside(every),
        "interval_coverage_school": inside([check for _, check in rows]),
        "interval_coverage_attempts": inside(tries),
        "interval_width_percent": width([check for of, check in rows if not of.startswith(ACCURACY)], of_ratios=True),
        "interval_width_points": width([check for of, check in rows if of.startswith(ACCURACY)], of_ratios=False),
        "compute_ratio": flops[-1] / flops[-2],
        "seeds": len(ladders),
    }
    names = {"coverage_error_points": tries, "agents_error_points": by["agents"], "latency_error_points": by["seconds"]}
    figures |= {name: mean_error(found) for name, found in names.items() if found}
    if (KEPT / RATES).exists():
        first, last = json.loads((KEPT / RATES).read_text()).values()
        figures["rates_lost_percent"] = 100 * (last[min(first, key=first.__getitem__)] / min(last.values()) - 1)
    return figures


def draw(
    ladders: list[list[Rung]],
    forecasts: list[Forecast],
    others: list[Checked],
) -> None:
    """Draw the first seed's forecasts with the targets of all seeds, and the others."""
    targets = [outcome_of(max(rungs, key=lambda rung: rung.flops)) for rungs in ladders]
    panels: list[Checked] = [
        (forecast, [point for target in targets for point in target[forecast.of].items()])
        for forecast in forecasts
        if not forecast.of.startswith(f"{LOSS} ")
    ]
    forecast_panels([*panels, *others], KEPT / "forecasting.png")
    agents = next(one for one in others if one[0].along == "agents")
    forecast_panels([panels[0], *practised(), agents], HEADLINE)


if __name__ == "__main__":
    main()
