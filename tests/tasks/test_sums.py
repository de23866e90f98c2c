"""Sums: the columns are true and lead to the answer."""

import json
import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castalia.document import Call
from castalia.tasks.countdown import evaluate
from castalia.tasks.sums import (
    WORDINGS,
    Sums,
    columns_minus,
    columns_plus,
    columns_times,
    long_division,
    partial_products,
)
from castalia.tasks.task import DIFFICULTIES, SPLITS

TASK = Sums()
NUMBERS = st.integers(0, 10**9)


def all_true(steps: str) -> bool:
    return all(evaluate(side[0])[0] == evaluate(side[1])[0] for side in (step.split("=") for step in steps.split(", ")))


def last_digits(steps: str) -> int:
    """Read the answer off the columns: each one's last digit, the leftmost whole."""
    results = [step.split("=")[1] for step in steps.split(", ")]
    return int(results[-1] + "".join(result[-1] for result in reversed(results[:-1])))


@pytest.mark.parametrize(("difficulty", "split"), list(product(DIFFICULTIES, SPLITS)))
def test_examples_are_repeatable_and_traces_end_with_the_right_answer(difficulty: int, split: str) -> None:
    for seed in range(30):
        example = TASK.sample(seed, difficulty, split)
        question = example.questions[0]
        assert example.questions == TASK.sample(seed, difficulty, split).questions
        assert TASK.trace(example).parts[-1].content == question.answer
        assert TASK.score(example, f" {question.answer}. ").value == 1.0
        assert TASK.score(example, f"{question.answer}1").value == 0.0
        assert question.thoughts and all_true(question.thoughts)
        (calculated,) = (part.content for part in TASK.trace(example, acting=True) if isinstance(part.content, Call))
        assert calculated.name == "calculator" and eval(*json.loads(calculated.arguments)) == int(question.answer)


def test_no_problem_is_on_both_sides() -> None:
    def problems(split: str) -> set[str]:
        texts = [TASK.sample(seed, 1, split).questions[0].text for seed in range(600)]
        return {t for t in texts if t.endswith("=")} | {"+".join(reversed(t[:-1].split("+"))) + "=" for t in texts}

    assert not problems("train") & problems("held_out")


def test_all_kinds_occur() -> None:
    assert {TASK.sample(seed, 5).questions[0].kind for seed in range(200)} == set(WORDINGS)


@given(NUMBERS, NUMBERS)
def test_columns_of_addition_and_subtraction_spell_the_answer(a: int, b: int) -> None:
    a, b = max(a, b), min(a, b)
    assert all_true(columns_plus(a, b)) and last_digits(columns_plus(a, b)) == a + b
    assert all_true(columns_minus(a, b)) and last_digits(columns_minus(a, b)) == a - b


@given(NUMBERS, st.integers(0, 9), st.integers(2, 999))
def test_columns_of_multiplication_and_division_lead_to_the_answer(a: int, b: int, c: int) -> None:
    assert all_true(columns_times(a, b)) and last_digits(columns_times(a, b)) == a * b
    assert partial_products(a, c).endswith(f"={a * c}")
    steps = long_division(a, c)
    assert all_true(steps) and int(steps.rsplit("+", 1)[1]) == a % c
    assert int("".join(step.split("=")[1].split("*")[0] for step in steps.split(", "))) == a // c


def test_division_in_plain_words_leaves_nothing_over() -> None:
    asked = [TASK.sample(seed, 3).questions[0] for seed in range(2000)]
    plain = [q for q in asked if q.kind == "quotient" and ("divided by" in q.text or "//" not in q.text)]
    numbers = [[int(word) for word in re.findall(r"\d+", q.text)] for q in plain if "often" not in q.text]
    assert len(numbers) > 20 and all(a % b == 0 for a, b in numbers)
