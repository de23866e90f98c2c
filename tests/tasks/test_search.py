"""Search: the first look is the same whatever there is to find; a closer look shows it; answers follow from that."""

import json
import re
import time
from collections import Counter, defaultdict
from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import castalia.tasks.search as module
from castalia.document import Call, Document, Image, Part
from castalia.perception.image import fit
from castalia.perception.perceive import Perception, PerceptionConfig
from castalia.perception.text import Tokenizer
from castalia.tasks.drawing import canvas, draw_text, text_width, to_image
from castalia.tasks.search import CLOSE, COLOURS, DETAILS, LEVELS, SEEN_SIDE, WORDINGS, Box, Search, draw
from castalia.tasks.task import DIFFICULTIES, SPLITS, Example, Split

TASK = Search()
PERCEPTION = Perception(Tokenizer.train([""], 272), PerceptionConfig(max_side=SEEN_SIDE))


def pixels(example: Example) -> np.ndarray:
    content = example.context.parts[0].content
    assert isinstance(content, Image)
    return content.pixels_HWC


def region(call: Call) -> tuple[slice, slice]:
    """Return the pixels that a crop looks at."""
    ((row, column, height, width),) = json.loads(call.arguments)
    assert (call.name, height) == ("crop", 1)
    return np.s_[row * CLOSE : (row + height) * CLOSE, column * CLOSE : (column + width) * CLOSE]


@cache
def texts() -> dict[bytes, str]:
    """Return every detail by its dots, from the letters as they are drawn elsewhere."""
    found = {}
    for text in (detail for details in DETAILS.values() for detail in details):
        picture, pen = canvas(text_width(text), 7)
        draw_text(pen, 0, 0, text)
        found[(to_image(picture).pixels_HWC.max(axis=2) < 100).tobytes()] = text
    return found


def reading(crop_HWC: np.ndarray) -> tuple[str, str]:
    """Return the colour of a box's frame and what is written in it, from its pixels alone."""
    (colour,) = [name for name, colour in COLOURS.items() if (crop_HWC[0, 0] == colour).all()]
    dots_RC = crop_HWC[16:-16:4, 16:-16:4, 0] < 64
    rows, columns = np.flatnonzero(dots_RC.any(axis=1)), np.flatnonzero(dots_RC.any(axis=0))
    dots_RC = dots_RC[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return colour, texts()[dots_RC.tobytes()]


def spied_on(patch: pytest.MonkeyPatch) -> list[tuple[Box, ...]]:
    """Return a list that will hold the boxes handed to the drawing, picture by picture; nothing is drawn."""
    pictures: list[tuple[Box, ...]] = []

    def spy(boxes: tuple[Box, ...], seen_side: int) -> Image:
        pictures.append(boxes)
        return Image(np.zeros((1, 1, 3), np.uint8))

    patch.setattr(module, "draw", spy)
    return pictures


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Box, ...]]:
    return spied_on(monkeypatch)


@pytest.mark.parametrize(("difficulty", "split"), list(product(DIFFICULTIES, SPLITS)))
def test_examples_are_repeatable_and_their_answers_score(difficulty: int, split: Split) -> None:
    for seed in range(12):
        example = TASK.sample(seed, difficulty, split)
        again = TASK.sample(seed, difficulty, split)
        assert example.questions == again.questions and (pixels(example) == pixels(again)).all()
        assert 2 <= len(example.questions) <= 3 and example.hidden
        assert len({question.kind for question in example.questions}) == len(example.questions)
        answers = [part for part in TASK.trace(example, acting=True) if part.learned and not part.thought]
        for index, (question, part) in enumerate(zip(example.questions, answers, strict=True)):
            assert TASK.score(example, str(part.content), index).value == 1.0
            assert TASK.score(example, f"The {question.answer.upper()} box.", index).value == 1.0
            for wrong in ("", f"{question.answer}1", f"bright {question.answer}"):
                assert TASK.score(example, wrong, index).value == 0.0
            assert 0 < question.chance <= 0.5


@given(st.integers(0, 10**6), st.sampled_from(DIFFICULTIES), st.sampled_from(SPLITS), st.data())
def test_the_first_look_is_the_same_to_the_bit_whatever_the_boxes_hold(
    seed: int, difficulty: int, split: Split, data: st.DataObject
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        pictures = spied_on(patch)
        TASK.sample(seed, difficulty, split)
    boxes = pictures[0]
    possible = DETAILS["number"] if boxes[0].width == 2 else DETAILS["digit"] + DETAILS["letter"]
    details = data.draw(st.lists(st.sampled_from(possible), min_size=1, max_size=len(boxes)))
    others = tuple(replace(box, detail=detail) for box, detail in zip(boxes, details, strict=False))
    one, other = draw(boxes), draw(others + boxes[len(others) :])
    first, second = (PERCEPTION(Document((Part(image),))) for image in (one, other))
    for name in ("tokens_T", "places_T3", "patches_NP"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), name)
    for box, changed in zip(boxes, others, strict=False):
        closer = [image.pixels_HWC[region(box.look())] for image in (one, other)]
        assert np.array_equal(*closer) == (box.detail == changed.detail)
        assert reading(closer[1]) == (box.colour, changed.detail)


def test_every_detail_has_fields_of_one_mean_and_no_two_are_alike() -> None:
    looks: set[bytes] = set()
    for sort, details in DETAILS.items():
        for detail in details:
            box = Box("red", 0, 0, 2 if sort == "number" else 1, detail)
            picture_HWC = draw((box,), 32).pixels_HWC
            means = picture_HWC.reshape(32, 4, 32, 4, 3).astype(int).sum(axis=(1, 3))
            assert set(means[4:12, 4:12].ravel().tolist()) == {16 * 128}
            looks.add(picture_HWC.tobytes())
    assert len(looks) == sum(map(len, DETAILS.values()))


def test_a_closer_look_at_one_box_is_of_few_patches() -> None:
    for sort, most in (("digit", 5), ("letter", 5), ("number", 13)):
        box = Box("blue", 3, 4, 2 if sort == "number" else 1, DETAILS[sort][3])
        crop = Image(np.ascontiguousarray(draw((box,)).pixels_HWC[region(box.look())]))
        assert len(PERCEPTION(Document((Part(crop),))).patches_NP) <= most


def named(text: str) -> list[str]:
    """Return the colours that a question names, in order; the longest name counts where one holds another."""
    return re.findall("|".join(sorted(COLOURS, key=len, reverse=True)), text)


def test_answers_follow_from_what_the_looks_show() -> None:
    checked = Counter()
    for seed in range(120):
        example = TASK.sample(seed, 1 + seed % 10)
        picture_HWC = pixels(example)
        for question in example.questions:
            looks = [reading(picture_HWC[region(step)]) for step in question.steps if isinstance(step, Call)]
            asked, details = named(question.text), dict(looks)
            assert 1 <= len(looks) <= 2 and set(details) <= set(asked)
            if question.kind == "read":
                assert details == {asked[0]: question.answer}
            elif question.kind == "find":
                wanted = re.findall(r"\b(\d+|[A-Z])\b", question.text)
                found = [colour for colour, detail in looks if [detail] == wanted]
                assert question.answer == (found[0] if found else (set(asked) - set(details)).pop())
                assert not found or looks[-1][0] == question.answer, "having found it, one looks no further"
                assert len(asked) - len(details) <= 1 or found
            elif question.kind == "larger":
                assert question.answer == max(details, key=lambda colour: int(details[colour]))
            else:
                assert int(question.answer) == sum(map(int, details.values())) and list(details) == asked
                assert str(question.steps[-1]).endswith(f"={question.answer}")
            texts = [step for step in question.steps if isinstance(step, str)]
            calls = [step for step in question.steps if isinstance(step, Call)]
            for before, call, (colour, _) in zip(texts, calls, looks, strict=False):
                row, column, *_ = json.loads(call.arguments)[0]
                assert before.endswith(f"{colour} {row} {column}"), "one says where one looks"
            said = [text.replace(",", " ").split()[0] for text in texts[1:]]
            assert said == ([] if question.kind == "read" else [detail for _, detail in looks])
            checked[question.kind] += 1
    assert set(checked) == set(WORDINGS)


def test_boxes_lie_inside_apart_and_in_different_colours(shown: list[tuple[Box, ...]]) -> None:
    for seed in range(200):
        TASK.sample(seed, 1 + seed % 10, SPLITS[seed % 3])
        boxes = shown[-1]
        cells = [(box.row, box.column + across) for box in boxes for across in range(box.width)]
        assert len(set(cells)) == len(cells) and all(max(cell) < SEEN_SIDE // 16 for cell in cells)
        assert len({box.colour for box in boxes}) == len({box.detail for box in boxes}) == len(boxes)


def test_other_sizes_can_be_seen(shown: list[tuple[Box, ...]]) -> None:
    for seed in range(50):
        Search(128).sample(seed, 10)
        assert all(box.row < 8 and box.column + box.width <= 8 for box in shown[-1])
    assert fit(draw(shown[-1], 128), 128).width == 128


@pytest.mark.parametrize("difficulty", [1, 5, 10])
def test_no_picture_is_on_both_sides_and_there_are_many(difficulty: int, shown: list[tuple[Box, ...]]) -> None:
    seen: dict[str, set[str]] = {}
    for split in ("train", "held_out"):
        shown.clear()
        for seed in range(400):
            TASK.sample(seed, difficulty, split)
        seen[split] = {str(boxes) for boxes in shown}
        assert len(seen[split]) > 390
    assert not seen["train"] & seen["held_out"]


def test_out_of_range_has_more_boxes_than_training_ever_has(shown: list[tuple[Box, ...]]) -> None:
    most = max(level.boxes[1] for level in LEVELS.values())
    for difficulty in DIFFICULTIES:
        for seed in range(10):
            TASK.sample(seed, difficulty, "out_of_range")
            assert most < len(shown[-1]) <= len(COLOURS)


def test_a_blind_guess_is_never_better_than_the_stated_chance(shown: list[tuple[Box, ...]]) -> None:
    answers, firsts, chances = defaultdict(Counter), defaultdict(Counter), Counter()
    for seed in range(9000):
        difficulty = (1, 4, 7)[seed % 3]
        for question in TASK.sample(seed, difficulty).questions:
            key = (difficulty, question.kind, question.chance)
            answers[key][question.answer] += 1
            chances[key] += question.chance
            if question.kind in ("find", "larger"):  # nor does it help to take the first, second or third box named
                firsts[key][named(question.text).index(question.answer)] += 1
    for counted in (answers, firsts):
        for key, counts in counted.items():
            total = sum(counts.values())
            common = counts.most_common(1)[0][1]
            noise = 3.5 * (common * (1 - common / total)) ** 0.5
            assert common <= chances[key] + noise, (key, counts.most_common(3))


def test_every_kind_occurs_in_all_its_wordings(shown: list[tuple[Box, ...]]) -> None:
    texts = defaultdict(set)
    for seed in range(600):
        for question in TASK.sample(seed, 4 + seed % 7).questions:
            bare = re.sub("|".join(sorted(COLOURS, key=len, reverse=True)), "", question.text)
            texts[question.kind].add(re.sub(r"\b(\d+|[A-Z])\b|digit|letter|number|,", "", bare).replace(" ", ""))
    assert set(texts) == set(WORDINGS)
    assert all(len(set(wordings)) >= 4 for wordings in WORDINGS.values())
    assert all(len(found) >= 4 for found in texts.values())


def test_pictures_fill_with_difficulty(shown: list[tuple[Box, ...]]) -> None:
    counts, sorts = [], set()
    for difficulty in DIFFICULTIES:
        shown.clear()
        for seed in range(60):
            TASK.sample(seed, difficulty)
        counts.append(np.mean([len(boxes) for boxes in shown]))
        sorts |= {sort for boxes in shown for sort, details in DETAILS.items() if boxes[0].detail in details}
    assert counts[0] < counts[2] < counts[5] < counts[9]
    assert sorts == set(DETAILS)


def test_a_plain_trace_teaches_no_guessing() -> None:
    assert not any(part.learned for part in TASK.trace(TASK.sample(0, 1)))


def test_examples_are_made_fast() -> None:
    times = []
    for seed in range(60):
        started = time.perf_counter()
        TASK.sample(seed, 1 + seed % 10)
        times.append(time.perf_counter() - started)
    assert sorted(times)[20] < 0.003
