"""Examine a model on task families: held-out examples, exact verifiers, counts by family, difficulty and kind."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from castalia.document import Document
from castalia.engine.engine import Engine
from castalia.engine.request import Reply
from castalia.reasoning.strategies import OneChain, Strategy, Verdict
from castalia.tasks.task import Example, Split, Task

EASY = (1, 2, 3)
"""Difficulties at which media, words and ways of thinking are compared, and reference models are asked."""


@dataclass
class Tally:
    """Answers judged so far; `chance` sums the probabilities of guessing right."""

    n: int = 0
    correct: int = 0
    chance: float = 0.0

    def add(self, right: bool, chance: float) -> None:
        """Count one answer."""
        self.n, self.correct, self.chance = self.n + 1, self.correct + right, self.chance + chance

    def to_json(self) -> dict[str, Any]:
        """Return counts, accuracy and mean chance."""
        return {
            "n": self.n,
            "correct": self.correct,
            "accuracy": self.correct / max(1, self.n),
            "chance": self.chance / max(1, self.n),
        }


@dataclass
class Answered:
    """One question put to the model, with what it answered."""

    example: Example
    index: int
    verdict: Verdict
    value: float

    @property
    def reply(self) -> Reply:
        """The reply that was written last."""
        return self.verdict.replies[-1]


@dataclass
class Examination:
    """Results by family and difficulty, and every single answer."""

    tallies: dict[tuple[str, int, str], Tally] = field(default_factory=dict)
    answered: list[Answered] = field(default_factory=list)
    right: dict[tuple[str, int], str] = field(default_factory=dict)
    """By family and difficulty, a 1 for every question that was answered wholly right, a 0 for every other."""

    def means(self) -> dict[str, dict[str, Any]]:
        """Return ``{family: {accuracy, n}}``, the mean over difficulties."""
        found = self.to_json()
        asked = {family: sum(row["n"] for row in rows.values()) for family, rows in found["families"].items()}
        return {family: {"accuracy": mean, "n": asked[family]} for family, mean in found["means"].items()}

    def to_json(self) -> dict[str, Any]:
        """Return ``{"families": {family: {difficulty: {n, correct, accuracy, chance, right, kinds}}}, means, …}``.

        The mean is over families, each family's over its difficulties, so that no family counts by its size.
        """
        families: dict[str, Any] = {}
        for (family, difficulty, kind), tally in sorted(self.tallies.items()):
            row = families.setdefault(family, {}).setdefault(str(difficulty), {"total": Tally(), "kinds": {}})
            row["kinds"][kind] = tally.to_json()
            total = row["total"]
            total.n, total.correct, total.chance = (
                total.n + tally.n,
                total.correct + tally.correct,
                total.chance + tally.chance,
            )
        for family, rows in families.items():
            for difficulty, row in rows.items():
                right = self.right.get((family, int(difficulty)), "")
                rows[difficulty] = row["total"].to_json() | {"right": right, "kinds": row["kinds"]}
        means = {name: sum(r["accuracy"] for r in rows.values()) / len(rows) for name, rows in families.items()}
        return {"families": families, "means": means, "accuracy": sum(means.values()) / max(1, len(means))}


def questions(
    task: Task, difficulty: int, n: int, split: Split = "held_out", seed: int = 0
) -> list[tuple[Example, int]]:
    """Return the `n` questions that an exam asks: one of each example, each in its turn, by its index."""
    examples = [task.sample(seed + i, difficulty, split) for i in range(n)]
    return [(example, i % len(example.questions)) for i, example in enumerate(examples)]


def examine(
    engine: Engine,
    tasks: dict[str, Task],
    *,
    difficulties: tuple[int, ...] = EASY,
    n: int = 100,
    split: Split = "held_out",
    strategy: Strategy | None = None,
    put: Callable[[Document, random.Random], Document] | None = None,
    seed: int = 0,
    kept: bool = True,
    progress: Callable[[str, int], None] | None = None,
) -> Examination:
    """Ask `n` `questions` of every task at every difficulty.

    `strategy` says how they are answered; by default with one chain of thought at medium effort, without actions. `put`
    says how they are asked: by voice, or in other words. Unless `kept`, answers are counted alone: thousands with their
    pictures are gigabytes. A verifier may give part of the points, as for all words heard but one: here that is wrong.
    """
    result, strategy = Examination(), strategy or OneChain()
    for name, task in tasks.items():
        for difficulty in dict.fromkeys(difficulties):  # some recipes name one twice, to draw it more often
            asked = questions(task, difficulty, n, split, seed)
            prompts = [example.prompt(index) for example, index in asked]
            if put:
                prompts = [put(prompt, random.Random(f"{name}/{i}")) for i, prompt in enumerate(prompts)]
            verdicts = strategy.answer(engine, prompts)
            right = ""
            for (example, index), verdict in zip(asked, verdicts, strict=True):
                question = example.questions[index]
                value = task.score(example, verdict.answer, index).value
                right += str(int(value == 1))
                tally = result.tallies.setdefault((name, difficulty, question.kind), Tally())
                tally.add(value == 1, question.chance)
                if kept:
                    result.answered.append(Answered(example, index, verdict, value))
            result.right[name, difficulty] = right
            if progress:
                progress(name, difficulty)
    return result
