"""Prose: passages on their own side, all of them learned, their last words asked for."""

from itertools import product

import pytest

from castalia.errors import TaskError
from castalia.tasks.material import Passage
from castalia.tasks.prose import LONGEST, Prose
from castalia.tasks.task import DIFFICULTIES, SPLITS


def passages() -> list[Passage]:
    text = "the {n}th of many things that can be told apart by nothing but their number"
    made = [Passage("lines", f"{n}", f"thing {n}", text.format(n=n), n % 10 == 0) for n in range(100)]
    return [*made, Passage("lines", "long", "long", "word " * 100, held_out=False)]


@pytest.fixture(scope="module")
def task() -> Prose:
    return Prose(passages())


@pytest.mark.parametrize(("difficulty", "split"), list(product(DIFFICULTIES, SPLITS)))
def test_examples_are_repeatable_on_their_side_and_answered(task: Prose, difficulty: int, split: str) -> None:
    held_out = {passage.text for passage in passages() if passage.held_out}
    for seed in range(20):
        example, again = (task.sample(seed, difficulty, split) for _ in range(2))
        assert example.questions == again.questions and example.context.text() == again.context.text()
        (question,) = example.questions
        whole = f"{example.context.parts[-1].content} {question.answer}"
        assert (whole in held_out) == (split != "train")
        assert len(question.answer.split()) == difficulty
        assert task.score(example, question.answer.upper() + ".").value == 1.0
        assert task.score(example, "nothing").value == 0.0


def test_the_passage_is_learned_and_the_heading_is_not(task: Prose) -> None:
    heading, start, question, answer = task.trace(task.sample(1, 2)).parts
    assert [part.learned for part in (heading, start, question, answer)] == [False, True, False, True]
    assert str(heading.content).startswith("thing ") and question.content == "Go on."


def test_headings_are_missing_out_of_range(task: Prose) -> None:
    assert len(task.sample(1, 2, "out_of_range").context) == 1


def test_long_passages_are_cut_after_a_word(task: Prose) -> None:
    long = [e for e in (task.sample(seed, 1) for seed in range(2000)) if e.context.parts[0].content == "long:"]
    assert long and all(len(e.context.parts[1].content) < LONGEST and e.questions[0].answer == "word" for e in long)


def test_a_side_without_passages_is_a_clear_error() -> None:
    with pytest.raises(TaskError, match="both sides"):
        Prose([passage for passage in passages() if passage.held_out])
