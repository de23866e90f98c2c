"""Practice: every step, prompts are drawn, replies tried, scored and weighted; the trainer learns what comes out."""

import random
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from castalia.actions.action import Action
from castalia.engine.engine import Engine
from castalia.engine.request import Sampling
from castalia.errors import CastaliaError, RecipeError, nearest
from castalia.perception.packing import Batch, pack
from castalia.perception.sequence import Sequence
from castalia.reasoning.effort import SENDING, Thinking
from castalia.rl.algorithms.algorithm import Algorithm
from castalia.rl.curriculum import Curriculum
from castalia.rl.guards import vital_signs
from castalia.rl.homework import Homework, PracticeConfig
from castalia.rl.penalty import Penalty
from castalia.rl.rewards import reward
from castalia.rl.rollouts import Group, Prompt, Rollout, judge, roll_out
from castalia.rl.weigh import weigh
from castalia.tasks.effort import EFFORTS
from castalia.tasks.task import Task

TRIES = 10
"""How often prompts are drawn anew for one step if no rollout of any was better than another."""

Roll = Callable[[list[Prompt], int, Sampling], list[list[Rollout]]]
"""Prompts, rollouts of each, and how tokens are drawn -> every prompt's rollouts."""


class Practice(Iterator[list[Batch]]):
    """Yields what each step learns from, as a loader of the trainer's; `state` is all that it needs to go on.

    `metrics` says how the last step's rollouts did, `seconds` how long generating, scoring and packing them took.
    """

    def __init__(
        self,
        homework: Homework,
        engine: Engine,
        tasks: Mapping[str, Task],
        algorithm: Algorithm,
        actions: Mapping[str, Action] | None = None,
        state: dict[str, Any] | None = None,
        roll: Roll | None = None,
    ) -> None:
        """`roll` makes the rollouts; by default `engine` does, which must be of the weights that are trained."""
        state = state or {}
        self.homework, self.engine, self.tasks, self.algorithm = homework, engine, tasks, algorithm
        self.ways = ways_of(homework.practice, actions)
        self.step: int = state.get("step", 0)
        self.drawn: int = state.get("drawn", 0)
        """Prompts drawn so far: each has its own example."""
        self.curriculum = Curriculum(homework.practice, state.get("rates"))
        self.penalty = Penalty(homework.penalty, state.get("penalty"))
        self.roll = roll or partial(roll_out, engine)
        self.metrics: dict[str, Any] = {}
        self.seconds: dict[str, float] = {}

    def state(self, gather: Callable[[Any], list] | None = None) -> dict[str, Any]:
        """Return what must be kept to go on; it is the same in all processes."""
        return {
            "step": self.step,
            "drawn": self.drawn,
            "rates": self.curriculum.rates,
            "penalty": self.penalty.state(),
        }

    def __next__(self) -> list[Batch]:
        self.seconds = {}
        weight = self.penalty.weight(self.step)
        sequences: list[Sequence] = []
        groups: list[Group] = []
        for _ in range(TRIES):
            tried = self._try()
            for group in tried:
                reward(group, self.homework.acting, weight)
                sequences += weigh(group, self.algorithm)
            groups += tried
            if sequences:
                break
        else:
            raise CastaliaError("nothing is left to learn: all rollouts of every prompt do alike")
        signs = vital_signs(groups)
        self.penalty.observe(signs["accuracy"])
        self.step += 1
        fitting = [sequence for sequence in sequences if len(sequence) <= self.homework.length]
        special = self.engine.perception.special
        with self._timed("packing"):
            batches = list(pack(fitting, self.homework.rows, self.homework.length, special["pad"]))
        kept = sum(bool(self.algorithm.advantages(group.rewards()).any()) for group in groups)
        self.metrics = {
            **signs,
            "reward": sum(float(group.rewards().mean()) for group in groups) / len(groups),
            "informative": kept / len(groups),
            "too_long": 1 - len(fitting) / len(sequences),
            "penalty": weight,
            "rates": dict(self.curriculum.rates),
        }
        return batches

    def _try(self) -> list[Group]:
        """Draw one step's prompts and try them."""
        config = self.homework.practice
        prompts = [self._draw(self.drawn + number) for number in range(config.prompts)]
        self.drawn += len(prompts)
        with self._timed("generation"):
            rollouts = self.roll(prompts, config.rollouts, Sampling(1.0, seed=hash_of(config.seed, self.drawn)))
        with self._timed("scoring"):
            groups = judge(self.tasks, prompts, rollouts)
        for group in groups:
            example = group.prompt.example
            self.curriculum.observe(group.prompt.task, example.difficulty, float(group.values().mean()))
        return groups

    @contextmanager
    def _timed(self, what: str) -> Generator[None]:
        started = time.perf_counter()
        yield
        self.seconds[what] = self.seconds.get(what, 0.0) + time.perf_counter() - started

    def _draw(self, number: int) -> Prompt:
        config = self.homework.practice
        rng = random.Random(f"{config.seed}/{number}")
        name, difficulty = self.curriculum.choose(rng)
        # Beyond the seeds that school has seen in any run of reasonable length.
        example = self.tasks[name].sample(hash_of(config.seed, number), difficulty, "train")
        way = rng.choices(list(self.ways), [config.ways[way] for way in self.ways])[0]
        return Prompt(name, example, rng.randrange(len(example.questions)), self.ways[way])


def hash_of(seed: int, number: int) -> int:
    """Return a large number that belongs to a seed and a count."""
    return random.Random(f"practice/{seed}/{number}").getrandbits(62)


def ways_of(config: PracticeConfig, actions: Mapping[str, Action] | None) -> dict[str, Thinking]:
    """Return the ways to think that are practised, by their names. Raises RecipeError for one that there is not."""
    return {way: way_to_think(way, actions, config.tokens) for way, share in sorted(config.ways.items()) if share > 0}


def way_to_think(way: str, actions: Mapping[str, Action] | None, tokens: int | None = None) -> Thinking:
    """Return a way to think by its name: an effort, then ``act``, ``agents`` or both if the model may."""
    effort, *more = way.split()
    known = {"act": lambda name: name not in SENDING, "agents": lambda name: name in SENDING}
    if effort not in EFFORTS:
        raise RecipeError(f"practice.ways: unknown effort {effort!r}: {nearest(effort, EFFORTS)}")
    if wrong := next((word for word in more if word not in known), None):
        raise RecipeError(f"practice.ways: {wrong!r} after an effort: {nearest(wrong, known)}")
    chosen = {name: action for name, action in (actions or {}).items() if any(known[word](name) for word in more)}
    return Thinking(effort, actions=chosen or None, tokens=tokens)
