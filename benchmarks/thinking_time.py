"""The thinking-time penalty: does a model think longer, then shorter, then longer again and better?

    castalia pretrain countdown && python benchmarks/thinking_time.py --run runs/countdown
    python benchmarks/thinking_time.py --quick
    python benchmarks/thinking_time.py --plot        from what is recorded, nothing is run

Homework on countdown with four arms (none, constant, gated, alternating) over seeds, of equally many steps from one
model; the penalty begins after a quarter, and alternating is free of it in the last three eighths. It takes hours;
every run can be interrupted and goes on. A run has compressed where its thoughts are shortest after having been
longest, and extended again by how much they grow from there to its end. Figures are medians over seeds, an arm each:
`shorter` in per cent; `kept`, accuracy at the shortest less at the longest before; `extended` in per cent; `gained`,
the best accuracy after the shortest, of no more tokens than the longest had, less that at the longest; `over_none`,
accuracy at the end less that of the arm without a penalty, same seed; `over_none_equal`, the same less the best of
that arm with no more tokens. Accuracies are pass@1 on held-out problems, in points.
"""

import json
import shutil
import statistics
from pathlib import Path
from typing import Any, get_args

from harness import RESULTS, finish, options, trained
from plots import accuracy_and_length

from castalia.recipes import load_homework
from castalia.rl.guards import CollapseError
from castalia.rl.penalty import PenaltyConfig
from castalia.rl.run import practise
from castalia.training.metrics import read_metrics

ARMS: tuple[str, ...] = get_args(PenaltyConfig.__annotations__["arm"])
KEPT = RESULTS / "thinking_time"
COLLAPSED = "collapsed.txt"
"""In the directory of a run that its guards have stopped: why."""
Point = tuple[int, float, float]
"""Step, accuracy in points, tokens of a reply."""


def main() -> None:
    """Run what has not been run yet, and print."""
    parser = options(__doc__ or "", run=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=160)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=ARMS, help="run these alone, as in two processes")
    parser.add_argument("--out", type=Path, default=Path("runs/thinking_time"), help="where the runs are kept")
    parser.add_argument("--plot", action="store_true", help="draw and print what is recorded; run nothing")
    arguments = parser.parse_args()
    if arguments.plot:
        points = {path.stem: measured(read_metrics(path)) for path in sorted(KEPT.glob("*.jsonl"))}
    else:
        points = run_all(arguments)
    if arguments.record or arguments.plot:
        accuracy_and_length(points, KEPT / "thinking_time.png")
    finish("thinking_time", summary(points), arguments)


def run_all(arguments: Any) -> dict[str, list[Point]]:
    """Return the points of every arm and seed, running what is not done."""
    source = trained(arguments, ("countdown",))
    seeds, steps, out = arguments.seeds, arguments.steps, arguments.out
    if arguments.quick:
        seeds, steps, out = 1, 8, out / "quick"
    points: dict[str, list[Point]] = {}
    for seed in range(seeds):
        for arm in arguments.arms:
            settings = {
                "practice.seed": seed, "training.seed": seed, "training.steps": steps, "penalty.arm": arm,
                "penalty.begins": steps // 4, "penalty.phase": steps * 3 // 8, "practice.algorithm": "mean_baseline",
                "training.evaluate_every": max(1, steps // 20), "measure.samples": 8, "measure.passes": "1,8",
                "practice.difficulties": "4,5", "practice.rollouts": 8, "practice.tokens": 160, "length": 224,
                "penalty.weight": 1.0, "training.matrix_lr": 0.002, "training.other_lr": 0.0005,
                "training.schedule": "wsd", "training.checkpoint_every": steps // 4, "training.keep_checkpoints": 5,
            }  # fmt: skip
            name = f"{arm}-{seed}"
            print(f"{name}: {steps} steps", flush=True)
            homework = load_homework("countdown").override({key: str(value) for key, value in settings.items()})
            if arm != "none":
                branch(out / f"none-{seed}", out / name, steps // 4)
            if not (out / name / COLLAPSED).exists():
                try:
                    practise(homework, source, out / name)
                except CollapseError as error:
                    print(f"{name}: {error}", flush=True)
                    (out / name / COLLAPSED).write_text(f"{error}\n")
            lines = [line for line in read_metrics(out / name / "metrics.jsonl") if "pass" in line]
            points[name] = measured(lines)
            if arguments.record:
                KEPT.mkdir(parents=True, exist_ok=True)
                names = ("step", "pass", "tokens", "penalty", "flops")
                text = "".join(json.dumps({n: line[n] for n in names if n in line}) + "\n" for line in lines)
                (KEPT / f"{name}.jsonl").write_text(text)
    return points


def branch(run: Path, other: Path, step: int) -> None:
    """Let `other` begin as `run` was after `step` steps: until the penalty begins all arms of a seed are one run."""
    checkpoint = run / "checkpoints" / f"step-{step:08d}"
    if other.exists() or not checkpoint.exists():
        return
    partial = other.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(checkpoint, partial / "checkpoints" / checkpoint.name)
    lines = [line for line in read_metrics(run / "metrics.jsonl") if line["step"] <= step]
    (partial / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    partial.rename(other)


def measured(lines: list[dict[str, Any]]) -> list[Point]:
    """Return what a run has measured."""
    return [
        (line["step"], 100 * line["pass"]["held_out"]["countdown"]["1"], line["tokens"]["held_out"]["countdown"])
        for line in lines
        if "pass" in line
    ]


def phases(points: list[Point]) -> tuple[Point, Point, Point]:
    """Return where thoughts were longest before they were shortest, where they were shortest, and the end.

    The shortest is where they have fallen furthest from the longest before it.
    """
    pairs = [(one, other) for i, one in enumerate(points) for other in points[i:]]
    longest, shortest = max(pairs, key=lambda pair: 1 - pair[1][2] / pair[0][2])
    return longest, shortest, points[-1]


def best_within(tokens: float, points: list[Point]) -> float:
    """Return the best accuracy of so many tokens at most; that of the fewest tokens where none has so few."""
    within = [point[1] for point in points if point[2] <= tokens]
    return max(within) if within else min(points, key=lambda point: point[2])[1]


def summary(points: dict[str, list[Point]]) -> dict[str, float]:
    """Return the figures of every arm, medians over seeds."""
    figures: dict[str, float] = {}
    for arm in ARMS:
        mine = {name: its for name, its in points.items() if name.rpartition("-")[0] == arm}
        rows = []
        for name, its in mine.items():
            before, short, end = phases(its)
            control = points.get(f"none-{name.rpartition('-')[2]}", its)
            rows.append(
                {
                    "shorter": 100 * (1 - short[2] / before[2]),
                    "kept": short[1] - before[1],
                    "extended": 100 * (end[2] / short[2] - 1),
                    "gained": best_within(before[2], [p for p in its if p[0] >= short[0]]) - before[1],
                    "over_none": end[1] - control[-1][1],
                    "over_none_equal": end[1] - best_within(end[2], control),
                    "end_accuracy": end[1],
                    "end_tokens": end[2],
                }
            )
        names = ("end_accuracy", "end_tokens") if arm == "none" else (rows[0] if rows else ())
        figures |= {f"{name}_{arm}": statistics.median(row[name] for row in rows) for name in names if rows}
    return figures


if __name__ == "__main__":
    main()
