"""Mazes: judged against a search of the pixels themselves; answers are balanced, and splits never meet."""

import json
from collections import Counter, defaultdict, deque
from itertools import product

import numpy as np
import pytest

import castalia.tasks.mazes as module
from castalia.document import Image, Part
from castalia.tasks.drawing import PALETTE
from castalia.tasks.mazes import CELL, LEVELS, WORDINGS, Maze, Mazes, draw, shortest_way
from castalia.tasks.task import DIFFICULTIES, SPLITS, Example, Split

TASK = Mazes()
Place = tuple[int, int]
MOVES = {(0, 1): "R", (1, 0): "D", (0, -1): "L", (-1, 0): "U"}


def pixels(example: Example) -> np.ndarray:
    content = example.context.parts[0].content
    assert isinstance(content, Image)
    return content.pixels_HWC


def marked(picture_HWC: np.ndarray, colour: str) -> Place:
    rows, columns = np.nonzero((picture_HWC == PALETTE[colour]).all(axis=2))
    return int(rows[0]) // CELL, int(columns[0]) // CELL


def searched(picture_HWC: np.ndarray) -> int | None:
    """Return the steps from the green to the red field, looking for walls in the pixels only; None without a way."""
    dark_HW = picture_HWC.max(axis=2) < 100
    start, goal = marked(picture_HWC, "green"), marked(picture_HWC, "red")
    steps, waiting = {start: 0}, deque([start])
    while waiting:
        row, column = waiting.popleft()
        y, x = row * CELL + CELL // 2, column * CELL + CELL // 2
        # Just inside the wall, at a third of the cell's side, no mark can be met.
        edges = {
            (0, 1): dark_HW[y - 4, x + CELL // 2 - 1],
            (1, 0): dark_HW[y + CELL // 2 - 1, x - 4],
            (0, -1): dark_HW[y - 4, x - CELL // 2],
            (-1, 0): dark_HW[y - CELL // 2, x - 4],
        }
        for (down, right), wall in edges.items():
            place = row + down, column + right
            if not wall and place not in steps:
                steps[place] = steps[row, column] + 1
                waiting.append(place)
    return steps.get(goal)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Maze]:
    """The mazes handed to the drawing, in order."""
    mazes: list[Maze] = []

    def spy(maze: Maze) -> Image:
        mazes.append(maze)
        return draw(maze)

    monkeypatch.setattr(module, "draw", spy)
    return mazes


@pytest.mark.parametrize(("difficulty", "split"), list(product(DIFFICULTIES, SPLITS)))
def test_examples_are_repeatable_and_their_answers_score(difficulty: int, split: Split) -> None:
    for seed in range(12):
        example = TASK.sample(seed, difficulty, split)
        again = TASK.sample(seed, difficulty, split)
        assert (pixels(example) == pixels(again)).all()
        assert [(q.text, q.answer) for q in example.questions] == [(q.text, q.answer) for q in again.questions]
        assert len(example.questions) == 3
        answers = [part for part in TASK.trace(example) if part.learned and not part.thought]
        for index, part in enumerate(answers):
            assert TASK.score(example, str(part.content), index).value == 1.0
            assert TASK.score(example, f" {str(part.content).lower()}. ", index).value == 1.0
            for wrong in ("", "Z", f"{part.content} 1", "R" * 200):
                assert TASK.score(example, wrong, index).value == 0.0
            assert 0 < example.questions[index].chance <= 1


@pytest.mark.parametrize("difficulty", [1, 2, 3, 6, 10])
def test_answers_agree_with_a_search_of_the_pixels(difficulty: int) -> None:
    for seed in range(80):
        example = TASK.sample(seed, difficulty)
        steps = searched(pixels(example))
        for question in example.questions:
            if question.kind == "reach":
                assert question.answer == ("no" if steps is None else "yes")
            elif question.kind == "length":
                assert int(question.answer) == steps == len(question.thoughts.split())
            elif question.kind == "way":
                assert len(question.answer.split()) == steps


def test_what_is_left_of_a_way_is_said_after_going_back_out_of_a_dead_end() -> None:
    said = 0
    for seed in range(200):
        for question in TASK.sample(seed, 4).questions:
            way: list[str] = []
            for step in question.steps if question.kind == "way" else ():
                if isinstance(step, str):
                    assert step == " ".join(way)
                    said += 1
                    continue
                letters, *rest = json.loads((step.content if isinstance(step, Part) else step).arguments)
                if rest and rest[0] is None:  # drawn in the other colour
                    del way[-len(letters) :]
                else:
                    way += letters
    assert said > 20


def test_walls_asked_about_are_there() -> None:
    edges = {"right": (8, 15), "below": (15, 8), "left": (8, 0), "above": (0, 8)}
    for seed in range(200):
        example = TASK.sample(seed, 3)
        picture_HWC = pixels(example)
        for question in example.questions:
            if question.kind == "wall":
                row, column = marked(picture_HWC, "green" if " S" in question.text else "red")
                y, x = next(place for side, place in edges.items() if side in question.text)
                dark = picture_HWC[row * CELL + y, column * CELL + x].max() < 100
                assert question.answer == ("yes" if dark else "no")


def test_any_shortest_way_counts_and_no_longer_one() -> None:
    # Two by two cells, all open: S top left, G bottom right.
    corner = [(0, 0), (0, 1), (1, 0), (1, 1)]
    openings = frozenset(
        (a, b) for a, b in product(corner, corner) if a < b and abs(a[0] - b[0]) + abs(a[1] - b[1]) == 1
    )
    maze = Maze(2, 2, openings, (0, 0), (1, 1))
    assert shortest_way(maze) == "RD"
    ways = {seed: TASK.sample(seed, 1) for seed in range(20)}
    example, index = next((e, i) for e in ways.values() for i, q in enumerate(e.questions) if q.kind == "way")
    question = example.questions[index]
    question.facts["maze"] = maze
    object.__setattr__(question, "answer", "R D")
    for right in ("RD", "DR", "d r", "D, R."):
        assert TASK.score(example, right, index).value == 1.0
    for wrong in ("R", "DD", "RDLR", "RLRD", "RDU", "yes", "DRX"):
        score = TASK.score(example, wrong, index)
        assert score.value == 0.0 and score.reason


def test_every_first_step_of_a_shortest_way_counts() -> None:
    several = 0
    for seed in range(300):
        example = TASK.sample(seed, 3)
        for index, question in enumerate(example.questions):
            if question.kind == "first":
                right = [x for x in "RDLU" if TASK.score(example, x, index).value]
                assert question.answer in right and question.chance == len(right) / 4
                several += len(right) > 1
    assert several


def test_no_maze_is_on_both_sides_and_there_are_many(shown: list[Maze]) -> None:
    seen: dict[str, set[str]] = {}
    for split in ("train", "held_out"):
        shown.clear()
        for seed in range(800):
            TASK.sample(seed, 1, split)
        seen[split] = {maze.identity() for maze in shown}
        assert len(seen[split]) > 500
    assert not seen["train"] & seen["held_out"]


def test_a_blind_guess_is_never_better_than_the_stated_chance() -> None:
    answers, chances = defaultdict(Counter), Counter()
    for seed in range(4500):
        difficulty = (1, 2, 4)[seed % 3]
        # One question of each example in its turn, as an examination does.
        question = TASK.sample(seed, difficulty).questions[seed // 3 % 3]
        answers[difficulty, question.kind][question.answer] += 1
        chances[difficulty, question.kind] += question.chance
    for key, counts in answers.items():
        total = sum(counts.values())
        common = counts.most_common(1)[0][1]
        noise = 3.5 * (common * (1 - common / total)) ** 0.5
        assert common <= chances[key] + noise, (key, counts.most_common(3))
        if key[1] in ("reach", "wall"):
            assert set(counts) == {"yes", "no"}


def test_the_number_of_walls_hardly_tells_whether_there_is_a_way(shown: list[Maze]) -> None:
    openings = defaultdict(list)
    for seed in range(1200):
        TASK.sample(seed, 3)
        maze = shown[-1]
        openings[maze.goal in maze.distances(maze.start)].append(len(maze.openings) / (maze.rows * maze.columns))
    assert abs(np.mean(openings[True]) - np.mean(openings[False])) < 0.3 * np.std(openings[True])


def test_every_kind_occurs_in_all_its_wordings() -> None:
    texts = defaultdict(set)
    for seed in range(400):
        for question in TASK.sample(seed, 2).questions:
            texts[question.kind].add(question.text)
    assert {kind: min(len(found), 4) for kind, found in texts.items()} == dict.fromkeys(WORDINGS, 4)


def test_mazes_grow_with_difficulty_and_beyond(shown: list[Maze]) -> None:
    def cells(difficulty: int, split: Split) -> float:
        shown.clear()
        for seed in range(20):
            TASK.sample(seed, difficulty, split)
        return float(np.mean([maze.rows * maze.columns for maze in shown]))

    sizes = [cells(difficulty, "train") for difficulty in DIFFICULTIES] + [cells(1, "out_of_range")]
    assert sizes == sorted(sizes) and len(set(sizes)) == len(sizes)
    assert all(max(maze.rows, maze.columns) > LEVELS[10].side for maze in shown)


def test_a_cell_without_walls_and_marks_is_blank() -> None:
    everywhere = [(r, c) for r in range(3) for c in range(3)]
    openings = frozenset(
        (a, b) for a, b in product(everywhere, everywhere) if a < b and abs(a[0] - b[0]) + abs(a[1] - b[1]) == 1
    )
    picture_HWC = draw(Maze(3, 3, openings, (0, 0), (2, 2))).pixels_HWC
    assert (picture_HWC[CELL : 2 * CELL, CELL : 2 * CELL] == 255).all()
