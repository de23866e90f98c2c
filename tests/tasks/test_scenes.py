"""Scenes: answers follow from the things in the picture, are balanced, and splits never meet."""

import math
import re
from collections import Counter, defaultdict
from itertools import product

import numpy as np
import pytest

import castalia.tasks.scenes as module
from castalia.document import Image
from castalia.tasks.drawing import PALETTE, SHAPES
from castalia.tasks.scene_questions import WORDINGS, Scene, Thing
from castalia.tasks.scenes import LEVELS, Scenes, reserved
from castalia.tasks.task import DIFFICULTIES, SPLITS, Example, Question, Split

TASK = Scenes()


def pixels(example: Example) -> np.ndarray:
    content = example.context.parts[0].content
    assert isinstance(content, Image)
    return content.pixels_HWC


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Scene]:
    """The scenes handed to the drawing, in order."""
    scenes: list[Scene] = []
    drawing = module.draw

    def spy(scene: Scene, *rest: object) -> Image:
        scenes.append(scene)
        return drawing(scene, *rest)

    monkeypatch.setattr(module, "draw", spy)
    return scenes


@pytest.mark.parametrize(("difficulty", "split"), list(product(DIFFICULTIES, SPLITS)))
def test_examples_are_repeatable_and_their_answers_score(difficulty: int, split: Split) -> None:
    for seed in range(12):
        example = TASK.sample(seed, difficulty, split)
        again = TASK.sample(seed, difficulty, split)
        assert example.questions == again.questions and (pixels(example) == pixels(again)).all()
        assert 3 <= len(example.questions) <= 6
        answers = [part for part in TASK.trace(example) if part.learned and not part.thought]
        for index, (question, part) in enumerate(zip(example.questions, answers, strict=True)):
            assert TASK.score(example, str(part.content), index).value == 1.0
            assert TASK.score(example, f"The {question.answer.upper()}.", index).value == 1.0
            assert TASK.score(example, f"{question.answer} 1", index).value == 0.0
            assert TASK.score(example, "", index).value == 0.0
            assert 0 < question.chance <= 1


def mentioned(question: Question, things: tuple[Thing, ...]) -> list[Thing]:
    """Return the things a question names, in the order it does."""
    found = [thing for thing in things if thing.name in question.text]
    return sorted(found, key=lambda thing: question.text.index(thing.name))


def way_of(text: str) -> str:
    ways = {"left": "left", "right": "right", "above": "up", " up": "up", "below": "down", " down": "down"}
    return next(way for word, way in ways.items() if word in text)


def distance(a: Thing, b: Thing) -> float:
    return math.dist(a.middle, b.middle)


def test_answers_are_true_of_the_picture(shown: list[Scene]) -> None:
    checked = Counter()
    for seed in range(300):
        example = TASK.sample(seed, 1 + seed % 10)
        things = shown[-1].things
        for question in example.questions:
            names = [thing.name for thing in things]
            text, answer = question.text, question.answer
            if question.kind == "count":
                assert int(answer) == len(things) == len(question.thoughts.split(", "))
            elif question.kind == "count some":
                found = [t for t in things if f"{t.colour} " in text or f" {t.shape}" in text]
                assert int(answer) == len(found) == len(re.findall(r"\d", question.thoughts))
                assert len(question.thoughts.split(", ")) == len(things)
            elif question.kind == "colour":
                assert [t.colour for t in things if f" {t.shape}" in text] == [answer]
                gone_through = question.thoughts.split(", ")
                assert gone_through == names[: len(gone_through)] and gone_through[-1].startswith(answer)
            elif question.kind == "shape":
                assert [t.shape for t in things if t.colour in text] == [answer]
            elif question.kind == "present":
                assert (answer == "yes") == any(name in text for name in names)
                steps = question.thoughts.split(", ")
                assert [step.split()[0] for step in steps] == [thing.shape for thing in things[: len(steps)]]
                alike = [thing for thing in things[: len(steps)] if f" {thing.shape}" in text]
                assert [step for step in steps if " " in step] == [
                    f"{thing.shape} {thing.colour} {'yes' if thing.name in text else 'no'}" for thing in alike
                ]
                assert (answer == "yes") == steps[-1].endswith("yes") and (answer == "yes" or len(steps) == len(things))
            elif question.kind == "side":
                a, b = mentioned(question, things)
                true = {"left of": a.x < b.x, "right of": a.x > b.x, "above": a.y < b.y, "below": a.y > b.y}
                assert (answer == "yes") == next(value for side, value in true.items() if side in text)
                yes, no = f"{a.name} yes", f"{b.name} no"
                assert question.thoughts == f"{way_of(text)}, {yes}, {no}: {yes if answer == 'yes' else no}"
            elif question.kind in ("which side", "outermost"):
                among = mentioned(question, things) if question.kind == "which side" else things
                keys = {"left": lambda t: t.x, "right": lambda t: -t.x, "up": lambda t: t.y, "down": lambda t: -t.y}
                key = next(key for way, key in keys.items() if f" {way}" in text)
                assert min(among, key=key).name == answer
                if question.kind == "which side":
                    assert question.thoughts == f"{way_of(text)}, {among[0].name}, {among[1].name}: {answer}"
            elif question.kind == "size":
                (thing,) = mentioned(question, things)
                assert answer == ("large" if thing.large else "small")
            elif question.kind == "odd":
                assert Counter(names)[answer] == 1 and len(set(names)) == 2
                common, gone_through = question.thoughts.split(": ")
                *before, last = gone_through.split(", ")
                shared, usual = common.split(", ")
                (most,) = set(names) - {answer}
                assert {shared, usual} == set(most.split()) and shared in answer and usual not in answer
                assert before == [usual] * names.index(answer)
                assert last.endswith(" no") and {shared, last.removesuffix(" no")} == set(answer.split())
            else:
                a, b = mentioned(question, things)[:2]
                detours = [distance(a, c) + distance(c, b) - distance(a, b) for c in things if c.name == answer]
                assert min(detours) < 4
            checked[question.kind] += 1
    assert set(checked) == set(WORDINGS)


def test_things_do_not_overlap_and_lie_inside_the_picture(shown: list[Scene]) -> None:
    for seed in range(100):
        height, width, _ = pixels(TASK.sample(seed, 1 + seed % 10)).shape
        things = shown[-1].things
        for place, a in enumerate(things):
            half = a.size // 2
            assert half <= a.x <= width - half and half <= a.y <= height - half
            for b in things[:place]:
                assert max(abs(a.x - b.x), abs(a.y - b.y)) >= 10


@pytest.mark.parametrize("difficulty", [1, 3, 10])
def test_no_scene_is_on_both_sides(difficulty: int, shown: list[Scene]) -> None:
    seen: dict[str, set[str]] = {}
    for split, seeds in (("train", 500), ("held_out", 150)):
        shown.clear()
        for seed in range(seeds):
            TASK.sample(seed, difficulty, split)
        seen[split] = {scene.identity() for scene in shown}
        assert len(seen[split]) > 0.97 * seeds
    assert not seen["train"] & seen["held_out"]


def test_reserved_colours_are_never_in_training_and_always_out_of_range(shown: list[Scene]) -> None:
    for seed in range(150):
        for split in ("train", "held_out", "out_of_range"):
            example = TASK.sample(seed, 1 + seed % 10, split)
            met = [thing for thing in shown[-1].things if reserved(thing.shape, thing.colour)]
            assert bool(met) == (split == "out_of_range")
            if split == "out_of_range":
                assert len(shown[-1].things) > LEVELS[example.difficulty].things[1]
    assert [sum(reserved(shape, colour) for colour in PALETTE) for shape in SHAPES] == [1] * len(SHAPES)


def test_a_blind_guess_is_never_better_than_the_stated_chance() -> None:
    answers, chances = defaultdict(Counter), Counter()
    for seed in range(4000):
        difficulty = (1, 2, 5)[seed % 3]
        for question in TASK.sample(seed, difficulty).questions:
            answers[difficulty, question.kind][question.answer] += 1
            chances[difficulty, question.kind] += question.chance
    for key, counts in answers.items():
        total = sum(counts.values())
        common = counts.most_common(1)[0][1]
        noise = 3.5 * (common * (1 - common / total)) ** 0.5
        assert common <= chances[key] + noise, (key, counts.most_common(3))


def test_every_kind_is_asked_in_several_wordings() -> None:
    endings = defaultdict(set)
    for seed in range(400):
        for question in TASK.sample(seed, 4 + seed % 7).questions:
            endings[question.kind].add(tuple(question.text.split()[:2]))
    assert set(endings) == set(WORDINGS)
    assert all(len(set(wordings)) >= 4 for wordings in WORDINGS.values())
    assert all(len(found) >= 3 for found in endings.values())


def test_scenes_grow_with_difficulty(shown: list[Scene]) -> None:
    counts = []
    for difficulty in DIFFICULTIES:
        shown.clear()
        for seed in range(60):
            TASK.sample(seed, difficulty)
        counts.append(np.mean([len(scene.things) for scene in shown]))
    assert counts[0] < counts[2] < counts[5] < counts[9]
