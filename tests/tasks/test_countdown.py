"""Countdown: problems that can be solved, a verifier that cannot be fooled."""

import re
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castalia.errors import TaskError
from castalia.tasks.countdown import LEVELS, WORDINGS, Countdown, evaluate
from castalia.tasks.task import DIFFICULTIES, SPLITS, Example, Question

TASK = Countdown()


def problem(target: int, *numbers: int) -> Example:
    question = Question("", "", "", facts={"numbers": list(numbers), "target": target})
    return Example("countdown", 0, 1, "train", TASK.sample(0, 1).context, (question,))


def identity(example: Example) -> tuple[int, ...]:
    facts = example.questions[0].facts
    return facts["target"], *sorted(facts["numbers"])


@pytest.mark.parametrize(("difficulty", "split"), list(product(DIFFICULTIES, SPLITS)))
def test_every_reference_answer_is_right_and_every_example_repeatable(difficulty: int, split: str) -> None:
    for seed in range(40):
        example = TASK.sample(seed, difficulty, split)
        question = example.questions[0]
        assert TASK.score(example, question.answer).value == 1.0
        assert example.questions == TASK.sample(seed, difficulty, split).questions
        assert TASK.trace(example).parts[-1].content == question.answer
        assert question.thoughts.endswith(f"={question.facts['target']}")
        if split != "out_of_range":
            assert len(question.facts["numbers"]) == LEVELS[difficulty].numbers


@pytest.mark.parametrize("difficulty", [1, 2, 3, 5])
def test_no_problem_is_on_both_sides(difficulty: int) -> None:
    train, held_out = ({identity(TASK.sample(i, difficulty, s)) for i in range(500)} for s in ("train", "held_out"))
    assert train and held_out and not train & held_out


def test_all_operations_and_wordings_occur() -> None:
    questions = [TASK.sample(seed, 3).questions[0] for seed in range(300)]
    assert {sign for q in questions for sign in q.answer if sign in "+-*/"} == set("+-*/")
    starts = {wording.split("{")[0] for wording in WORDINGS} - {""}
    assert all(any(q.text.startswith(start) for q in questions) for start in starts)
    assert any(" no\n" in q.thoughts for q in questions)


def test_every_step_of_the_thoughts_is_true() -> None:
    for seed in range(200):
        for attempt in TASK.sample(seed, 7).questions[0].thoughts.splitlines():
            for step in attempt.removesuffix(" no").split(", "):
                left, right = step.split("=")
                assert evaluate(left)[0] == int(right)


@pytest.mark.parametrize("reply", ["(8-6)*12", " 12 * ( 8 - 6 ) .", "12×(8−6)", "12*(8-6)=24", "12*(8-6) = 24."])
def test_other_right_answers_are_accepted(reply: str) -> None:
    assert TASK.score(problem(24, 12, 8, 6), reply).value == 1.0


def test_division_need_not_come_out_even_on_the_way() -> None:
    assert TASK.score(problem(24, 8, 3, 8, 3), "8/(3-8/3)").value == 1.0


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "24",
        "12+8+6",
        "12*(8-6)*1",
        "12*2",
        "8*12/(6-2)",
        "12*(8-6)=25",
        "12*(8-6",
        "12*8-6)",
        "12 8 6",
        "12**(8-6)",
        "12//(8-6)",
        "-6+8*12",
        "()",
        "12/(6-6)",
        "９**９**９",
        "9**9**9",
        "__import__('os').system('true')",
        "(" * 100_000,
        "(" * 99 + "1" + ")" * 99,
        "9" * 100_000,
        "1+" * 90,
    ],
)
def test_wrong_and_hostile_replies_score_nothing_and_say_why(reply: str) -> None:
    score = TASK.score(problem(24, 12, 8, 6), reply)
    assert score.value == 0.0 and score.reason


@given(st.text(alphabet="0123456789+-*/() =x_.", max_size=60))
def test_no_reply_breaks_the_verifier(reply: str) -> None:
    assert TASK.score(problem(24, 12, 8, 6), reply).value in (0.0, 1.0)


EXPRESSIONS = st.recursive(
    st.integers(0, 99).map(str),
    lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda t: f"({t[0]}{t[1]}{t[2]})"),
    max_leaves=8,
)


@given(EXPRESSIONS)
def test_values_are_those_of_exact_arithmetic(expression: str) -> None:
    wrapped = re.sub(r"(\d+)", r"Fraction(\1)", expression)
    try:
        wanted = eval(wrapped, {"Fraction": Fraction})
    except ZeroDivisionError:
        with pytest.raises(TaskError, match="zero"):
            evaluate(expression)
    else:
        assert evaluate(expression)[0] == wanted


@given(st.lists(st.integers(0, 20), min_size=2, max_size=7), st.data())
def test_precedence_without_brackets_is_the_usual_one(numbers: list[int], data: st.DataObject) -> None:
    signs = [data.draw(st.sampled_from("+-*")) for _ in numbers[1:]]
    text = str(numbers[0]) + "".join(f"{sign}{number}" for sign, number in zip(signs, numbers[1:], strict=True))
    assert evaluate(text) == (eval(text), numbers)
