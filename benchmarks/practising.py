"""How pass@k grows over a long run of homework, and whether its end could be foretold from its beginning.

    castalia pretrain countdown --steps 400 --out runs/countdown-short
    castalia rl countdown --from runs/countdown-short --out runs/countdown-hour \\
        --set training.keep_checkpoints=200 training.checkpoint_seconds=240
    python benchmarks/practising.py --run runs/countdown-hour
    python benchmarks/practising.py                 from what is recorded

pass@k is measured anew from all checkpoints that were kept, with four times the samples, on problems like those that
were practised (`train`), on held-out ones, and on harder ones than were ever practised (`harder`). `r_squared_1` and
`r_squared_16` say how well pass@1 and pass@16 on held-out problems lie on a line over the logarithm of steps; `gain_*`
by how many points they grow. `forecast_error_*` is the mean of the last quarter as foretold from the first quarter of
the steps, less what was measured there, in points, by the form that fits the first quarter better (of those that have
fewer parameters than it has points).
"""

import json
import sys
from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from harness import RESULTS, finish, options
from plots import practice_curves

from castalia.data.catalog import build_task
from castalia.engine.engine import Engine
from castalia.forecast.fits import Fit, fit
from castalia.forecast.practice import LogLinear, earliest
from castalia.model.decoder import Decoder
from castalia.rl.homework import MeasureConfig
from castalia.rl.measure import measure
from castalia.rl.practice import ways_of
from castalia.rl.rollouts import roll_out
from castalia.rl.run import MEMORY, POSITIONS, load_homework_of
from castalia.training.checkpoint import list_checkpoints, load_checkpoint
from castalia.training.metrics import read_metrics
from castalia.training.run import load_perception, load_recipe_of, load_weights

KEPT = RESULTS / "practising"
QUESTIONS = 300
"""Held-out questions a difficulty: so many that pass@16 is measured within a point."""
NAMES = ("step", "flops", "pass", "right", "tokens", "accuracy", "length", "entropy", "rates")


def main() -> None:
    """Read, fit, draw and print."""
    parser = options(__doc__ or "")
    parser.add_argument("--run", type=Path, help="a run of homework (default: what is recorded)")
    arguments = parser.parse_args()
    lines = read_lines(arguments)
    (task,) = {task for line in lines if "pass" in line for task in line["pass"]["held_out"]}
    curves: dict[str, tuple[list[float], list[float], Fit, Fit]] = {}
    figures: dict[str, float] = {}
    for k in ("1", "16"):
        points = [(line["step"], line["pass"]["held_out"][task][k]) for line in lines if "pass" in line]
        start = points[0][1]
        steps, rates = [step for step, _ in points[1:]], [rate for _, rate in points[1:]]
        whole = fit(LogLinear(), np.array(steps), np.array(rates))
        early, error = earliest(points[1:], start)
        figures |= {f"r_squared_{k}": whole.r_squared, f"gain_{k}": 100 * (rates[-1] - start)}
        figures |= {f"forecast_error_{k}": error}
        curves[k] = steps, rates, whole, early
    if arguments.record or not arguments.run:
        practice_curves(curves, KEPT / "practising.png")
    finish("practising", figures, arguments)


def measure_all(run: Path) -> list[dict[str, Any]]:
    """Return what every kept checkpoint of a run can do, the model it began with among them; what is known is kept."""
    homework, source = load_homework_of(run)
    perception, model = load_perception(run), Decoder(load_recipe_of(run).model)
    tasks = {name: build_task(name) for name in homework.practice.tasks}
    way = next(iter(ways_of(homework.practice, None).values()))
    practised, harder = homework.practice.difficulties, (max(homework.practice.difficulties) + 1,)
    parts = {
        "held_out": (MeasureConfig(("held_out",), QUESTIONS, 64), practised),
        "train": (MeasureConfig(("train",), 50, 16), practised),
        "harder": (MeasureConfig(("held_out",), 50, 16), harder),
    }
    weights = {0: lambda: load_weights(run.parent / source)}
    for path in list_checkpoints(run / "checkpoints"):
        weights[int(path.name.removeprefix("step-"))] = lambda path=path: load_checkpoint(path)[0]["model"]
    kept = run / f"measured-{QUESTIONS}.jsonl"
    known = {line["step"]: line for line in read_metrics(kept)}
    for step, load in weights.items():
        if step in known:
            continue
        model.load_state_dict(load())
        engine = Engine(model, perception, memory=MEMORY, positions=POSITIONS)
        line: dict[str, Any] = {"step": step, "pass": {}, "tokens": {}}
        for name, (config, difficulties) in parts.items():
            found = measure(partial(roll_out, engine), tasks, config, difficulties, way)
            line["pass"][name], line["tokens"][name] = (found[what][config.splits[0]] for what in ("pass", "tokens"))
        with open(kept, "a") as file:
            file.write(json.dumps(line) + "\n")
        known[step] = line
        print(line, flush=True)
    return [line for _, line in sorted(known.items())]


def read_lines(arguments: Namespace) -> list[dict[str, Any]]:
    """Return the metrics of the run, or those that are recorded; record them where that is wanted."""
    if arguments.run is None:
        if not (lines := read_metrics(KEPT / "metrics.jsonl")):
            sys.exit(f"nothing is recorded in {KEPT}: give a run by --run")
        return lines
    lines = measure_all(arguments.run)
    if arguments.record:
        KEPT.mkdir(parents=True, exist_ok=True)
        tried = read_metrics(arguments.run / "metrics.jsonl")
        kept = [{name: line[name] for name in NAMES if name in line} for line in tried]
        for name, rows in {"metrics": lines, "practised": kept}.items():
            (KEPT / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return lines


if __name__ == "__main__":
    main()
