"""A maze: cells, the walls between them, the ways through it, and how its ways are explored."""

import random
from collections import deque
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import inf

Cell = tuple[int, int]
"""Row and column."""

Pair = tuple[Cell, Cell]
"""Two neighbours, in order."""

STEPS: dict[str, Cell] = {"R": (0, 1), "D": (1, 0), "L": (0, -1), "U": (-1, 0)}


@dataclass(frozen=True)
class Maze:
    """A grid of `rows` × `columns` cells; `openings` are the pairs of neighbours (in order) with no wall between."""

    rows: int
    columns: int
    openings: frozenset[Pair]
    start: Cell
    goal: Cell

    def identity(self) -> str:
        """Return the canonical content: size, openings, start and goal."""
        return f"{self.rows} {self.columns} {sorted(self.openings)} {self.start} {self.goal}"

    def is_open(self, cell: Cell, letter: str) -> bool:
        """Return whether one step from `cell` in the direction `letter` is free."""
        return pair(cell, moved(cell, letter)) in self.openings

    def distances(self, source: Cell) -> dict[Cell, int]:
        """Return the steps from `source` to every cell that can be reached, by breadth-first search."""
        steps, waiting = {source: 0}, deque([source])
        around, openings = beside(self.rows, self.columns), self.openings
        while waiting:
            cell = waiting.popleft()
            for neighbour, between in around[cell]:
                if neighbour not in steps and between in openings:
                    steps[neighbour] = steps[cell] + 1
                    waiting.append(neighbour)
        return steps

    @cached_property
    def way(self) -> str:
        """The shortest way from start to goal, as `shortest_way` finds it."""
        return shortest_way(self)

    def walk(self, letters: str) -> Cell | None:
        """Return where `letters` (R, D, L, U) lead from the start; None if one is no direction or walks into a wall."""
        cell = self.start
        for letter in letters:
            if letter not in STEPS or not self.is_open(cell, letter):
                return None
            cell = moved(cell, letter)
        return cell


def shortest_way(maze: Maze, goal: Cell | None = None) -> str:
    """Return a shortest way from the start to `goal` (by default the maze's), of several the first in order R D L U."""
    goal = goal or maze.goal
    left = maze.distances(goal)
    cell, letters = maze.start, ""
    while cell != goal:
        letter = next(x for x in STEPS if maze.is_open(cell, x) and left[moved(cell, x)] < left[cell])
        cell, letters = moved(cell, letter), letters + letter
    return letters


def moved(cell: Cell, letter: str) -> Cell:
    """Return the cell one step further."""
    down, right = STEPS[letter]
    return cell[0] + down, cell[1] + right


def pair(one: Cell, other: Cell) -> Pair:
    """Return two neighbours in order."""
    return (one, other) if one < other else (other, one)


@lru_cache(maxsize=64)
def beside(rows: int, columns: int) -> dict[Cell, list[tuple[Cell, Pair]]]:
    """Return the neighbours of every cell of a grid, in order R D L U, each with the pair they make."""
    cells = [(row, column) for row in range(rows) for column in range(columns)]
    around = {cell: [moved(cell, letter) for letter in STEPS] for cell in cells}
    return {cell: [(other, pair(cell, other)) for other in around[cell] if other in around] for cell in cells}


BACK = {"R": "L", "L": "R", "U": "D", "D": "U"}


@dataclass(frozen=True)
class Leg:
    """A part of a walk: one step on, or `back` by several; `sure` unless it was a choice that led astray."""

    letters: str
    back: bool = False
    sure: bool = True


SLIPS = 0.4
"""Share of turnings into a dead end, where there are any, that are taken."""
LONGEST_SLIP = 8
"""Cells of the dead ends that are taken, at most."""
LONGEST_SEARCH = 24
"""Legs after which a walk that finds no goal is given up."""


class Walk:
    """A walk from the start that looks where it stands, remembers where it was, and goes back out of dead ends."""

    def __init__(self, maze: Maze) -> None:
        self.maze = maze
        self.cells = [maze.start]
        self.seen = {maze.start}
        self.letters: list[str] = []
        self.legs: list[Leg] = []

    @property
    def here(self) -> Cell:
        """Where the walk has come to."""
        return self.cells[-1]

    def onward(self, cell: Cell | None = None) -> list[str]:
        """Return the steps from `cell` (from here) that lead to where the walk has not been."""
        cell = cell or self.here
        return [x for x in STEPS if self.maze.is_open(cell, x) and moved(cell, x) not in self.seen]

    def step(self, letter: str, *, sure: bool = True) -> None:
        """Go one step on."""
        self.cells.append(moved(self.here, letter))
        self.letters.append(letter)
        self.seen.add(self.here)
        self.legs.append(Leg(letter, sure=sure))

    def beyond(self, letter: str) -> set[Cell]:
        """Return the cells that the walk has not seen and could reach by way of a step from here."""
        reached, waiting = {moved(self.here, letter)}, [moved(self.here, letter)]
        while waiting:
            cell = waiting.pop()
            fresh = {moved(cell, x) for x in self.onward(cell)} - reached
            reached |= fresh
            waiting += fresh
        return reached

    def explore(self, letter: str, rng: random.Random, *, sure: bool) -> None:
        """Go a step, then wherever one can from there without meeting what was seen, and come back."""
        base = len(self.cells)
        self.step(letter, sure=sure)
        while len(self.cells) > base:
            while onward := self.onward():
                self.step(rng.choice(onward), sure=len(onward) == 1)
            letters = ""
            while len(self.cells) > base and not (letters and self.onward()):
                letters += BACK[self.letters.pop()]
                self.cells.pop()
            self.legs.append(Leg(letters, back=True))


def exploration(maze: Maze, rng: random.Random) -> list[Leg]:
    """Return a walk to the goal with some dead ends on the way; without a way, what can be reached from the start.

    Less its dead ends it is `Maze.way`. Who learns what is sure learns to choose well, to go back where it was not well
    chosen, and to leave nothing out.
    """
    walked = Walk(maze)
    left = maze.distances(maze.goal)
    while maze.start not in left and (onward := walked.onward()):
        walked.explore(rng.choice(onward), rng, sure=len(onward) == 1)
    while maze.start in left and walked.here != maze.goal:
        right = next(x for x in walked.onward() if left.get(moved(walked.here, x), inf) < left[walked.here])
        regions = {x: walked.beyond(x) for x in walked.onward() if x != right}
        dead = [x for x, cells in regions.items() if maze.goal not in cells and len(cells) <= LONGEST_SLIP]
        if dead and rng.random() < SLIPS:
            walked.explore(rng.choice(dead), rng, sure=False)
        else:
            walked.step(right)
    return walked.legs if maze.start in left else walked.legs[:LONGEST_SEARCH]
