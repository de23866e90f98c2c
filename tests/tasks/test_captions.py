"""Captions: pictures on their own side, every name accepted."""

from collections import Counter
from functools import partial
from itertools import product

import numpy as np
import pytest

from castalia.errors import TaskError
from castalia.tasks.captions import WORDINGS, Captions, with_article
from castalia.tasks.material import Picture
from castalia.tasks.task import DIFFICULTIES, SPLITS, Example

CLOTHES = ("shirt", "sandal", "bag", "ankle boot", "trousers")
EMOJI = tuple(f"thing {n}" for n in range(60))


def plain_picture(shade: int, side: int) -> np.ndarray:
    pixels_HWC = np.full((side, side, 3), shade, np.uint8)
    pixels_HWC[0, 0] = 0
    return pixels_HWC


def pictures() -> list[Picture]:
    """Return pictures whose colour tells their side: 50 for training, 200 for held out."""
    made = []
    for held_out, shade in ((False, 50), (True, 200)):
        for name, n in product(CLOTHES, range(3)):
            names = (name, f"{name} of cloth")
            made.append(Picture("clothes", f"{name}{n}", names, held_out, partial(plain_picture, shade, 28)))
        for name in EMOJI[:40] if not held_out else EMOJI[20:]:
            made.append(Picture("emoji", name, (name,), held_out, partial(plain_picture, shade, 90)))
    return made


@pytest.fixture(scope="module")
def task() -> Captions:
    return Captions(pictures())


def pixels(example: Example) -> np.ndarray:
    return example.context.parts[0].content.pixels_HWC


@pytest.mark.parametrize(("difficulty", "split"), list(product(DIFFICULTIES, SPLITS)))
def test_examples_are_repeatable_on_their_side_and_answered(task: Captions, difficulty: int, split: str) -> None:
    for seed in range(20):
        example, again = (task.sample(seed, difficulty, split) for _ in range(2))
        assert np.array_equal(pixels(example), pixels(again)) and example.questions == again.questions
        assert pixels(example)[16, 16, 0] == {"train": 50, "held_out": 200, "out_of_range": 55}[split]
        assert max(pixels(example).shape) <= 64 and pixels(example).shape[0] % 16 == 0
        assert task.trace(example).parts[-1].content == example.questions[-1].answer
        for index, question in enumerate(example.questions):
            assert task.score(example, question.answer, index).value == 1.0
            assert task.score(example, "elephant", index).value == 0.0


def test_any_name_is_accepted_with_article_case_and_full_stop(task: Captions) -> None:
    for seed in range(20):
        example = task.sample(seed, 1)
        index = next(i for i, question in enumerate(example.questions) if question.kind == "name")
        answer = example.questions[index].answer
        for reply in (f"A {answer}.", f"the {answer.upper()}", f"{answer} of cloth"):
            assert task.score(example, reply, index).value == 1.0


def test_difficulty_grows_from_few_names_of_the_smallest_source_to_all(task: Captions) -> None:
    def names(difficulty: int) -> set[str]:
        return {q.answer for s in range(300) for q in task.sample(s, difficulty).questions if q.kind == "name"}

    assert names(1) == set(sorted(CLOTHES)[:4])
    assert names(1) < names(3) < names(10) and set(CLOTHES) < names(3)


def test_held_out_pictures_have_names_known_from_training(task: Captions) -> None:
    asked = {q.answer for s in range(300) for q in task.sample(s, 10, "held_out").questions if q.kind == "name"}
    assert asked == {*CLOTHES, *EMOJI[20:40]}


def test_all_wordings_occur_and_choices_are_balanced(task: Captions) -> None:
    questions = [q for seed in range(600) for q in task.sample(seed, 3).questions]
    assert {q.kind for q in questions} == set(WORDINGS)
    said = Counter(q.answer for q in questions if q.kind == "whether")
    assert 0.7 < said["yes"] / said["no"] < 1.4
    first = [q.text.lower().find(q.answer) < q.text.find(" or ") for q in questions if q.kind == "choose"]
    assert 0.4 < sum(first) / len(first) < 0.6


def test_articles() -> None:
    assert [with_article(name) for name in ("shirt", "ankle boot", "trousers", "dress")] == [
        "a shirt", "an ankle boot", "trousers", "a dress",
    ]  # fmt: skip


def test_a_side_without_pictures_is_a_clear_error() -> None:
    with pytest.raises(TaskError, match="both sides"):
        Captions([picture for picture in pictures() if not picture.held_out])
