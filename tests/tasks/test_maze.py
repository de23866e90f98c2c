"""Walks through mazes: they end at the goal, go back out of dead ends, and teach nothing wrong."""

import random

import pytest

from castalia.tasks.maze import BACK, LONGEST_SEARCH, Leg, Maze, exploration, moved
from castalia.tasks.mazes import Mazes


def mazes(solvable: bool) -> list[Maze]:
    found = []
    for seed in range(300):
        example = Mazes().sample(seed, 1 + seed % 5)
        maze = next((q.facts["maze"] for q in example.questions if "maze" in q.facts), None)
        if solvable and maze:
            found.append(maze)
        if not solvable and maze:  # shut off from everything beside it: nothing of it can be reached
            openings = frozenset(pair for pair in maze.openings if maze.goal not in pair)
            found.append(Maze(maze.rows, maze.columns, openings, maze.start, maze.goal))
    return found


def net(maze: Maze, legs: list[Leg]) -> str:
    """Return what is left of a walk without its dead ends; fails where it goes through a wall or back another way."""
    letters = ""
    for leg in legs:
        if leg.back:
            assert leg.letters == "".join(BACK[x] for x in reversed(letters[-len(leg.letters) :]))
            letters = letters[: -len(leg.letters)]
        else:
            letters += leg.letters
            assert maze.walk(letters) is not None
    return letters


def test_without_its_dead_ends_a_walk_is_the_shortest_way() -> None:
    found = mazes(solvable=True)
    assert len(found) > 50
    walks = [exploration(maze, random.Random(i)) for i, maze in enumerate(found)]
    for maze, legs in zip(found, walks, strict=True):
        assert net(maze, legs) == maze.way
    assert any(leg.back for legs in walks for leg in legs)


def test_steps_that_led_astray_are_not_sure_and_all_others_are() -> None:
    for i, maze in enumerate(mazes(solvable=True)):
        left, cells = maze.distances(maze.goal), [maze.start]
        seen = set(cells)
        for leg in exploration(maze, random.Random(i)):
            if leg.back:
                assert leg.sure
                del cells[-len(leg.letters) :]
                continue
            onward = [x for x in "RDLU" if maze.is_open(cells[-1], x) and moved(cells[-1], x) not in seen]
            cells.append(moved(cells[-1], leg.letters))
            nearer = left[cells[-1]] == left[cells[-2]] - 1
            if leg.sure:
                assert nearer or onward == [leg.letters]
            seen.add(cells[-1])


def test_without_a_way_all_that_can_be_reached_is_seen_and_the_walk_comes_back() -> None:
    checked = 0
    for i, maze in enumerate(mazes(solvable=False)):
        legs = exploration(maze, random.Random(i))
        reached = maze.distances(maze.start)
        if len(legs) == LONGEST_SEARCH:
            continue  # given up
        checked += 1
        cells, letters = {maze.start}, ""
        for leg in legs:
            letters = letters[: -len(leg.letters)] if leg.back else letters + leg.letters
            end = maze.walk(letters)
            assert end is not None
            cells.add(end)
        assert cells == set(reached) and not letters
    assert checked > 30


@pytest.mark.parametrize("difficulty", [1, 4])
def test_a_trace_that_acts_walks_once_and_looks_at_walls_closely(difficulty: int) -> None:
    for seed in range(30):
        example = Mazes().sample(seed, difficulty)
        asked = [part.content for part in Mazes().trace(example, acting=True) if part.author == "user"][1:]
        kinds = {question.text: question.kind for question in example.questions}
        assert sum(kinds[text] != "wall" for text in asked) == 1
        assert sum(kinds[text] == "wall" for text in asked) == sum(kind == "wall" for kind in kinds.values())
