"""Effort: how much the model may think before it answers. It is told, and the engine holds it to it."""

from dataclasses import dataclass
from typing import Literal

from castalia.document import Document, Part
from castalia.engine.request import Budget
from castalia.errors import EngineError, nearest

Effort = Literal["none", "minimal", "low", "medium", "high"]

THINKING: dict[Effort, int] = {"none": 0, "minimal": 16, "low": 48, "medium": 128, "high": 512}
"""Tokens of thought at most, by effort; at the limit thoughts are ended and the model answers."""
ACTIONS: dict[Effort, int] = {"none": 0, "minimal": 0, "low": 4, "medium": 16, "high": 64}
"""Actions at most, by effort."""
ANSWER = 96
"""Tokens an answer may take beyond the thoughts."""


@dataclass(frozen=True)
class Thinking:
    """A prompt that says how much thought is wanted, and the budget that goes with it."""

    prompt: Document
    budget: Budget


def with_effort(prompt: Document, effort: Effort, seconds: float | None = None) -> Thinking:
    """Tell the model of `effort`, and limit it. Raises EngineError for an unknown one."""
    if effort not in THINKING:
        raise EngineError(f"unknown effort {effort!r}: {nearest(effort, THINKING)}")
    thinking = THINKING[effort]
    told = Document((Part(effort, "system"),)) + prompt
    return Thinking(told, Budget(thinking + ANSWER, thinking, seconds, ACTIONS[effort]))
