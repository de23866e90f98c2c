"""Several agents at one agent's latency: accuracy against seconds and, beside it, against all tokens written.

    castalia pretrain contemplating                     the model that is examined, 35 minutes
    python benchmarks/contemplating.py --run runs/contemplating
    python benchmarks/contemplating.py --quick
    python benchmarks/contemplating.py --plot docs/images/contemplating.png    from what is recorded

A family is examined on the first run that has learned it together with being several agents, acting where it has
learned to act, at the first difficulty at which one agent is right between 20 and 80 % of the time. Questions are asked
one at a time, as by one user. One agent has growing budgets of thought (its effort), greedily and at the temperature of
the others; the baselines and contemplating have 2, 4, 8 and 16 agents. Seconds are medians over questions.
`gain_equal_latency_FAMILY` is contemplating's best accuracy less the best that one agent reaches in no more seconds
(or, if even its quickest way takes longer, in that one); `gain_equal_tokens_FAMILY` likewise by tokens.
Which of the ways is best is seen on one half of the questions, the gain on the other.
"""

import json
import statistics
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from harness import FIGURES, finish, options, trained
from plots import cost_against_accuracy

from castalia.actions.catalog import build_actions
from castalia.data.catalog import build_task
from castalia.document import Document
from castalia.engine.engine import Engine
from castalia.reasoning.contemplate import Contemplate
from castalia.reasoning.effort import Thinking
from castalia.reasoning.strategies import BestOf, FirstToFinish, Majority, OneChain, Strategy
from castalia.tasks.effort import EFFORTS
from castalia.tasks.task import Example, Task
from castalia.training.run import load_model, load_recipe_of

POINTS = FIGURES.parent / "results" / "contemplating" / "points.json"
"""What is recorded of every way."""
FAMILIES = ("countdown", "mazes", "charts")
AGENTS = (2, 4, 8, 16)
TEMPERATURE = 0.5
"""At which agents draw their tokens."""


@dataclass(frozen=True)
class Point:
    """What one way reached: accuracy on both halves of the questions in per cent, median seconds, mean tokens."""

    name: str
    halves: tuple[float, float]
    seconds: float
    tokens: float

    @property
    def accuracy(self) -> float:
        """Accuracy on all questions, in per cent."""
        return sum(self.halves) / 2


def main() -> None:
    """Measure and print; or plot."""
    parser = options(__doc__ or "", run=True)
    parser.add_argument("--plot", type=Path, help="measure nothing; draw what was recorded last")
    arguments = parser.parse_args()
    if arguments.plot:
        cost_against_accuracy(json.loads(POINTS.read_text()), arguments.plot)
        return
    n, agents = (20, (4,)) if arguments.quick else (200, AGENTS)
    figures: dict[str, float] = {}
    points: dict[str, list[dict]] = {}
    for family in FAMILIES[:1] if arguments.quick else FAMILIES:
        run = trained(arguments, (family,), merging=True)
        engine, data, task = Engine(*load_model(run)), load_recipe_of(run).data, build_task(family)
        acts = data.acting > 0 and (not data.acting_in or family in data.acting_in)
        thinking = Thinking("high" if acts else "medium", build_actions(("canvas", "tools")) if acts else None)
        difficulty = fitting(engine, task, data.difficulties, thinking, 100)
        examples = [task.sample(seed, difficulty, "held_out") for seed in range(n)]
        print(f"{family}, difficulty {difficulty}, {n} questions", flush=True)
        one = [measure(engine, task, examples, name, way) for name, way in one_agent(thinking)]
        others = [
            measure(engine, task, examples, name, way) for count in agents for name, way in several(count, thinking)
        ]
        ours = [point for point in others if point.name.startswith("contemplating")]
        figures |= gains(family, one, ours) | {f"difficulty_{family}": difficulty}
        points[family] = [asdict(point) for point in (*one, *others)]
        if arguments.record:
            POINTS.write_text(json.dumps(points, indent=1) + "\n")
    finish("contemplating", figures, arguments)


def fitting(engine: Engine, task: Task, trained_at: tuple[int, ...], thinking: Thinking, n: int) -> int:
    """Return the first difficulty at which one agent is right between 20 and 80 % of the time.

    Those it was trained at come first, then harder ones.
    """
    for difficulty in [*trained_at, *range(max(trained_at) + 1, 11)]:
        examples = [task.sample(10_000 + seed, difficulty, "held_out") for seed in range(n)]
        right = scores(engine, task, examples, OneChain(thinking=thinking))[0]
        if 0.2 <= statistics.fmean(right) <= 0.8:
            return difficulty
    return 10


def one_agent(thinking: Thinking) -> list[tuple[str, Strategy]]:
    """Return one agent at growing budgets, taking the likeliest tokens or drawing them, and as the others think."""
    ways: list[tuple[str, Strategy]] = []
    for effort in EFFORTS[1:]:
        ways.append((f"one agent, {effort}", OneChain(thinking=Thinking(effort))))
        ways.append((f"one agent, {effort}, drawn", OneChain(thinking=Thinking(effort), temperature=TEMPERATURE)))
    if thinking.acts:
        for effort in ("medium", "high"):
            ways.append((f"one agent, {effort}, acting", OneChain(thinking=replace(thinking, effort=effort))))
    return ways


def several(count: int, thinking: Thinking) -> list[tuple[str, Strategy]]:
    """Return the baselines and contemplating with so many agents."""
    t = TEMPERATURE
    ways: list[tuple[str, Strategy]] = [
        (f"majority of {count}", Majority(count, thinking, t)),
        (f"weighted majority of {count}", Majority(count, thinking, t, weighted=True)),
        (f"best of {count} by the verifier", BestOf(count, thinking, t)),
        (f"first half of {count} to finish", FirstToFinish(count, thinking, t, enough=max(1, count // 2))),
        (f"contemplating, {count} agents", Contemplate(count, thinking, t)),
        (f"contemplating, {count} agents, until half have found", Contemplate(count, thinking, t, enough=count // 2)),
        (f"contemplating, {count} agents, until one has found", Contemplate(count, thinking, t, enough=1)),
    ]
    if not thinking.acts:
        ways.append((f"contemplating, {count} agents, low", Contemplate(count, Thinking("low"), t)))
    return ways


def scores(engine: Engine, task: Task, examples: list[Example], way: Strategy) -> tuple[list[float], list, list]:
    """Return values, seconds and tokens of every question, asked one at a time."""
    values, seconds, tokens = [], [], []
    for number, example in enumerate(examples):
        index = number % len(example.questions)
        if isinstance(way, BestOf):
            way = replace(way, score=partial(verified, task, example, index))
        verdict = way.answer(engine, [example.prompt(index)], seed=number)[0]
        values.append(task.score(example, verdict.answer, index).value)
        seconds.append(verdict.seconds)
        tokens.append(verdict.tokens)
    return values, seconds, tokens


def verified(task: Task, example: Example, index: int, prompt: Document, answer: str) -> float:
    """Return what the family's verifier says of an answer."""
    return task.score(example, answer, index).value


def measure(engine: Engine, task: Task, examples: list[Example], name: str, way: Strategy) -> Point:
    """Ask all questions in one way."""
    values, seconds, tokens = scores(engine, task, examples, way)
    halves = 100 * statistics.fmean(values[::2]), 100 * statistics.fmean(values[1::2])
    point = Point(name, halves, statistics.median(seconds), statistics.fmean(tokens))
    print(
        f"  {name}: {point.accuracy:.1f} %, {1000 * point.seconds:.0f} ms, {point.tokens:.0f} tokens",
        flush=True,
    )
    return point


def gains(family: str, one: list[Point], ours: list[Point]) -> dict[str, float]:
    """Return contemplating's gain over one agent at equal seconds and at equal tokens, in points."""
    best = max(ours, key=lambda point: point.halves[0])
    figures = {
        f"accuracy_{family}": best.accuracy,
        f"accuracy_one_{family}": max(point.accuracy for point in one),
        f"seconds_{family}": best.seconds,
    }
    for what, cost in (("latency", best.seconds), ("tokens", best.tokens)):
        costs = [point.seconds if what == "latency" else point.tokens for point in one]
        within = [point for point, its in zip(one, costs, strict=True) if its <= max(cost, min(costs))]
        rival = max(within, key=lambda point: point.halves[0])
        figures[f"gain_equal_{what}_{family}"] = best.halves[1] - rival.halves[1]
    return figures


if __name__ == "__main__":
    main()
