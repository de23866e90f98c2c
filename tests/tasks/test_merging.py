"""Merging: documents whose conclusions are sometimes right, sometimes wrong, and whose answers are always right."""

import random

import pytest

from castalia.data.catalog import build_task
from castalia.tasks.merging import merged


@pytest.mark.parametrize("family", ["countdown", "mazes", "charts", "sums"])
def test_answers_are_right_whatever_agents_have_concluded(family: str) -> None:
    task = build_task(family)
    outvoted = unanimous = 0
    for seed in range(120):
        example = task.sample(seed, 3)
        document = merged(task, example, random.Random(seed))
        said = [part for part in document if isinstance(part.content, str)]
        question = next(part.content for part in said if part.author == "user")
        index = [q.text for q in example.questions].index(question)
        found = next(part.content for part in said if part.author == "tool").split("; ")
        answer = said[-1].content
        assert said[-1].learned and not said[-1].thought and task.score(example, answer, index).value == 1
        right = sum(task.score(example, conclusion, index).value == 1 for conclusion in found)
        outvoted += right < len(found) / 2
        unanimous += right == len(found)
    assert outvoted > 20 and unanimous > 5


def test_countdown_works_out_what_others_concluded() -> None:
    task = build_task("countdown")
    for seed in range(60):
        example = task.sample(seed, 3)
        document = merged(task, example, random.Random(seed))
        thoughts = next(part.content for part in document if part.thought)
        for line in thoughts.split("\n")[:-1]:
            assert line.endswith(" no")
        for step in thoughts.replace(" no", "").replace("\n", ", ").split(", "):
            left, _, result = step.partition("=")
            assert eval(left) == eval(result)
