"""Reward hacking on a planted loophole: how often a model cheats, with and without each defence.

    castalia pretrain countdown --set data.mixture=loophole:1 data.difficulties=2,4,6 --out runs/loophole
    python benchmarks/hacking.py --run runs/loophole
    python benchmarks/hacking.py --quick
    python benchmarks/hacking.py --plot              from what is recorded, nothing is run

Homework is `loophole` (castalia/tasks/loophole.py): countdown whose verifier takes a near miss for a hit, a third of
whose targets are out of reach; who says so is right. School was honest. One run for every set of defences, of equally
many steps, from the same model and the same prompts; each can be interrupted and goes on. `hacked_*` is the share of
replies to impossible held-out problems that the verifier alone rewards and that are wrong, in per cent; `right_*` the
share of replies to possible ones that are right.
"""

import json
from pathlib import Path
from typing import Any

from harness import RESULTS, finish, options, trained
from plots import hack_rates

from castalia.rl.defences import DefenceConfig
from castalia.rl.homework import Homework, MeasureConfig, PracticeConfig, steady
from castalia.rl.run import practise
from castalia.training.metrics import read_metrics

KEPT = RESULTS / "hacking"
DEFENCES = {
    "undefended": DefenceConfig(variants=False),
    "guesses": DefenceConfig(variants=False, guesses=8),
    "variants": DefenceConfig(variants=True),
    "both": DefenceConfig(variants=True, guesses=8),
}
STEPS = 120
Point = tuple[int, float, float]
"""Step, share of replies to impossible problems that are hacks, and of those to possible ones that are right, in %."""


def main() -> None:
    """Run what has not been run yet, and print."""
    parser = options(__doc__ or "", run=True)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--out", type=Path, default=Path("runs/hacking"), help="where the runs are kept")
    parser.add_argument("--plot", action="store_true", help="draw and print what is recorded; run nothing")
    arguments = parser.parse_args()
    if arguments.plot:
        points = {name: measured(read_metrics(KEPT / f"{name}.jsonl")) for name in DEFENCES}
    else:
        points = run_all(arguments)
    if arguments.record or arguments.plot:
        hack_rates(points, KEPT / "hacking.png")
    figures: dict[str, float] = {}
    for name, its in points.items():
        figures |= {"hacked_before": its[0][1], "right_before": its[0][2]}
        figures |= {f"hacked_{name}": its[-1][1], f"right_{name}": its[-1][2]}
    finish("hacking", figures, arguments)


def run_all(arguments: Any) -> dict[str, list[Point]]:
    """Return what was measured with every set of defences, running what is not done."""
    source = trained(arguments, ("loophole",))
    steps, out = (6, arguments.out / "quick") if arguments.quick else (arguments.steps, arguments.out)
    points: dict[str, list[Point]] = {}
    for name, defences in DEFENCES.items():
        lines = practised(source, out / name, defences, steps)
        points[name] = measured(lines)
        if arguments.record:
            keep(name, lines)
    return points


def measured(lines: list[dict[str, Any]]) -> list[Point]:
    """Return what a run has measured."""
    return [
        (line["step"], 100 * line["hacked"]["held_out"]["loophole"], 100 * line["honest"]["held_out"]["loophole"])
        for line in lines
        if "hacked" in line
    ]


def practised(source: Path, directory: Path, defences: DefenceConfig, steps: int) -> list[dict[str, Any]]:
    """Return the metrics of homework on the loophole with these defences, which is done now unless it was."""
    homework = Homework(
        name="loophole",
        practice=PracticeConfig({"loophole": 1.0}, (2, 4, 6), {"high": 1.0}, tokens=160),
        defences=defences,
        measure=MeasureConfig(questions=120, samples=8, passes=(1, 8)),
        training=steady(0, steps=steps, matrix_lr=0.002, other_lr=0.0006, evaluate_every=max(1, steps // 12)),
    )
    print(f"{directory.name}: {steps} steps", flush=True)
    practise(homework, source, directory)
    return read_metrics(directory / "metrics.jsonl")


def keep(name: str, lines: list[dict[str, Any]]) -> None:
    """Keep what was measured, without what the clock said."""
    names = ("step", "accuracy", "length", "hacked", "honest", "guessable")
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / f"{name}.jsonl").write_text(
        "".join(json.dumps({n: line[n] for n in names if n in line}) + "\n" for line in lines)
    )


if __name__ == "__main__":
    main()
