"""Several agents at one agent's latency: accuracy against seconds and, beside it, against all tokens written.

    castalia pretrain contemplating                     the model for countdown and charts, 25 minutes
    castalia pretrain visual_thought                    the one for mazes, which its agents draw in, 45 minutes
    python benchmarks/contemplating.py --run runs/visual_thought runs/contemplating          20 minutes
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
from pathlib import Path

from harness import RESULTS, finish, options, trained
from plots import cost_against_accuracy

from castalia.actions.catalog import build_actions
from castalia.data.catalog import build_task
from castalia.engine.engine import Engine
from castalia.reasoning.contemplate import Contemplate
from castalia.reasoning.effort import Thinking
from castalia.reasoning.strategies import FirstToFinish, Majority, OneChain, Strategy, Verdict, vote
from castalia.tasks.effort import EFFORTS
from castalia.tasks.task import Example, Task
from castalia.training.run import load_model, load_recipe_of

POINTS = RESULTS / "contemplating" / "points.json"
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
    n, agents = (20, (4,)) if arguments.quick else (150, AGENTS)
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
        asked = Asked(engine, task, examples)
        one = [measure(asked, name, way) for name, way in one_agent(thinking)]
        others: list[Point] = []
        for count in agents:
            others += votes(asked, count, thinking)
            others += [measure(asked, name, way) for name, way in several(count, thinking)]
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
        right = measure(Asked(engine, task, examples), "one agent", OneChain(thinking=thinking)).accuracy
        if 20 <= right <= 80:
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
    """Return those with so many agents that do not wait for all of them, or let one more write the answer."""
    t = TEMPERATURE
    ways: list[tuple[str, Strategy]] = [
        (f"first half of {count} to finish", FirstToFinish(count, thinking, t, enough=max(1, count // 2))),
        (f"contemplating, {count} agents", Contemplate(count, thinking, t)),
        (f"contemplating, {count} agents, unless half agree", Contemplate(count, thinking, t, quorum=0.5)),
        (f"contemplating, {count} agents, until half have found", Contemplate(count, thinking, t, enough=count // 2)),
        (f"contemplating, {count} agents, until one has found", Contemplate(count, thinking, t, enough=1)),
    ]
    if not thinking.acts:
        ways.append((f"contemplating, {count} agents, low", Contemplate(count, Thinking("low"), t)))
    return ways


@dataclass(frozen=True)
class Asked:
    """Who is asked what."""

    engine: Engine
    task: Task
    examples: list[Example]

    def verdicts(self, way: Strategy) -> list[Verdict]:
        """Ask all questions in one way, one at a time."""
        return [self.verdict(way, number) for number in range(len(self.examples))]

    def verdict(self, way: Strategy, number: int) -> Verdict:
        """Ask question `number`."""
        example = self.examples[number]
        return way.answer(self.engine, [example.prompt(number % len(example.questions))], seed=number)[0]

    def right(self, number: int, answer: str) -> float:
        """Return what the family's verifier says of an answer to question `number`."""
        example = self.examples[number]
        return self.task.score(example, answer, number % len(example.questions)).value


def measure(asked: Asked, name: str, way: Strategy) -> Point:
    """Ask all questions in one way."""
    return summed_up(asked, name, asked.verdicts(way))


def summed_up(asked: Asked, name: str, verdicts: list[Verdict]) -> Point:
    """Judge what one way has answered to all questions, and print."""
    return point(name, [asked.right(number, verdict.answer) for number, verdict in enumerate(verdicts)], verdicts)


def votes(asked: Asked, count: int, thinking: Thinking) -> list[Point]:
    """Ask so many agents once, and take the majority, the majority by confidence, and the best by the verifier."""
    verdicts = asked.verdicts(Majority(count, thinking, TEMPERATURE))
    each = [(number, verdict.replies) for number, verdict in enumerate(verdicts)]
    values: dict[str, list[float]] = {
        f"majority of {count}": [asked.right(n, vote(its)) for n, its in each],
        f"weighted majority of {count}": [asked.right(n, vote(its, weighted=True)) for n, its in each],
        f"best of {count} by the verifier": [max(asked.right(n, reply.answer) for reply in its) for n, its in each],
    }
    return [point(name, right, verdicts) for name, right in values.items()]


def point(name: str, right: list[float], verdicts: list[Verdict]) -> Point:
    """Sum up, and print."""
    halves = 100 * statistics.fmean(right[::2]), 100 * statistics.fmean(right[1::2])
    seconds = statistics.median(verdict.seconds for verdict in verdicts)
    made = Point(name, halves, seconds, statistics.fmean(verdict.tokens for verdict in verdicts))
    print(f"  {name}: {made.accuracy:.1f} %, {1000 * made.seconds:.0f} ms, {made.tokens:.0f} tokens", flush=True)
    return made


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
