"""Digits: the right handwriting on the right side, questions with one right answer."""

import re
from collections import Counter
from itertools import product

import numpy as np
import pytest

from castalia.errors import TaskError
from castalia.tasks.digits import CELL, LEVELS, WORDINGS, Digits, added_up, likeliest_sum
from castalia.tasks.material import Handwriting
from castalia.tasks.task import DIFFICULTIES, SPLITS, Example


def handwriting(size: int) -> Handwriting:
    """Return 20 patterns of each digit; held-out ones have ink in their lower half only."""
    noise = np.random.default_rng(size)
    pixels_NHW = noise.integers(100, 256, (200, size, size)).astype(np.uint8)
    held_out_N = np.arange(200) % 5 == 0
    pixels_NHW[held_out_N, : size // 2] = 0
    pixels_NHW[~held_out_N, size // 2 :] = 0
    return Handwriting(f"made up {size}", pixels_NHW, np.arange(200) // 20, held_out_N)


@pytest.fixture(scope="module")
def task() -> Digits:
    return Digits([handwriting(8), handwriting(28)])


def pixels(example: Example) -> np.ndarray:
    return example.context.parts[0].content.pixels_HWC


@pytest.mark.parametrize(("difficulty", "split"), list(product(DIFFICULTIES, SPLITS)))
def test_examples_are_repeatable_and_answers_follow_from_the_digits(task: Digits, difficulty: int, split: str) -> None:
    for seed in range(25):
        example, again = (task.sample(seed, difficulty, split) for _ in range(2))
        assert np.array_equal(pixels(example), pixels(again)) and example.questions == again.questions
        assert 2 <= len(example.questions) <= 3
        assert task.trace(example).parts[-1].content == example.questions[-1].answer
        for index, question in enumerate(example.questions):
            assert task.score(example, question.answer, index).value == 1.0
            assert task.score(example, question.answer + "0", index).value == 0.0
        read = {q.kind: q.answer.split() for q in example.questions}.get("read")
        if read is None:
            continue
        digits = [int(digit) for digit in read]
        more = 2 if split == "out_of_range" else 0
        assert LEVELS[difficulty].fewest <= len(digits) - more <= LEVELS[difficulty].most
        answers = {q.kind: q.answer for q in example.questions}
        assert answers.get("sum", str(sum(digits))) == str(sum(digits))
        assert answers.get("largest", str(max(digits))) == str(max(digits))
        assert answers.get("smallest", str(min(digits))) == str(min(digits))


def test_a_digit_fills_a_cell_of_two_patches_each_way_and_the_rest_is_pure_paper(task: Digits) -> None:
    for seed in range(20):
        assert pixels(task.sample(seed, 1)).shape == (CELL, CELL, 3)
        assert pixels(task.sample(seed, 3)).shape == (CELL, 3 * CELL, 3)
        corners = pixels(task.sample(seed, 3))[[0, -1]][:, [0, -1]]
        assert set(np.unique(corners)) <= {0, 255}


def test_held_out_pictures_show_held_out_handwriting_only() -> None:
    upper, lower = slice(0, CELL // 2 - 8), slice(CELL // 2 + 8, CELL)
    task = Digits([handwriting(28)])
    for seed in range(60):
        for split, inked, empty in (("train", upper, lower), ("held_out", lower, upper)):
            picture = pixels(task.sample(seed, 1, split)).astype(int)
            paper = picture[-1 if empty is lower else 0, 0]  # the corner that ink cannot reach
            assert np.abs(picture[inked] - paper).max() > 100
            assert np.abs(picture[empty] - paper).max() == 0


def test_all_kinds_and_wordings_occur_and_yes_is_as_frequent_as_no(task: Digits) -> None:
    questions = [q for d in (1, 2, 3) for seed in range(400) for q in task.sample(seed, d).questions]
    for wordings in WORDINGS.values():
        for wording in wordings:
            assert any(q.text.startswith(wording.split("{")[0]) for q in questions), wording
    said = Counter(q.answer for q in questions)
    assert 0.8 < said["yes"] / said["no"] < 1.25
    largest = Counter(q.answer for q in questions if q.kind == "largest")
    assert max(largest.values()) < 0.25 * largest.total()


def test_counting_goes_through_all_digits_and_counts_those_that_are_meant(task: Digits) -> None:
    questions = [q for seed in range(200) for q in task.sample(seed, 4).questions if q.kind == "count"]
    for question in questions:
        *_, wanted = re.findall(r"\d", question.text)
        steps = [step.split(" ") for step in question.thoughts.split(", ")]
        counted = [step[1] for step in steps if len(step) == 2]
        assert counted == [str(n + 1) for n in range(int(question.answer))] and 3 <= len(steps) <= 4
        assert all((digit == wanted) == bool(number) for digit, *number in steps)
    assert len(questions) > 10


def test_out_of_range_is_in_colours_and_training_is_grey(task: Digits) -> None:
    for seed in range(20):
        assert np.ptp(pixels(task.sample(seed, 3)).astype(int), axis=2).max() == 0
        assert np.ptp(pixels(task.sample(seed, 3, "out_of_range")).astype(int), axis=2).max() > 0


def test_read_digits_may_stand_close_together(task: Digits) -> None:
    for seed in range(20):
        example = task.sample(seed, 3)
        for index, question in enumerate(example.questions):
            if question.kind == "read":
                assert task.score(example, question.answer.replace(" ", ""), index).value == 1.0
                assert task.score(example, question.answer.replace(" ", ", ") + ".", index).value == 1.0


def test_a_digit_without_handwriting_is_a_clear_error() -> None:
    all_of_it = handwriting(8)
    training_only = Handwriting("x", all_of_it.pixels_NHW, all_of_it.labels_N, np.zeros(200, bool))
    with pytest.raises(TaskError, match="no held-out handwriting of 0"):
        Digits([training_only])


def test_adding_up_and_its_chance() -> None:
    assert added_up([3, 4, 1]) == "3+4=7, 7+1=8"
    assert likeliest_sum(1) == pytest.approx(0.1) and likeliest_sum(3) == pytest.approx(0.075)
