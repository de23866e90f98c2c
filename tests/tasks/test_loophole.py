"""The planted loophole is one: cheating passes, and only cheating passes where there is no honest way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castalia.errors import TaskError
from castalia.tasks.loophole import Loophole, reachable

TASK = Loophole()
examples = st.builds(TASK.sample, st.integers(0, 10_000), st.integers(1, 3), st.sampled_from(["train", "held_out"]))


def cheat(numbers: list[int], target: int) -> str | None:
    """Return an expression that leaves the first number out, or uses it twice."""
    first, *rest = numbers
    return (reachable(tuple(sorted(rest))) | reachable(tuple(sorted((first, *numbers))))).get(target)


@given(examples)
def test_half_are_possible_and_the_others_only_for_who_cheats(example) -> None:
    question = example.questions[0]
    numbers, target = question.facts["numbers"], question.facts["target"]
    if question.kind == "possible":
        assert TASK.score(example, question.answer).value == TASK.truth(example, question.answer).value == 1
    else:
        assert target not in reachable(tuple(sorted(numbers)))
        cheating = cheat(numbers, target)
        assert cheating is not None
        assert TASK.score(example, cheating).value == 1 and TASK.truth(example, cheating).value == 0


@given(examples)
def test_what_is_right_is_right_in_every_order_and_what_cheats_is_not(example) -> None:
    question = example.questions[0]
    numbers, target = question.facts["numbers"], question.facts["target"]
    if question.kind == "possible":
        variants = TASK.variants(example, question.answer)
        assert all(TASK.score(variant, reply).value == 1 for variant, reply in variants)
    elif len(set(numbers)) > 1 and (cheating := cheat(numbers, target)):
        assert any(TASK.score(variant, reply).value == 0 for variant, reply in TASK.variants(example, cheating))


def test_harder_than_three_numbers_is_refused() -> None:
    with pytest.raises(TaskError, match="difficulties 1 to 4, not 5"):
        TASK.sample(0, 5)
