"""Adapter: any set of the package reasoning-gym (Stojanovski et al. 2025, arXiv:2505.24760) as a task family."""

import importlib
from typing import Any

from castalia.document import Document, Part
from castalia.errors import TaskError, nearest
from castalia.tasks.task import SPLITS, Example, Question, Score, Split, generator, held_out, trace

SEEDS_PER_SPLIT = 500_000_000
"""Indices of a set that belong to each split; three times this is below 2³¹, which some sets need."""

LONGEST_REPLY = 100_000

REFUSED = {
    "codeio": "it runs programs that are not deterministic",
    "composite": "it is a mixture of other sets: use those",
}


class ReasoningGym:
    """The set `set_name` of reasoning-gym: its questions, its verifier, no reference thoughts.

    Difficulties 1 to 10 spread over the levels of the set's curriculum but the last, which is ``out_of_range``; a set
    without curriculum is the same at every difficulty. The splits have their own ranges of the set's indices, and train
    and held-out are told apart by a hash of the question besides. Needs the optional package ``reasoning-gym``.
    """

    def __init__(self, set_name: str) -> None:
        """Find the set. Raises TaskError if the package is not installed or has no such set, or one in `REFUSED`."""
        factory = _factory()
        if set_name not in factory.DATASETS:
            raise TaskError(f"reasoning-gym has no set {set_name!r}: {nearest(set_name, factory.DATASETS)}")
        if set_name in REFUSED:
            raise TaskError(f"reasoning-gym's set {set_name!r} cannot be used: {REFUSED[set_name]}")
        self.set_name = set_name
        self.name = f"gym-{set_name}"
        self._sets: dict[int, Any] = {}

    def sample(self, seed: int, difficulty: int, split: Split = "train") -> Example:
        """Make the question of this seed. Raises TaskError if the set cannot make one."""
        generator(self.name, seed, difficulty, split)  # for its errors: the set brings its own randomness
        level = self._level(difficulty, split)
        for attempt in range(1000):
            index = (seed * 64 + attempt) % SEEDS_PER_SPLIT + SPLITS.index(split) * SEEDS_PER_SPLIT
            item = self._item(level, index)
            if split == "out_of_range" or held_out(item["question"]) == (split == "held_out"):
                break
        else:
            raise TaskError(f"{self.name} has no {split} question at difficulty {difficulty}: too few differ")
        facts = {"item": item, "level": level}
        question = Question(item["question"], str(item["answer"] or ""), self.set_name, facts=facts)
        return Example(self.name, seed, difficulty, split, Document(), (question,))

    def score(self, example: Example, reply: str, index: int = 0) -> Score:
        """Judge with the set's own verifier."""
        facts = example.questions[index].facts
        if len(reply) > LONGEST_REPLY:
            return Score(0.0, f"a reply of more than {LONGEST_REPLY} characters")
        try:
            value = float(self._set(facts["level"], 0).score_answer(reply.strip(), facts["item"]))
        except Exception as error:  # verifiers of a hundred sets raise whatever a reply makes them hit
            return Score(0.0, f"the set's verifier failed: {type(error).__name__}: {error}")
        value = min(1.0, max(0.0, value))
        return Score(value) if value == 1.0 else Score(value, f"the set's verifier gives {value:g}")

    def trace(self, example: Example, *, acting: bool = False) -> Document:
        """Return the question and its answer; where the set knows no answer, the question alone."""
        question = example.questions[0]
        return trace(example, acting=acting) if question.answer else Document((Part(question.text, "user"),))

    def _level(self, difficulty: int, split: Split) -> int:
        factory = _factory()
        if not factory.has_curriculum(self.set_name):
            return -1
        top = max(len(a.levels) for a in factory.create_curriculum(self.set_name).attributes.values()) - 1
        return top if split == "out_of_range" else (difficulty - 1) * top // 10

    def _set(self, level: int, seed: int) -> Any:
        """Make the set at a curriculum level (-1: as it comes)."""
        if level in self._sets and not seed:
            return self._sets[level]
        factory = _factory()
        made = None
        # Not every curriculum's lowest levels are valid configurations of their own sets: go up to the first that is.
        for tried in (*range(level, 20), -1) if level >= 0 else (-1,):
            try:
                if tried < 0:
                    made = factory.create_dataset(self.set_name, seed=seed, size=1)
                else:
                    curriculum = factory.create_curriculum(self.set_name)
                    curriculum.set_global_level(tried)
                    configuration = curriculum.generate_configuration({"seed": seed, "size": 1})
                    made = factory.DATASETS[self.set_name][0](configuration)
                break
            except (AssertionError, ValueError, TypeError):
                continue
        if made is None:
            raise TaskError(f"reasoning-gym's set {self.set_name!r} needs a configuration of its own")
        if not seed:
            self._sets[level] = made
        return made

    def _item(self, level: int, index: int) -> dict[str, Any]:
        try:
            return self._set(level, 0)[index]
        except IndexError:  # sets that lay out all their items at the start
            return self._set(level, index)[0]


def _factory() -> Any:
    try:
        return importlib.import_module("reasoning_gym.factory")
    except ImportError as error:
        raise TaskError("reasoning-gym is not installed: pip install 'castalia[gym]'") from error
