"""Effort: how much the model may think before it answers. It is told, and the engine holds it to it."""

from dataclasses import dataclass

from castalia.document import Document
from castalia.engine.request import Budget
from castalia.errors import EngineError, nearest
from castalia.tasks.effort import THINKING, Effort, tell

ACTIONS: dict[Effort, int] = {"none": 0, "minimal": 0, "low": 4, "medium": 16, "high": 64}
"""Actions at most, by effort."""
ANSWER = 96
"""Tokens an answer may take beyond the thoughts."""


@dataclass(frozen=True)
class Thinking:
    """A prompt that says how much thought is wanted, and the budget that goes with it."""

    prompt: Document
    budget: Budget


def with_effort(
    prompt: Document, effort: Effort = "medium", *, acting: bool = False, seconds: float | None = None
) -> Thinking:
    """Tell the model of `effort` and of its actions, and limit both. Raises EngineError for an unknown effort."""
    if effort not in THINKING:
        raise EngineError(f"unknown effort {effort!r}: {nearest(effort, THINKING)}")
    thinking, actions = THINKING[effort], ACTIONS[effort] if acting else 0
    told = tell(effort, acting=actions > 0) + prompt
    return Thinking(told, Budget(thinking + ANSWER, thinking, seconds, actions))
