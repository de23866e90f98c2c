"""`nano`'s agents on countdown: what one reaches, and what several that contemplate reach in the time that one takes.

    python benchmarks/nano_agents.py                 ten minutes
    python benchmarks/nano_agents.py --quick
    python benchmarks/nano_agents.py --run runs/nano

As benchmarks/contemplating.py measures it, one question at a time, but at difficulties 1 to 3 alike, on questions of
its exam. `accuracy_equal_latency_countdown` is that of the best way to contemplate which takes no longer than the one
agent that is examined (`one_seconds_countdown`). Which way is best is seen on one half of the questions, how good it is
on the other.
"""

from pathlib import Path

from contemplating import AGENTS, Asked, gains, measure, one_agent, several
from harness import finish, options

from castalia.actions.catalog import build_actions
from castalia.data.catalog import build_task
from castalia.engine.engine import Engine
from castalia.evals.exam import SEED
from castalia.evals.examine import EASY
from castalia.evals.ways import usual_way
from castalia.reasoning.effort import Thinking
from castalia.shipped import find_run
from castalia.training.run import load_model, load_recipe_of

FAMILY = "countdown"


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
    examined = measure(asked, "one agent, as examined", usual_way(load_recipe_of(run).data, actions))
    one = [examined, *(measure(asked, name, way) for name, way in one_agent(Thinking()))]
    ways = [way for count in agents for way in several(count, Thinking()) if way[0].startswith("contemplating")]
    ours = [measure(asked, name, way) for name, way in ways]
    quick = [point for point in ours if point.seconds <= examined.seconds]
    best = max(quick, key=lambda point: point.halves[0], default=None)
    figures = {
        f"accuracy_equal_latency_{FAMILY}": best.halves[1] if best else 0.0,
        f"one_seconds_{FAMILY}": examined.seconds,
    }
    finish("nano_agents", gains(FAMILY, one, ours) | figures, arguments)


if __name__ == "__main__":
    main()
