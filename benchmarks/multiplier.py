"""How many times the compute of `ladder` its predecessor `maverick` needs to be as often right, and for which parts.

    python benchmarks/multiplier.py                            from what is recorded: fits, draws, prints
    python benchmarks/multiplier.py --rerun                    runs all ladders anew (it resumes), records them

Both recipes and `ladder` with each part of `maverick` alone have the same wall clock, sizes and seeds, both recipes
as many trials of learning rates; `maverick` then goes a size further, so that both reach something to compare.
`multiplier_low`, `multiplier_middle` and `multiplier_high` are at three accuracies that both reach, `…_from` and `…_to`
the ends of their intervals of 90 %, `accuracy_…` the accuracies, in per cent. `part_…` is how many times the compute
`ladder` needs with that part of `maverick`, at the middle one of what these two reach.
"""

import sys
from pathlib import Path
from typing import Any

from harness import RESULTS, finish, options
from plots import accuracy_by_compute

from castalia.console import console
from castalia.forecast.ladder import Rung, read_ladder, write_ladder
from castalia.forecast.multiplier import Multiplier, climb_all, compared, growth, mean_accuracy
from castalia.recipes import load_parts, load_recipe

KEPT = RESULTS / "multiplier"
OURS, OTHER = "ladder", "maverick"
PLACES = ("low", "middle", "high")
FURTHER = 1
"""Sizes that the predecessor goes beyond those of all."""
QUESTIONS = 50


def main() -> None:
    """Run what is to be run, compare, draw and print."""
    parser = options(__doc__ or "")
    parser.add_argument("--rerun", action="store_true", help="run the ladders anew")
    parser.add_argument("--minutes", type=float, default=126, help="wall clock of all ladders together")
    parser.add_argument("--some", nargs="*", help="of the parts only these are run (default: all)")
    parser.add_argument("--seeds", type=int, default=2, help="runs of every size")
    parser.add_argument("--out", type=Path, default=Path("runs/multiplier"), help="where the runs are kept")
    arguments = parser.parse_args()
    if arguments.rerun:
        parts = load_parts(OTHER)
        some = {name: parts[name] for name in (parts if arguments.some is None else arguments.some)}
        minutes = arguments.minutes * (2 + len(some)) / (2 + len(parts))
        ours, other = load_recipe(OURS), load_recipe(OTHER)
        rerun = climb_all(
            ours,
            other,
            some,
            arguments.out,
            minutes,
            seeds=arguments.seeds,
            questions=QUESTIONS,
            further=FURTHER,
            report=report,
        )
        KEPT.mkdir(parents=True, exist_ok=True)
        for name, (recipe, rungs) in rerun.items():
            write_ladder(path_of(name), recipe, rungs)
    if not (KEPT / f"{OTHER}.json").exists():
        sys.exit(f"nothing is recorded in {KEPT}: --rerun runs it")
    names = [OURS, OTHER, *(name for name in load_parts(OTHER) if path_of(name).exists())]
    ladders: dict[str, list[Rung]] = {name: read_ladder(path_of(name))[1] for name in names}
    rows = compared(ladders)
    if arguments.record or not arguments.rerun:
        points = {name: [(one.flops, 100 * mean_accuracy(one)) for one in rungs] for name, rungs in ladders.items()}
        accuracy_by_compute(points, {name: growth(rungs) for name, rungs in ladders.items()}, KEPT / "multiplier.png")
    finish("multiplier", figures(rows), arguments)


def report(name: str, line: dict[str, Any]) -> None:
    """Say how far a run has come."""
    console.print(f"{name}: step {line['step']}, loss {line['loss']:.3f}", end="\r")


def path_of(name: str) -> Path:
    """Return where the ladder of a recipe or of a part is recorded."""
    return KEPT / f"{name.replace(' ', '_')}.json"


def figures(rows: dict[str, list[Multiplier]]) -> dict[str, float]:
    """Return the figures of what was compared."""
    found = {}
    for place, one in zip(PLACES, rows.pop(OTHER), strict=True):
        found |= {f"multiplier_{place}": one.value, f"accuracy_{place}": 100 * one.accuracy}
        found |= {f"multiplier_{place}_from": one.low, f"multiplier_{place}_to": one.high}
    for name, its in ((f"part_{name.replace(' ', '_')}", its) for name, its in rows.items() if its):
        found |= {name: its[1].value, f"{name}_from": its[1].low, f"{name}_to": its[1].high}
    return found


if __name__ == "__main__":
    main()
