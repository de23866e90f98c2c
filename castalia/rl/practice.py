"""Practice: every step, prompts are drawn, replies tried, scored and weighted; the trainer learns what comes out."""

import random
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from castalia.actions.action import Action
from castalia.engine.request import Sampling
from castalia.errors import RecipeError, nearest
from castalia.perception.packing import Batch, pack
from castalia.perception.sequence import Sequence
from castalia.reasoning.effort import SENDING, Thinking
from castalia.rl.algorithms.algorithm import Algorithm
from castalia.rl.curriculum import Curriculum
from castalia.rl.defences import verify_again, without_thought
from castalia.rl.guards import CollapseError, vital_signs
from castalia.rl.homework import Homework, PracticeConfig
from castalia.rl.merging import where_voting_fails
from castalia.rl.penalty import Penalty
from castalia.rl.rewards import reward
from castalia.rl.rollouts import Group, Prompt, Roll, judge
from castalia.rl.weigh import weigh
from castalia.tasks.effort import EFFORTS
from castalia.tasks.task import Task

MERGE = "merge"
"""In a way to think: conclusions of several agents are merged, where voting on them fails."""
TRIES = 10
"""How often prompts are drawn anew for one step if no rollout of any was better than another."""


class Practice(Iterator[list[Batch]]):
    """Yields what each step learns from, as a loader of the trainer's; `state` is all that it needs to go on.

    `metrics` says how the last step's rollouts did, `seconds` how long generating, scoring and packing them took.
    """

    def __init__(
        self,
        homework: Homework,
        roll: Roll,
        pad: int,
        tasks: Mapping[str, Task],
        algorithm: Algorithm,
        actions: Mapping[str, Action] | None = None,
        state: dict[str, Any] | None = None,
    ) -> None:
        """`roll` makes the rollouts, with the weights that are trained; rows are filled up with token `pad`."""
        state = state or {}
        self.homework, self.roll, self.tasks, self.algorithm = homework, roll, tasks, algorithm
        self.pad = pad
        self.ways = ways_of(homework.practice, actions)
        self.step: int = state.get("step", 0)
        self.drawn: int = state.get("drawn", 0)
        """Prompts drawn so far: each has its own example."""
        self.curriculum = Curriculum(homework.practice, state.get("rates"))
        self.penalty = Penalty(homework.penalty, state.get("penalty"))
        self.metrics: dict[str, Any] = {}
        self.seconds: dict[str, float] = {}
        self.guessable = 0.0
        """Share of the last prompts that were dropped, for they can be guessed."""
        self.outvoted = 0.0
        """Share of the last sets of conclusions in which voting failed, of those that were to be merged."""

    def state(self) -> dict[str, Any]:
        """Return what must be kept to go on."""
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
            raise CollapseError("nothing is left to learn: all rollouts of every prompt do alike", self.step)
        signs = vital_signs(groups)
        self.penalty.observe(signs["accuracy"])
        self.step += 1
        fitting = [sequence for sequence in sequences if len(sequence) <= self.homework.length]
        if not fitting:
            shortest = min(map(len, sequences))
            raise RecipeError(f"no rollout fits a row of length={self.homework.length}: the shortest has {shortest}")
        with self._timed("packing"):
            batches = list(pack(fitting, self.homework.rows, self.homework.length, self.pad))
        kept = sum(bool(self.algorithm.advantages(group.rewards()).any()) for group in groups)
        self.metrics = {
            **signs,
            "reward": sum(float(group.rewards().mean()) for group in groups) / len(groups),
            "informative": kept / len(groups),
            "too_long": 1 - len(fitting) / len(sequences),
            "penalty": weight,
            "guessable": self.guessable,
            "outvoted": self.outvoted,
            "rates": dict(self.curriculum.rates),
            "right_by_difficulty": _by_difficulty(groups),
        }
        return batches

    def _try(self) -> list[Group]:
        """Draw one step's prompts and try them."""
        config, defences = self.homework.practice, self.homework.defences
        prompts = [self._draw(self.drawn + number) for number in range(config.prompts)]
        self.drawn += len(prompts)
        if merging := [prompt for prompt in prompts if prompt.merges]:
            with self._timed("generation"):
                failed = where_voting_fails(self.roll, self.tasks, merging, config.agents, self._sampling())
            self.outvoted = len(failed) / len(merging)
            prompts = [prompt for prompt in prompts if not prompt.merges] + failed
        if defences.guesses:
            guessed = self._judged([without_thought(prompt) for prompt in prompts], defences.guesses)
            kept = [prompt for prompt, group in zip(prompts, guessed, strict=True) if group.values().max() < 1]
            self.guessable, prompts = 1 - len(kept) / max(1, len(prompts)), kept
        groups = self._judged(prompts, config.rollouts)
        for group in groups:
            example = group.prompt.example
            self.curriculum.observe(group.prompt.task, example.difficulty, float(group.values().mean()))
        return groups

    def _judged(self, prompts: list[Prompt], count: int) -> list[Group]:
        """Return rollouts of every prompt with what they are worth."""
        with self._timed("generation"):
            rollouts = self.roll(prompts, count, self._sampling())
        with self._timed("scoring"):
            groups = judge(self.tasks, prompts, rollouts)
            if self.homework.defences.variants:
                verify_again(self.tasks, groups, self.homework.defences.fine)
        return groups

    def _sampling(self) -> Sampling:
        return Sampling(1.0, seed=hash_of(self.homework.practice.seed, self.drawn))

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
        index = rng.randrange(len(example.questions))
        return Prompt(name, example, index, self.ways[way], merges=MERGE in way.split())


def hash_of(seed: int, number: int) -> int:
    """Return a large number that belongs to a seed and a count."""
    return random.Random(f"practice/{seed}/{number}").getrandbits(62)


def _by_difficulty(groups: list[Group]) -> dict[str, float]:
    """Return the share of rollouts that were right, ``{"task/difficulty": share}``."""
    found: dict[str, list[float]] = {}
    for group in groups:
        key = f"{group.prompt.task}/{group.prompt.example.difficulty}"
        found.setdefault(key, []).append(float((group.values() == 1).mean()))
    return {key: sum(shares) / len(shares) for key, shares in sorted(found.items())}


def ways_of(config: PracticeConfig, actions: Mapping[str, Action] | None) -> dict[str, Thinking]:
    """Return the ways to think that are practised, by their names. Raises RecipeError for one that there is not."""
    return {way: way_to_think(way, actions, config.tokens) for way, share in sorted(config.ways.items()) if share > 0}


def way_to_think(way: str, actions: Mapping[str, Action] | None, tokens: int | None = None) -> Thinking:
    """Return a way to think by its name: an effort, then ``act``, ``agents`` or both if the model may.

    ``merge`` among them says what is thought about, not how: what agents have concluded.
    """
    effort, *more = way.split()
    known = {
        "act": lambda name: name not in SENDING,
        "agents": lambda name: name in SENDING,
        MERGE: lambda name: False,
    }
    if effort not in EFFORTS:
        raise RecipeError(f"practice.ways: unknown effort {effort!r}: {nearest(effort, EFFORTS)}")
    if wrong := next((word for word in more if word not in known), None):
        raise RecipeError(f"practice.ways: {wrong!r} after an effort: {nearest(wrong, known)}")
    chosen = {name: action for name, action in (actions or {}).items() if any(known[word](name) for word in more)}
    return Thinking(effort, actions=chosen or None, tokens=tokens)
