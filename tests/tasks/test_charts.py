"""Charts: what is asked follows from what is drawn, answers are balanced, and splits never meet."""

from collections import Counter, defaultdict
from itertools import product

import numpy as np
import pytest

from castalia.document import Image
from castalia.tasks.chart_questions import WORDINGS, Chart
from castalia.tasks.charts import LETTERS, LEVELS, MARGIN, Charts, draw
from castalia.tasks.countdown import evaluate
from castalia.tasks.drawing import PALETTE
from castalia.tasks.task import DIFFICULTIES, SPLITS, Example, Split

TASK = Charts()


def pixels(example: Example) -> np.ndarray:
    content = example.context.parts[0].content
    assert isinstance(content, Image)
    return content.pixels_HWC


def test_the_chart_that_the_walk_follows_is_of_four_bars_about_which_four_things_are_asked() -> None:
    example = TASK.sample(seed=8, difficulty=2)
    assert {question.text: question.answer for question in example.questions}["Count the bars."] == "4"
    assert len(example.questions) == 4 and example.questions[0].text == "What is D?"
    assert "arguments='[[4.5,2.5]]'" in str(example.questions[0].steps[0])  # what docs/walk.md has the model write


def heights_of_bars(picture_HWC: np.ndarray) -> list[int]:
    """Read the values of a chart of difficulty 1 off its pixels: coloured rows in the middle of each column."""
    coloured_HW = (picture_HWC.max(axis=2).astype(int) - picture_HWC.min(axis=2)) > 40
    return [int(coloured_HW[:, x].sum()) // 8 for x in range(MARGIN + 8, picture_HWC.shape[1], 16)]


@pytest.mark.parametrize(("difficulty", "split"), list(product(DIFFICULTIES, SPLITS)))
def test_examples_are_repeatable_and_their_answers_score(difficulty: int, split: Split) -> None:
    for seed in range(25):
        example = TASK.sample(seed, difficulty, split)
        again = TASK.sample(seed, difficulty, split)
        assert example.questions == again.questions and (pixels(example) == pixels(again)).all()
        assert 3 <= len(example.questions) <= 6
        assert len({question.kind for question in example.questions}) == len(example.questions)
        answers = [part for part in TASK.trace(example) if part.learned and not part.thought]
        for index, (question, part) in enumerate(zip(example.questions, answers, strict=True)):
            assert TASK.score(example, str(part.content), index).value == 1.0
            assert TASK.score(example, f" {question.answer.lower()}. ", index).value == 1.0
            assert TASK.score(example, f"{question.answer}1", index).value == 0.0
            assert TASK.score(example, "", index).value == 0.0
            assert 0 < question.chance <= 0.5


def test_the_bars_are_as_high_as_the_answers_say() -> None:
    seen = 0
    for seed in range(200):
        example = TASK.sample(seed, 1)
        heights = heights_of_bars(pixels(example))
        for question in example.questions:
            if question.kind == "count":
                assert question.answer == str(len(heights))
            elif question.kind in ("largest", "smallest"):
                items = [item.split() for item in question.thoughts.split(", ")]
                listed = {name: int(value) for name, value, _ in items}
                assert list(listed.values()) == heights
                best = max if question.kind == "largest" else min
                for count, (_, _, so_far) in enumerate(items, 1):
                    assert listed[so_far.strip("()")] == best(heights[:count])
                assert listed[question.answer] == best(heights)
                seen += 1
    assert seen > 50


def test_those_above_a_bound_are_counted_value_by_value() -> None:
    seen = 0
    for seed in range(100):
        for question in TASK.sample(seed, 4).questions:
            if question.kind == "above" and question.thoughts:
                items = [item.rsplit(" ", 1) for item in question.thoughts.split(", ")]
                counts = [int(so_far.strip("()")) for _, so_far in items]
                assert all(later - count in (0, 1) for count, later in zip([0, *counts], counts, strict=False))
                assert str(counts[-1]) == question.answer
                seen += 1
    assert seen > 20


def test_sums_in_thoughts_are_true_and_end_with_the_answer() -> None:
    seen = Counter()
    for seed in range(150):
        for question in TASK.sample(seed, 9).questions:
            if question.kind in ("total", "reckon"):
                steps = question.thoughts.split("; ")[1].split(", ")
                assert all(evaluate(step.split("=")[0])[0] == int(step.split("=")[1]) for step in steps)
                assert steps[-1].endswith(f"={question.answer}")
                seen[question.kind] += 1
            elif question.kind in ("sum", "difference"):
                listed, answer = question.thoughts.split(" = ")
                one, other = (int(item.replace(":", "").split()[1]) for item in listed.split(", "))
                result = one + other if question.kind == "sum" else one - other
                assert int(answer) == int(question.answer) == result
                seen[question.kind] += 1
    assert set(seen) == {"total", "reckon", "sum", "difference"}


def identities(split: Split, difficulty: int, seeds: int, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Collect what charts of a split show, as they are handed to the drawing."""
    import castalia.tasks.charts as module

    shown: set[str] = set()

    def spy(chart: Chart, *rest: object) -> Image:
        shown.add(chart.identity())
        return Image(np.zeros((1, 1, 3), np.uint8))

    with monkeypatch.context() as patch:
        patch.setattr(module, "draw", spy)
        for seed in range(seeds):
            TASK.sample(seed, difficulty, split)
    return shown


@pytest.mark.parametrize("difficulty", [1, 3, 8])
def test_no_chart_is_on_both_sides_and_there_are_many(difficulty: int, monkeypatch: pytest.MonkeyPatch) -> None:
    train, held_out = (identities(split, difficulty, 1500, monkeypatch) for split in ("train", "held_out"))
    assert not train & held_out
    assert len(train) > 1200 and len(held_out) > 500


def test_out_of_range_has_more_categories_than_training_ever_has() -> None:
    most = max(level.categories[1] for level in LEVELS.values())
    for seed, difficulty in product(range(20), (1, 10)):
        for question in TASK.sample(seed, difficulty, "out_of_range").questions:
            if question.kind == "count":
                assert int(question.answer) > most


def test_a_blind_guess_is_never_better_than_the_stated_chance() -> None:
    answers, chances = defaultdict(Counter), Counter()
    for seed in range(2500):
        for question in TASK.sample(seed, 1 + seed % 2).questions:
            key = (1 + seed % 2, question.kind)
            answers[key][question.answer] += 1
            chances[key] += question.chance
    for key, counts in answers.items():
        total = sum(counts.values())
        common = counts.most_common(1)[0][1]
        noise = 3.5 * (common * (1 - common / total)) ** 0.5
        assert common <= chances[key] + noise, (key, counts.most_common(3))


def test_every_kind_occurs_in_all_its_wordings() -> None:
    openings = defaultdict(set)
    for seed in range(600):
        for question in TASK.sample(seed, 8 + seed % 3).questions:
            openings[question.kind].add(question.text.split()[0] + question.text[-8:])
    assert set(openings) == set(WORDINGS)
    assert all(len(set(wordings)) >= 4 for wordings in WORDINGS.values())
    assert all(len(found) >= 4 for found in openings.values())


def test_charts_grow_with_difficulty() -> None:
    def size(difficulty: int) -> float:
        return float(np.mean([pixels(TASK.sample(seed, difficulty)).size for seed in range(60)]))

    sizes = [size(difficulty) for difficulty in (1, 3, 6, 10)]
    assert sizes == sorted(sizes) and sizes[-1] > 2 * sizes[0]
    tops = [level.top for level in LEVELS.values()]
    assert tops == sorted(tops)


def test_numbers_of_every_axis_fit_in_its_margin() -> None:
    for level in LEVELS.values():
        assert level.top * max(level.steps) < 100  # three digits do not fit


def test_categories_told_apart_by_colour_are_drawn_in_it() -> None:
    chart = Chart("bars", "colours", ("red", "green"), ((3, 7),), 1, 9, 2)
    import random

    picture_HWC = draw(chart, LEVELS[3], random.Random(0)).pixels_HWC
    areas = [(picture_HWC == PALETTE[name]).all(axis=2).sum() for name in chart.labels]
    assert areas[0] * 7 == areas[1] * 3 > 0


def test_letters_suffice_for_the_most_categories() -> None:
    assert len(LETTERS) >= 10 + 5 + 2
