"""Defences against rewards for what is not right: verifying again on variants, and dropping what can be guessed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from castalia.reasoning.effort import Thinking
from castalia.rl.rollouts import Group, Prompt
from castalia.tasks.task import Example, Task


@dataclass(frozen=True)
class DefenceConfig:
    """Which defences are up."""

    variants: bool = True
    """What a verifier calls right must be right on all isomorphic variants of the problem, where its task has any."""
    fine: float = 0.5
    """What is taken from the reward of a reply that was right as its problem was posed, and wrong on a variant: where
    nothing else earns more than a cheat that earns nothing, it must cost something."""
    guesses: int = 0
    """Prompts are dropped that one of so many replies without any thought solves."""


@runtime_checkable
class Varied(Task, Protocol):
    """A task whose problems can be posed otherwise: shortcuts are seldom the same in every guise."""

    def variants(self, example: Example, reply: str, index: int = 0) -> list[tuple[Example, str]]:
        """Return the same problem in other guises, with what `reply` is there."""
        ...


def verify_again(tasks: Mapping[str, Task], groups: list[Group], fine: float = 0.0) -> None:
    """Take the value from every rollout that is right as its problem is posed and wrong in another guise; fine it."""
    for group in groups:
        task, prompt = tasks[group.prompt.task], group.prompt
        if not isinstance(task, Varied):
            continue
        for rollout in group.rollouts:
            if rollout.value > 0:
                variants = task.variants(prompt.example, rollout.reply.answer, prompt.index)
                values = [task.score(example, reply, prompt.index).value for example, reply in variants]
                before, rollout.value = rollout.value, min([rollout.value, *values])
                rollout.fine = fine * (before - rollout.value)
                rollout.reward = rollout.value - rollout.fine


def without_thought(prompt: Prompt) -> Prompt:
    """Return the prompt as it is put to whoever is to guess."""
    return replace(prompt, thinking=Thinking("none", tokens=prompt.thinking.tokens))
