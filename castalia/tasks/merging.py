"""Several agents at one question: how they are sent out, what they find, and how it is merged.

Documents to learn from: answering from conclusions, also where most of them are wrong (`merged`); being one of several
agents (`proposed`); and, where a family has briefs, writing them (`delegated`) and following one (`sent`).
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, runtime_checkable

from castalia.document import Document, Part
from castalia.tasks.steps import NOTHING, call
from castalia.tasks.task import Example, Question, Task, trace


@runtime_checkable
class Explorer(Task, Protocol):
    """A family whose agents can do different things, and whose conclusions can be checked or put together.

    `whole` says that an agent concludes an answer and not a part of one.
    """

    whole: bool

    def briefs(self, example: Example, index: int) -> tuple[str, ...]:
        """Return what agents can be told to do or to begin with, each something else; () where there is nothing."""
        ...

    def explore(self, example: Example, index: int, brief: int, rng: random.Random) -> tuple[str, str]:
        """Return the thoughts of an agent with a brief (they begin anew after the last), and what it concludes."""
        ...

    def misled(self, example: Example, index: int, rng: random.Random) -> str:
        """Return what an agent might conclude that is mistaken."""
        ...

    def check(self, example: Example, index: int, answers: list[str]) -> tuple[str, str]:
        """Return thoughts that look through conclusions, and the right answer."""
        ...


AGENTS = (2, 3, 4, 6, 8, 12, 16)
BRIEFS = tuple(f"agent {number}" for number in range(1, max(AGENTS) + 1))
"""What agents are told that nobody has written briefs for."""


def pool(answers: list[str]) -> Document:
    """Return how conclusions are put to whoever merges them: each once, after how many concluded it, most first."""
    counted = (f"{count}: {answer}" for answer, count in Counter(answers).most_common())
    return Document((Part("; ".join(counted), "tool"),))


def alongside(task: Task, example: Example, rng: random.Random, *, acting: bool = False) -> Document:
    """Return one of the questions as an agent of several is asked it, or as one that merges what several concluded."""
    return (merged if rng.random() < 0.5 else proposed)(task, example, rng, acting=acting)


def sending(task: Explorer, example: Example, rng: random.Random) -> Document:
    """Return a question that agents are sent out for, as the one sees it that sends them, or as one of them does.

    Where there is nothing to send agents out for, it is answered as ever.
    """
    able = [index for index in range(len(example.questions)) if len(task.briefs(example, index)) > 1]
    return rng.choice((sent, delegated))(task, example, rng.choice(able), rng) if able else task.trace(example)


def proposed(task: Task, example: Example, rng: random.Random, *, acting: bool = False) -> Document:
    """Return one of the questions as an agent of several is asked it, with its thoughts and what it concludes.

    A family that can ``explore`` has its agents begin with another brief each, and conclude - if there is nothing to be
    found; others, and those that act, do as ever.
    """
    index, agent = rng.randrange(len(example.questions)), rng.randrange(len(BRIEFS))
    question = example.questions[index]
    brief = Part(BRIEFS[agent], "user")
    if explorer := _explorer(task, acting):
        asked = Document((Part(question.text, "user"), brief))
        return example.context + asked + _concluded(question, *explorer.explore(example, index, agent, rng))
    alone = trace(replace(example, questions=(question,)), acting=acting)
    after = len(example.context.parts) + 1
    return Document((*alone.parts[:after], brief, *alone.parts[after:]))


def sent(task: Explorer, example: Example, index: int, rng: random.Random) -> Document:
    """Return what an agent sees and does that another sent out: its question, the call, its brief, its conclusion."""
    question, briefs = example.questions[index], task.briefs(example, index)
    brief = rng.randrange(len(briefs))
    thoughts, answer = task.explore(example, index, brief, rng)
    parts = [
        Part(question.text, "user"),
        Part(call("spawn", briefs), "assistant", thought=True),
        Part(briefs[brief], "tool"),
    ]
    return example.context + Document(tuple(parts)) + _concluded(question, thoughts, answer)


def delegated(task: Explorer, example: Example, index: int, rng: random.Random) -> Document:
    """Return a question whose briefs are sent out, what the agents find (now and then they fail), and the answer."""
    question, briefs = example.questions[index], task.briefs(example, index)
    found = [task.explore(example, index, brief, rng)[1] for brief in range(len(briefs))]
    answers = [task.misled(example, index, rng) if rng.random() < 0.1 else answer for answer in found]
    answers = [NOTHING if rng.random() < 0.2 else answer for answer in answers]
    sending = Part(call("spawn", briefs), "assistant", learned=True, thought=True)
    asked = Document((Part(question.text, "user"), sending))
    joined = Document((Part("; ".join(answers), "tool"),))
    return example.context + asked + joined + _concluded(question, *task.check(example, index, answers))


def _explorer(task: Task, acting: bool) -> Explorer | None:
    """Return the task if its agents look for answers in different places; those that act do as ever."""
    return task if isinstance(task, Explorer) and task.whole and not acting else None


def _concluded(question: Question, thoughts: str, answer: str) -> Document:
    parts = [Part(thoughts, "assistant", learned=True, thought=True)] if thoughts else []
    return Document((*parts, Part(answer, "assistant", learned=True, spelled=question.spelled)))


def merged(task: Task, example: Example, rng: random.Random, *, acting: bool = False) -> Document:
    """Return one of the questions, what agents have concluded, and the answer.

    Two thirds of all conclusions are right, but not of those in one document: there are sets where all are right, and
    sets where the few right ones stand against a majority that agrees. A family that can ``explore`` has the
    conclusions of its agents in them, and of some that were misled, and checks them in thought. Of others, and where
    agents act, wrong ones are the family's ``mistake``, or else a number near by, another of the ``options`` among its
    facts, or the answer to a question of the same kind about something else; the answer is decided at once.
    """
    index = rng.randrange(len(example.questions))
    question = example.questions[index]
    explorer = _explorer(task, acting)

    def wrong() -> str:
        return explorer.misled(example, index, rng) if explorer else _mistake(task, example, index, rng)

    def right() -> str:
        return explorer.explore(example, index, rng.randrange(len(BRIEFS)), rng)[1] if explorer else question.answer

    mistakes = [wrong() for _ in range(rng.randint(1, 4))]
    share, agree = max(rng.random(), rng.random()), rng.random() < 0.5
    answers = [
        right() if rng.random() < share else mistakes[0] if agree else rng.choice(mistakes)
        for _ in range(rng.choice(AGENTS))
    ]
    asked = Document((Part(question.text, "user"),))
    settled = explorer.check(example, index, answers) if explorer else ("", question.answer)
    return example.context + asked + pool(answers) + _concluded(question, *settled)


def _mistake(task: Task, example: Example, index: int, rng: random.Random) -> str:
    """Return a wrong answer such as somebody might give."""
    own: Callable[[Example, int, random.Random], str] | None = getattr(task, "mistake", None)
    for _ in range(20):
        answer = own(example, index, rng) if own else ""
        answer = answer or _near(example.questions[index], rng) or _elsewhere(task, example, index, rng)
        if answer and task.score(example, answer, index).value < 1:
            return answer
    return NOTHING


def _near(question: Question, rng: random.Random) -> str:
    """Return a number near the right one, or another of the answers that can be given."""
    if question.answer.isdigit():
        return str(max(0, int(question.answer) + rng.choice((-10, -3, -2, -1, -1, 1, 1, 2, 3, 10))))
    return rng.choice(question.facts.get("options", [""]))


def _elsewhere(task: Task, example: Example, index: int, rng: random.Random) -> str:
    """Return the answer to a question of the same kind about something else; "" if there was none."""
    other = task.sample(rng.randrange(1 << 30), example.difficulty, example.split)
    alike = [q.answer for q in other.questions if q.kind == example.questions[index].kind]
    return rng.choice(alike) if alike else ""
