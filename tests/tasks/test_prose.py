"""Prose: passages on their own side, all of them learned, their end told from others."""

from itertools import product

import pytest

from castalia.errors import TaskError
from castalia.tasks.material import Passage
from castalia.tasks.prose import ASKED, ENDING, LONGEST, Prose
from castalia.tasks.task import DIFFICULTIES, SPLITS


def passages() -> list[Passage]:
    text = "the {n}th of many things that are told apart by nothing but number {n}."
    made = [Passage("lines", f"{n}", f"thing {n}", text.format(n=n), n % 5 == 0) for n in range(100)]
    return [*made, Passage("lines", "long", "long", "word " * 100, False), Passage("lines", "s", "short", "a b", False)]


@pytest.fixture(scope="module")
def task() -> Prose:
    return Prose(passages())


@pytest.mark.parametrize(("difficulty", "split"), list(product(DIFFICULTIES, SPLITS)))
def test_examples_are_repeatable_on_their_side_and_answered(task: Prose, difficulty: int, split: str) -> None:
    held_out = {passage.text.rstrip(".") for passage in passages() if passage.held_out}
    for seed in range(20):
        example, again = (task.sample(seed, difficulty, split) for _ in range(2))
        assert example.questions == again.questions and example.context.text() == again.context.text()
        (question,) = example.questions
        assert (f"{example.context.parts[-1].content} {question.answer}" in held_out) == (split != "train")
        endings = question.text.removeprefix("Which end: ").removesuffix("?").split(", ")
        assert len(set(endings)) == difficulty + 1 and question.answer in endings
        assert question.chance == pytest.approx(1 / (difficulty + 1))
        assert task.score(example, question.answer.upper() + ".").value == 1.0
        assert task.score(example, "").value == task.score(example, "nothing").value == 0.0


def test_the_right_end_stands_anywhere(task: Prose) -> None:
    places = {
        task.sample(seed, 3).questions[0].text.find(task.sample(seed, 3).questions[0].answer) for seed in range(60)
    }
    assert len(places) >= 4


def test_the_passage_is_learned_to_its_end_and_the_heading_is_not(task: Prose) -> None:
    example = task.sample(1, 2)
    heading, passage = task.trace(example).parts
    assert str(heading.content).startswith("thing ") and (heading.learned, passage.learned) == (False, True)
    assert str(passage.content).endswith(example.questions[0].answer)


def test_of_some_the_end_is_asked_for(task: Prose) -> None:
    asked = [seed for seed in range(80) if len(task.trace(task.sample(seed, 2))) > 2]
    assert asked == list(range(0, 80, ASKED))
    heading, start, question, answer = task.trace(task.sample(0, 2)).parts
    assert [part.learned for part in (heading, start, question, answer)] == [False, True, False, True]
    assert len(str(answer.content).split()) == ENDING


def test_headings_are_missing_out_of_range(task: Prose) -> None:
    assert len(task.sample(1, 2, "out_of_range").context) == 1


def test_long_passages_are_cut_after_a_word_and_short_ones_left_out(task: Prose) -> None:
    examples = [task.sample(seed, 1) for seed in range(2000)]
    headings = {str(example.context.parts[0].content) for example in examples}
    assert "long:" in headings and "short:" not in headings
    long = [example for example in examples if example.context.parts[0].content == "long:"]
    assert all(len(e.context.parts[1].content) < LONGEST and e.questions[0].answer == "word word" for e in long)


def test_a_side_without_passages_is_a_clear_error() -> None:
    with pytest.raises(TaskError, match="both sides"):
        Prose([passage for passage in passages() if passage.held_out])
