"""How pass@k grows over a long run of homework, and whether its end could be foretold from its beginning.

    castalia pretrain countdown && castalia rl countdown --from runs/countdown --minutes 60
    python benchmarks/practising.py --run runs/countdown-homework
    python benchmarks/practising.py                 from what is recorded

`r_squared_1` and `r_squared_16` say how well pass@1 and pass@16 on held-out problems, measured while practising, lie on
a line over the logarithm of steps; `gain_*` by how many points they grow. `forecast_error_*` is the mean of the last
quarter as foretold from the first quarter of the steps, less what was measured there, in points, by the form that fits
the first quarter better.
"""

import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
from harness import RESULTS, finish, options
from plots import practice_curves

from castalia.forecast.fits import Fit, fit
from castalia.forecast.practice import LogLinear, Saturating, foretell
from castalia.training.metrics import read_metrics

KEPT = RESULTS / "practising"
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
        foretold = [foretell(steps, rates, form) for form in (LogLinear(), Saturating(start))]
        early, error = max(foretold, key=lambda found: found[0].r_squared)
        figures |= {f"r_squared_{k}": whole.r_squared, f"gain_{k}": 100 * (rates[-1] - start)}
        figures |= {f"forecast_error_{k}": error}
        curves[k] = steps, rates, whole, early
    if arguments.record or not arguments.run:
        practice_curves(curves, KEPT / "practising.png")
    finish("practising", figures, arguments)


def read_lines(arguments: Namespace) -> list[dict[str, Any]]:
    """Return the metrics of the run, or those that are recorded; record them where that is wanted."""
    if arguments.run is None:
        if not (lines := read_metrics(KEPT / "metrics.jsonl")):
            sys.exit(f"nothing is recorded in {KEPT}: give a run by --run")
        return lines
    lines = read_metrics(arguments.run / "metrics.jsonl")
    if arguments.record:
        KEPT.mkdir(parents=True, exist_ok=True)
        kept = ({name: line[name] for name in NAMES if name in line} for line in lines)
        (KEPT / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept))
    return lines


if __name__ == "__main__":
    main()
