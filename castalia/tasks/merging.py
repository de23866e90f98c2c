"""Merging: answering from what several agents have concluded, also where most of them are wrong."""

import random
from collections.abc import Callable

from castalia.document import Document, Part
from castalia.tasks.task import Example, Question, Task

AGENTS = (2, 3, 4, 6, 8, 12, 16)


def pool(answers: list[str]) -> Document:
    """Return how conclusions are put to whoever merges them."""
    return Document((Part("; ".join(answers), "tool"),))


def merged(task: Task, example: Example, rng: random.Random) -> Document:
    """Return a document to learn from: one of the questions, conclusions of agents, then thoughts and the answer.

    The conclusions are as many right as wrong ones over all documents, but not in one: there are those where all are
    right, and those where the few right ones stand against a majority that agrees. Wrong ones are the family's
    ``mistake``, or else a number near by, another of the ``options`` among its facts, or the answer to a question of
    the same kind about something else. A family that can ``check`` conclusions does so in thought.
    """
    index = rng.randrange(len(example.questions))
    question = example.questions[index]
    wrong = [_mistake(task, example, index, rng) for _ in range(rng.randint(1, 4))]
    right, agree = rng.random(), rng.random() < 0.5
    count = rng.choice(AGENTS)
    drawn = [rng.random() < right for _ in range(count)]
    answers = [question.answer if good else wrong[0] if agree else rng.choice(wrong) for good in drawn]
    check: Callable[[Example, int, list[str]], str] | None = getattr(task, "check", None)
    thoughts = check(example, index, answers) if check else question.thoughts
    parts = [Part(question.text, "user"), *pool(answers)]
    if thoughts:
        parts.append(Part(thoughts, "assistant", learned=True, thought=True))
    parts.append(Part(question.answer, "assistant", learned=True))
    return example.context + Document(tuple(parts))


def _mistake(task: Task, example: Example, index: int, rng: random.Random) -> str:
    """Return a wrong answer such as somebody might give."""
    own: Callable[[Example, int, random.Random], str] | None = getattr(task, "mistake", None)
    for _ in range(20):
        answer = own(example, index, rng) if own else ""
        answer = answer or _near(example.questions[index], rng) or _elsewhere(task, example, index, rng)
        if answer and task.score(example, answer, index).value < 1:
            return answer
    return "-"


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
