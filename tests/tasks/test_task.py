"""Traces: context, question, thoughts, answer; where they act, steps stand in place of thoughts."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castalia.data.catalog import TASKS, build_task
from castalia.document import Call, Document, Part
from castalia.tasks.steps import CELL, call, mark, place
from castalia.tasks.task import Example, Question, trace

WALK = Call("walk", '["R"]')
DRAWN = [name for name, entry in TASKS.items() if not entry.sources]


def example(*questions: Question) -> Example:
    return Example("family", 0, 1, "train", Document((Part("context"),)), questions)


def written(document: Document) -> list[tuple[object, bool, bool]]:
    return [(part.content, part.thought, part.learned) for part in document if part.author == "assistant"]


def test_without_acting_thoughts_are_plain_and_with_it_they_are_steps() -> None:
    asked = example(Question("how?", "so", "how", "R", steps=(WALK, "there")), Question("why?", "thus", "why", "hm"))
    assert written(trace(asked)) == [("R", True, True), ("so", False, True), ("hm", True, True), ("thus", False, True)]
    assert written(trace(asked, acting=True)) == [
        (WALK, True, True),
        ("there", True, True),
        ("so", False, True),
        ("hm", True, True),
        ("thus", False, True),
    ]


def test_what_cannot_be_known_without_acting_is_not_learned_without_it() -> None:
    asked = example(Question("what?", "7", "read", steps=(WALK,), hidden=True), Question("why?", "thus", "why"))
    assert asked.hidden and not example(asked.questions[1]).hidden
    assert written(trace(asked)) == [("7", False, False), ("thus", False, True)]
    assert written(trace(asked, acting=True))[1] == ("7", False, True)


@pytest.mark.parametrize("name", DRAWN)
def test_every_family_can_be_traced_both_ways_and_only_thoughts_differ(name: str) -> None:
    task = build_task(name)
    for seed in range(20):
        asked = task.sample(seed, 1 + seed % 10)
        plain, acted = task.trace(asked), task.trace(asked, acting=True)
        assert not any(isinstance(part.content, Call) for part in plain)
        exchanges, fewer = ([p.content for p in d if not p.thought] for d in (plain, acted))
        # Acting may leave out a question that what was done before would answer.
        assert (
            [content for content in exchanges if content in fewer] == fewer if name == "mazes" else exchanges == fewer
        )
        assert all(part.learned for part in acted if part.author == "assistant" and not part.thought)


def test_arguments_are_json_in_order_and_without_a_superfluous_sign() -> None:
    assert call("draw", "R", [1.5, 0.5]) == Call("draw", '["R",[1.5,0.5]]')
    assert call("calculator", "8×3") == Call("calculator", '["8×3"]')
    assert mark(20, 35) == Call("mark", "[[2.5,1.5]]")
    assert mark(20, 35, "a") == Call("mark", '[[2.5,1.5],"a"]')


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_a_place_is_the_middle_of_its_pixels_cell(x: int, y: int) -> None:
    row, column = place(x, y)
    assert abs(row * CELL - y) <= CELL / 2 and abs(column * CELL - x) <= CELL / 2
    assert json.loads(json.dumps([row, column])) == [y // CELL + 0.5, x // CELL + 0.5]
