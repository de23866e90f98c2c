"""Rollouts: several replies to every prompt, scored by the task's verifier."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from castalia.document import Document
from castalia.engine.engine import Engine
from castalia.engine.request import Reply, Request, Sampling
from castalia.reasoning.effort import Thinking
from castalia.reasoning.strategies import ENDED
from castalia.tasks.task import Example, Question, Task


@dataclass(frozen=True)
class Prompt:
    """A question that is tried, what is said after it (a brief, or what agents `found`), how it is thought about."""

    task: str
    example: Example
    index: int = 0
    thinking: Thinking = field(default_factory=Thinking)
    found: Document = field(default_factory=Document)
    merges: bool = False
    """Whether agents are to answer it first, and it is tried only if voting fails."""

    @property
    def question(self) -> Question:
        """The question."""
        return self.example.questions[self.index]


@dataclass
class Rollout:
    """One reply, and those of the agents that it sent out; what the verifier says; what it is rewarded with."""

    reply: Reply
    agents: list[Reply] = field(default_factory=list)
    value: float = 0.0
    reward: float = 0.0
    fine: float = 0.0
    """What is taken from its reward, for it was caught cheating."""

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


Roll = Callable[[list[Prompt], int, Sampling], list[list[Rollout]]]
"""Prompts, rollouts of each, and how tokens are drawn -> every prompt's rollouts."""


def roll_out(
    engine: Engine, prompts: list[Prompt], count: int, sampling: Sampling, first: int = 0
) -> list[list[Rollout]]:
    """Return `count` rollouts of every prompt, not yet scored. The same seed and weights give the same replies.

    `first` is the number of the first prompt among all that are tried at once, in whatever processes.
    """
    asked: list[Request] = []
    for number, prompt in enumerate(prompts, first):
        question, thinking = prompt.example.prompt(prompt.index) + prompt.found, prompt.thinking
        told = thinking.told(question)
        for index in range(count):
            actor = thinking.actor(question, engine.perception)
            request = engine.submit(told, sampling, thinking.budget, actor, number * count + index)
            request.asker = request  # its agents inherit it
            asked.append(request)
    replies: dict[object, Reply] = {}
    agents: dict[object, list[Reply]] = {request: [] for request in asked}
    try:
        while len(replies) < len(asked):
            for event in engine.step():
                if event.reply is None:
                    continue
                if event.request is event.request.asker:
                    replies[event.request] = event.reply
                elif event.reply.stopped != "cancelled":
                    agents[event.request.asker].append(event.reply)
    finally:
        for request in asked:
            engine.cancel(request)
    rollouts = [Rollout(replies[request], agents[request]) for request in asked]
    return [rollouts[start : start + count] for start in range(0, len(rollouts), count)]


def judge(tasks: Mapping[str, Task], prompts: list[Prompt], rollouts: list[list[Rollout]]) -> list[Group]:
    """Return the rollouts of every prompt with what its task's verifier says of each; no end is no answer."""
    for prompt, its in zip(prompts, rollouts, strict=True):
        task = tasks[prompt.task]
        for rollout in its:
            answer = rollout.reply.answer
            rollout.value = task.score(prompt.example, answer, prompt.index).value if rollout.ended else 0.0
            rollout.reward = rollout.value
    return [Group(prompt, its) for prompt, its in zip(prompts, rollouts, strict=True)]
