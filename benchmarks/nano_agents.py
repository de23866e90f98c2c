"""`nano`'s agents on countdown: what one reaches, and what several that contemplate reach in the time that one takes.

    python benchmarks/nano_agents.py                 half an hour
    python benchmarks/nano_agents.py --quick
    python benchmarks/nano_agents.py --run runs/nano

As benchmarks/contemplating.py measures it, one question at a time, but at difficulties 1 to 3 alike, on questions of
its exam. `accuracy_equal_latency_countdown` is that of the best way to contemplate which takes no longer than the one
agent that is examined (`one_seconds_countdown`): those that come near it are asked again side by side with it, question
by question. Which way is best is seen on one half of the questions, how good it is on the other.
"""

from pathlib import Path

from contemplating import AGENTS, TEMPERATURE, Asked, Point, gains, measure, one_agent, several, summed_up
from harness import finish, options

from castalia.actions.catalog import build_actions
from castalia.data.catalog import build_task
from castalia.engine.engine import Engine
from castalia.evals.exam import SEED
from castalia.evals.examine import EASY
from castalia.evals.ways import usual_way
from castalia.reasoning.contemplate import Contemplate
from castalia.reasoning.effort import Thinking
from castalia.reasoning.strategies import Strategy
from castalia.shipped import find_run
from castalia.training.run import load_model, load_recipe_of

FAMILY = "countdown"
NEAR = 1.5
"""Ways that take up to so many times as long as the one agent are timed again beside it: machines are noisy."""


def main() -> None:
    """Measure and print."""
    parser = options(__doc__ or "")
    parser.add_argument("--run", type=Path, help="run directory (default: the model that comes with the package)")
    arguments = parser.parse_args()
    n, agents = (10, AGENTS[:2]) if arguments.quick else (100, AGENTS)
    run, task, actions = find_run(arguments.run), build_task(FAMILY), build_actions(("canvas", "tools"))
    # Of three difficulties in turn, every other question is as often of each.
    examples = [task.sample(SEED + number, level, "held_out") for number in range(n) for level in EASY]
    asked = Asked(Engine(*load_model(run)), task, examples)
    way = ("one agent, as examined", usual_way(load_recipe_of(run).data, actions))
    one = [measure(asked, *way), *(measure(asked, *other) for other in one_agent(Thinking()))]
    ways = [way for count in agents for way in contemplating(count)]
    ours = [measure(asked, *way) for way in ways]
    near = [way for way, its in zip(ways, ours, strict=True) if its.seconds <= NEAR * one[0].seconds]
    print("side by side:")
    examined, *beside = side_by_side(asked, [way, *near])
    quick = [its for its in beside if its.seconds <= examined.seconds]
    figures = {f"one_seconds_{FAMILY}": examined.seconds}
    if quick:
        figures[f"accuracy_equal_latency_{FAMILY}"] = max(quick, key=lambda its: its.halves[0]).halves[1]
    finish("nano_agents", gains(FAMILY, one, ours) | figures, arguments)


def contemplating(count: int) -> list[tuple[str, Strategy]]:
    """Return the ways in which so many agents contemplate."""
    ways = [way for way in several(count, Thinking()) if way[0].startswith("contemplating")]
    first = Contemplate(count, Thinking("low"), TEMPERATURE, enough=1)
    return [*ways, (f"contemplating, {count} agents, low, until one has found", first)]


def side_by_side(asked: Asked, ways: list[tuple[str, Strategy]]) -> list[Point]:
    """Ask every question in all ways, one after the other, before the next."""
    verdicts = [[asked.verdict(way, number) for _, way in ways] for number in range(len(asked.examples))]
    return [
        summed_up(asked, name, its) for (name, _), its in zip(ways, map(list, zip(*verdicts, strict=True)), strict=True)
    ]


if __name__ == "__main__":
    main()
