"""Accuracy by way of thinking: by effort, with and without actions, one chain or several agents that contemplate."""

from collections.abc import Callable, Mapping
from typing import Any

from castalia.actions.action import Action
from castalia.data.mixture import DataConfig
from castalia.engine.engine import Engine
from castalia.evals.examine import examine
from castalia.reasoning.contemplate import Contemplate
from castalia.reasoning.effort import Thinking
from castalia.reasoning.strategies import OneChain, Strategy
from castalia.tasks.effort import EFFORTS
from castalia.tasks.task import Task

AGENTS = 4
"""Agents that contemplate."""


def learned_ways(data: DataConfig, actions: Mapping[str, Action]) -> dict[str, Strategy]:
    """Return the ways of thinking that a model has learned from `data`, by name."""
    ways: dict[str, Strategy] = {}
    if data.efforts:
        ways |= {effort: OneChain(thinking=Thinking(effort)) for effort in EFFORTS}
    if data.acts:
        ways["acting"] = OneChain(thinking=Thinking(actions=actions))
    if data.merging:
        ways[f"{AGENTS} agents"] = Contemplate(AGENTS)
    return {"medium": OneChain()} | ways if ways else {}


def usual_way(data: DataConfig, actions: Mapping[str, Action]) -> Strategy:
    """Return how a model that has learned from `data` is examined: by one chain, that may act if it has learned to."""
    return OneChain(thinking=Thinking(actions=actions if data.acts else None))


def compare_ways(
    engine: Engine,
    tasks: dict[str, Task],
    ways: dict[str, Strategy],
    *,
    difficulties: tuple[int, ...],
    n: int,
    progress: Callable[[str], None] | None = None,
) -> dict[str, dict[str, Any]]:
    """Return ``{way: {family: {accuracy, n}}}``, the mean over difficulties; all ways are asked the same questions."""
    compared: dict[str, dict[str, Any]] = {}
    for name, strategy in ways.items():
        if progress:
            progress(name)
        compared[name] = examine(engine, tasks, difficulties=difficulties, n=n, strategy=strategy).means()
    return compared
