"""Rollouts: several replies to every prompt, scored by the task's verifier."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from castalia.engine.engine import Engine
from castalia.engine.request import Reply, Request, Sampling
from castalia.reasoning.effort import Thinking
from castalia.reasoning.strategies import ENDED
from castalia.tasks.task import Example, Task


@dataclass(frozen=True)
class Prompt:
    """A question that is tried, and how it is thought about."""

    task: str
    example: Example
    index: int = 0
    thinking: Thinking = field(default_factory=Thinking)


@dataclass
class Rollout:
    """One reply, and those of the agents that it sent out; what the verifier says; what it is rewarded with."""

    reply: Reply
    value: float
    reward: float
    agents: list[Reply] = field(default_factory=list)

    @property
    def replies(self) -> list[Reply]:
        """All that was written for it."""
        return [self.reply, *self.agents]

    @property
    def length(self) -> int:
        """Tokens written in the reply."""
        return len(self.reply.tokens)

    @property
    def ended(self) -> bool:
        """Whether it came to an end by itself."""
        return self.reply.stopped in ENDED


@dataclass
class Group:
    """All rollouts of one prompt."""

    prompt: Prompt
    rollouts: list[Rollout]

    def values(self) -> np.ndarray:
        """Return what the verifier says of each rollout, [G]."""
        return np.array([rollout.value for rollout in self.rollouts])

    def rewards(self) -> np.ndarray:
        """Return what each rollout is rewarded with, [G]."""
        return np.array([rollout.reward for rollout in self.rollouts])


def roll_out(engine: Engine, tasks: Mapping[str, Task], prompts: list[Prompt], count: int, seed: int) -> list[Group]:
    """Return `count` rollouts of every prompt, at temperature 1. The same seed and weights give the same replies."""
    sampling, asked = Sampling(1.0, seed=seed), []
    for number, prompt in enumerate(prompts):
        question, thinking = prompt.example.prompt(prompt.index), prompt.thinking
        told = thinking.told(question)
        for index in range(count):
            actor = thinking.actor(question, engine.perception)
            request = engine.submit(told, sampling, thinking.budget, actor, number * count + index)
            request.asker = request.index  # its agents inherit it
            asked.append(request)
    replies: dict[object, list[Reply]] = {request.index: [] for request in asked}
    waiting: set[Request] = set(asked)
    try:
        while waiting:
            for event in engine.step():
                if event.reply is None:
                    continue
                if event.request in waiting:
                    waiting.discard(event.request)
                    replies[event.request.asker].insert(0, event.reply)
                elif event.reply.stopped != "cancelled":
                    replies[event.request.asker].append(event.reply)
    finally:
        for request in waiting:
            engine.cancel(request)
    groups = []
    for number, prompt in enumerate(prompts):
        rollouts = []
        for index in range(count):
            reply, *agents = replies[number * count + index]
            value = score(tasks[prompt.task], prompt, reply)
            rollouts.append(Rollout(reply, value, value, agents))
        groups.append(Group(prompt, rollouts))
    return groups


def score(task: Task, prompt: Prompt, reply: Reply) -> float:
    """Return what the verifier says of a reply; one that came to no end has no answer."""
    return task.score(prompt.example, reply.answer, prompt.index).value if reply.stopped in ENDED else 0.0
