"""Talk: what is beyond the model is told from what is not, and held-out questions are never trained on."""

from itertools import product

import pytest

from castalia.document import Image
from castalia.tasks.talk import UNABLE, Talk
from castalia.tasks.task import DIFFICULTIES, SPLITS


@pytest.fixture(scope="module")
def task() -> Talk:
    return Talk()


@pytest.mark.parametrize(("difficulty", "split"), list(product(DIFFICULTIES, SPLITS)))
def test_examples_are_repeatable_and_answered(task: Talk, difficulty: int, split: str) -> None:
    for seed in range(10):
        example, again = (task.sample(seed, difficulty, split) for _ in range(2))
        assert example.questions == again.questions
        (question,) = example.questions
        assert task.score(example, question.answer).value == 1.0 and task.score(example, "42").value == 0.0
        assert task.trace(example).parts[-1].content == question.answer and task.trace(example).parts[-1].learned


def test_what_is_beyond_it_is_declined_and_greetings_are_not(task: Talk) -> None:
    examples = [task.sample(seed, 3) for seed in range(300)]
    kinds = {example.questions[0].kind for example in examples}
    assert kinds == {"greeting", "farewell", "about", "world", "missing", "foreign"}
    for example in examples:
        (question,) = example.questions
        assert (question.answer == UNABLE) == (question.kind in ("world", "missing", "foreign"))
        shown = [part for part in example.context if isinstance(part.content, Image)]
        assert len(shown) == (question.kind == "foreign")


def test_no_question_without_a_picture_is_trained_on_and_held_out(task: Talk) -> None:
    asked = {
        split: {example.questions[0].text for example in (task.sample(seed, 2, split) for seed in range(1000))}
        for split in SPLITS
    }
    assert not asked["train"] & (asked["held_out"] | asked["out_of_range"])


def test_what_is_out_of_range_about_the_world_is_asked_in_other_sentences(task: Talk) -> None:
    asked = {split: {task.sample(seed, 1, split).questions[0].text for seed in range(1000)} for split in SPLITS}
    assert not (asked["train"] | asked["held_out"]) & asked["out_of_range"]
