"""The contract of every task family: sample an example, score a reply, show reference thoughts."""

import random
import zlib
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from castalia.document import Document, Part
from castalia.errors import TaskError, nearest
from castalia.tasks.steps import Step

Split = Literal["train", "held_out", "out_of_range"]
SPLITS: tuple[Split, ...] = ("train", "held_out", "out_of_range")
DIFFICULTIES = range(1, 11)


@dataclass(frozen=True)
class Question:
    """One question about an example's context.

    `kind` names the sort of question inside the family (``read``, ``compare``); `answer` is the reference answer in
    its canonical spelling; `thoughts` are reference thoughts, empty where none help; `chance` is the probability that
    a blind guess is right; `facts` is what the family's verifier needs beyond the answer.

    `steps` are reference thoughts that act: words, and calls without what they return; as a whole `Part` where they
    are not to be learned. They stand in place of `thoughts` where a trace acts. `hidden` says that the context as it is
    first seen does not hold the answer: only what the steps bring to light does. `spelled` says that the answer is
    learned letter by letter.
    """

    text: str
    answer: str
    kind: str
    thoughts: str = ""
    chance: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    hidden: bool = False
    spelled: bool = False


@dataclass(frozen=True)
class Example:
    """A context (pictures, sounds; may be empty) and one or more questions about it, answers hidden from the prompt."""

    family: str
    seed: int
    difficulty: int
    split: Split
    context: Document
    questions: tuple[Question, ...]

    def prompt(self, index: int = 0) -> Document:
        """Return the document put to the model for question `index`: the context and that question, no answer."""
        return self.context + Document((Part(self.questions[index].text, "user"),))

    @property
    def hidden(self) -> bool:
        """Whether a question of it cannot be answered without acting."""
        return any(question.hidden for question in self.questions)


@dataclass(frozen=True)
class Score:
    """A verifier's verdict: `value` in [0, 1] and, where it is not 1, the `reason`."""

    value: float
    reason: str = ""


class Task(Protocol):
    """A family of tasks. Deterministic: the same arguments give the same example on every machine."""

    name: str

    def sample(self, seed: int, difficulty: int, split: Split = "train") -> Example:
        """Make the example of this seed. Splits differ by construction: no held-out example is ever a training one."""
        ...

    def score(self, example: Example, reply: str, index: int = 0) -> Score:
        """Judge the final answer `reply` to question `index`, exactly and without a model."""
        ...

    def trace(self, example: Example, *, acting: bool = False) -> Document:
        """Return the whole document to learn from: context, then every question with its thoughts and answer.

        If `acting`, questions that have steps are thought about in these; what their calls return is still to come.
        """
        ...


def generator(family: str, seed: int, difficulty: int, split: Split) -> random.Random:
    """Return the random generator of one example; different for every family, seed, difficulty and split.

    Raises TaskError for an unknown split or a difficulty outside 1..10.
    """
    if split not in SPLITS:
        raise TaskError(f"unknown split {split!r}: {nearest(split, SPLITS)}")
    if difficulty not in DIFFICULTIES:
        raise TaskError(f"difficulty {difficulty} is outside 1 to 10")
    return random.Random(f"{family}/{split}/{difficulty}/{seed}")


def held_out(identity: str, one_in: int = 10) -> bool:
    """Say whether the thing called `identity` (its canonical content) belongs to the held-out side, one in `one_in`.

    The train and held-out splits each reject the other's identities, so they cannot meet however seeds are chosen.
    """
    return zlib.crc32(identity.encode()) % one_in == 0


def score_exact(question: Question, reply: str) -> Score:
    """Compare case-insensitively after trimming white space and a final full stop."""
    said, wanted = (text.strip().rstrip(".").strip().lower() for text in (reply, question.answer))
    return Score(1.0) if said == wanted else Score(0.0, f"expected {question.answer!r}, got {reply.strip()!r}")


def trace(example: Example, *, acting: bool = False) -> Document:
    """Return the example's context followed by every question, its thoughts and its answer, the last two learned.

    If `acting`, steps take the place of thoughts where there are any. Without them the answer to a hidden question is
    not learned: it would be learning to guess.
    """
    parts = []
    for question in example.questions:
        parts.append(Part(question.text, "user"))
        plain = (question.thoughts,) if question.thoughts else ()
        for thought in question.steps if acting and question.steps else plain:
            kept = isinstance(thought, Part)
            parts.append(thought if kept else Part(thought, "assistant", learned=True, thought=True))
        learned = acting or not question.hidden
        parts.append(Part(question.answer, "assistant", learned=learned, spelled=question.spelled))
    return example.context + Document(tuple(parts))
