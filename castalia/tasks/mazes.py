"""Mazes: is there a way from S to G, how long is the shortest, which steps does it take?"""

import random
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from castalia.document import Document, Image, Part
from castalia.tasks.drawing import INK, PALETTE, WHITE, canvas, draw_text, to_image
from castalia.tasks.maze import STEPS, Cell, Maze, Pair, beside, exploration, moved, pair, shortest_way
from castalia.tasks.steps import CELL, Step, call
from castalia.tasks.task import Example, Question, Score, Split, generator, held_out, score_exact, trace

BACK_COLOUR = "orange"
"""Of what is drawn on the way back out of a dead end."""

WALLS = {"R": 1, "D": 2, "L": 4, "U": 8}
DIRECTIONS = {"R": "right of", "D": "below", "L": "left of", "U": "above"}


@dataclass(frozen=True)
class Level:
    """How hard: the longer `side` of the maze in cells, `longest` shortest way in steps, most extra openings."""

    side: int
    longest: int
    loops: int


LEVELS = {
    1: Level(3, 4, 2),
    2: Level(4, 6, 2),
    3: Level(5, 8, 3),
    4: Level(6, 10, 4),
    5: Level(7, 12, 5),
    6: Level(8, 14, 6),
    7: Level(9, 16, 7),
    8: Level(10, 18, 8),
    9: Level(11, 20, 9),
    10: Level(12, 22, 10),
}
SHORTEST = 2
"""Fewest steps from S to G."""

WORDINGS: dict[str, tuple[str, ...]] = {
    "reach": ("Is there a way from S to G?", "Can S reach G?", "Can you get from S to G?", "Does a way lead to G?"),
    "length": ("How many steps from S to G?", "How far is G?", "How long is the shortest way?", "Fewest steps to G?"),
    "way": (
        "What is the shortest way to G?",
        "Show the shortest way.",
        "Which steps lead from S to G?",
        "Go from S to G.",
    ),
    "first": ("What is the first step from S to G?", "Which way first?", "First step to G?", "Where do you go first?"),
    "wall": (
        "Is there a wall {side} {mark}?",
        "Is {mark} closed {on}?",
        "A wall {side} {mark}?",
        "Does {mark} have a wall {on}?",
    ),
}
ON = {"R": "on the right", "D": "below", "L": "on the left", "U": "above"}


class Mazes:
    """Mazes of square cells with three questions each: is there a way, its length, its steps, its first step, walls.

    One cell, walls included, is one patch; one without walls is blank. Difficulty 1 has 3 × 3 cells and ways of two to
    four steps, 10 has 12 × 12 and up to 22 steps; with and without loops. A quarter of the mazes has no way, and these
    are asked about as often as others, so yes and no are even. Lengths are even, too. Splits differ in walls, start or
    goal. ``out_of_range`` is one to five cells larger than the largest in training, with ways of 23 to 32 steps.
    """

    name = "mazes"

    def sample(self, seed: int, difficulty: int, split: Split = "train") -> Example:
        """Make the maze of this seed and three questions about it."""
        rng = generator(self.name, seed, difficulty, split)
        level, shortest = LEVELS[difficulty], SHORTEST
        if split == "out_of_range":
            side = LEVELS[10].side + (difficulty + 1) // 2
            level, shortest = Level(side, LEVELS[10].longest + difficulty, 10), LEVELS[10].longest + 1
        solvable = rng.random() < 0.75
        length = rng.randint(shortest, level.longest)
        while True:
            maze = make_maze(level, length, solvable, rng)
            if maze and (split == "out_of_range" or held_out(maze.identity()) == (split == "held_out")):
                break
        questions = _ask(maze, range(shortest, level.longest + 1), solvable, rng)
        context = Document((Part(draw(maze), "user"),))
        return Example(self.name, seed, difficulty, split, context, questions)

    def score(self, example: Example, reply: str, index: int = 0) -> Score:
        """Compare exactly; of shortest ways (and their first steps) any counts, however its letters are spaced."""
        question = example.questions[index]
        if question.kind not in ("way", "first"):
            return score_exact(question, reply)
        said = "".join(reply.replace(",", " ").rstrip(". \n").split()).upper()
        if question.kind == "first":
            right = question.facts["first"]
            return Score(1.0) if said in right else Score(0.0, f"expected {' or '.join(right)}, got {reply.strip()!r}")
        maze: Maze = question.facts["maze"]
        fewest = len(question.answer.split())
        end = maze.walk(said)
        if end is None:
            return Score(0.0, f"{reply.strip()!r} does not say a way free of walls")
        if end != maze.goal:
            return Score(0.0, f"{reply.strip()!r} does not end at G")
        return Score(1.0) if len(said) == fewest else Score(0.0, f"{len(said)} steps, but {fewest} are enough")

    def mistake(self, example: Example, index: int, rng: random.Random) -> str:
        """Return a wrong answer: of a way, one with some letters wrong, or that ends too early or late."""
        question = example.questions[index]
        if question.kind != "way":
            options = {"first": list(STEPS)}.get(question.kind, ["yes", "no"])
            return "" if question.kind == "length" else rng.choice(options)
        letters = question.answer.split()
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(letters))
            letters[at : at + 1] = rng.choice(([rng.choice(list(STEPS))], [letters[at], rng.choice(list(STEPS))], []))
            letters = letters or ["R"]
        return " ".join(letters)

    def trace(self, example: Example, *, acting: bool = False) -> Document:
        """Return the maze, the questions, the ways walked in thought (if `acting`: drawn), and the answers.

        If `acting`, only one of the questions that a way answers is asked: the others would be answered by copying.
        """
        if acting:
            walking = [q for q in example.questions if q.kind != "wall"]
            questions = tuple(q for q in example.questions if q.kind == "wall" or q is walking[0])
            example = replace(example, questions=questions)
        return trace(example, acting=acting)


def draw(maze: Maze) -> Image:
    """Return the picture: walls two pixels thick, one in each of the cells they part; S and G in coloured fields."""
    codes_RC = np.full((maze.rows, maze.columns), 15)
    for (row, column), (below, right) in maze.openings:
        across = row == below
        codes_RC[row, column] -= WALLS["R" if across else "D"]
        codes_RC[below, right] -= WALLS["L" if across else "U"]
    cells_RCHW3 = _cells_by_walls()[codes_RC]
    inner = slice(3, CELL - 3)
    for place, mark, colour in ((maze.start, "S", "green"), (maze.goal, "G", "red")):
        cells_RCHW3[place][inner, inner] = _field(mark, colour)[inner, inner]
    return Image(cells_RCHW3.transpose(0, 2, 1, 3, 4).reshape(maze.rows * CELL, maze.columns * CELL, 3))


@lru_cache(maxsize=1)
def _cells_by_walls() -> np.ndarray:
    """Return how a cell looks by the sum of `WALLS` around it: uint8 [16, CELL, CELL, 3]."""
    cells_NHW3 = np.full((16, CELL, CELL, 3), WHITE, np.uint8)
    edges = {"R": np.s_[:, -1], "D": np.s_[-1], "L": np.s_[:, 0], "U": np.s_[0]}
    for code, cell_HW3 in enumerate(cells_NHW3):
        for letter, edge in edges.items():
            if code & WALLS[letter]:
                cell_HW3[edge] = INK
    return cells_NHW3


@lru_cache(maxsize=2)
def _field(mark: str, colour: str) -> np.ndarray:
    """Return a coloured field with a letter in it: uint8 [CELL, CELL, 3]."""
    picture, pen = canvas(CELL, CELL, PALETTE[colour])
    draw_text(pen, 8, 5, mark, WHITE, align="centre")
    return to_image(picture).pixels_HWC


@lru_cache(maxsize=64)
def _pairs(rows: int, columns: int) -> list[Pair]:
    """Return all neighbours of a grid, those in one row first."""
    across = [((r, c), (r, c + 1)) for r in range(rows) for c in range(columns - 1)]
    return across + [((r, c), (r + 1, c)) for r in range(rows - 1) for c in range(columns)]


def make_maze(level: Level, length: int, solvable: bool, rng: random.Random) -> Maze | None:
    """Try to make a maze whose goal is `length` steps from the start; if not `solvable`, the way is then cut.

    Half of the solvable mazes fall into two parts as well, so that a part shut off says nothing about the goal.
    """
    rows, columns = level.side, level.side - (level.side > 3 and rng.random() < 0.5)
    if rng.random() < 0.5:
        rows, columns = columns, rows
    openings = _tree(rows, columns, rng)
    loops = rng.randint(0, level.loops)
    start = rng.randrange(rows), rng.randrange(columns)
    maze = Maze(rows, columns, frozenset(openings), start, start)
    if solvable:
        if rng.random() < 0.5:
            openings.remove(rng.choice(sorted(openings)))
            loops += 1
        openings = _with_loops(maze, openings, loops, rng)
        maze = Maze(rows, columns, frozenset(openings), start, start)
    ends = [cell for cell, steps in maze.distances(start).items() if steps == length]
    if not ends:
        return None
    maze = Maze(rows, columns, maze.openings, start, rng.choice(ends))
    if not solvable:
        way = _cells(maze)
        cut = rng.randrange(len(way) - 1)
        openings.remove(pair(way[cut], way[cut + 1]))
        openings = _with_loops(maze, openings, loops + 1, rng)
        maze = Maze(rows, columns, frozenset(openings), start, maze.goal)
    # Walls around S and G must be a question: neither shut in nor without walls.
    return maze if all(0 < _exits(maze, cell) < len(STEPS) for cell in (maze.start, maze.goal)) else None


def _exits(maze: Maze, cell: Cell) -> int:
    return sum(maze.is_open(cell, letter) for letter in STEPS)


def _cells(maze: Maze) -> list[Cell]:
    cells = [maze.start]
    for letter in maze.way:
        cells.append(moved(cells[-1], letter))
    return cells


def _tree(rows: int, columns: int, rng: random.Random) -> set[Pair]:
    """Grow a maze without loops; the growing-tree method: from the newest cell long winding ways, else short ones."""
    winding = rng.choice((1.0, 0.7, 0.3))
    grown = [(rng.randrange(rows), rng.randrange(columns))]
    seen, openings = set(grown), set()
    around = beside(rows, columns)
    while grown:
        place = len(grown) - 1 if rng.random() < winding else rng.randrange(len(grown))
        free = [(neighbour, between) for neighbour, between in around[grown[place]] if neighbour not in seen]
        if not free:
            grown.pop(place)
            continue
        neighbour, between = rng.choice(free)
        seen.add(neighbour)
        grown.append(neighbour)
        openings.add(between)
    return openings


def _with_loops(maze: Maze, openings: set[Pair], loops: int, rng: random.Random) -> set[Pair]:
    """Open up to `loops` more walls, none of which parts two cells that could not reach each other."""
    inside = Maze(maze.rows, maze.columns, frozenset(openings), maze.start, maze.goal).distances(maze.start)
    walls = [
        (one, other)
        for one, other in _pairs(maze.rows, maze.columns)
        if (one, other) not in openings and (one in inside) == (other in inside)
    ]
    return openings | set(rng.sample(walls, min(loops, len(walls))))


def _ask(maze: Maze, lengths: range, solvable: bool, rng: random.Random) -> tuple[Question, ...]:
    """Ask three questions. All `lengths` of the shortest way are alike.

    Mazes without a way are a third as many as those with one; asking these for a way only every third time makes yes
    and no even.
    """
    if not solvable:
        questions = [_reach(maze, rng), _wall(maze, "S", rng), _wall(maze, "G", rng)]
    else:
        makers = rng.sample((_length, _way, _first), 2)
        questions = [make(maze, lengths, rng) for make in makers]
        questions.append(_reach(maze, rng) if rng.random() < 1 / 3 else _wall(maze, rng.choice("SG"), rng))
    rng.shuffle(questions)
    return tuple(questions)


def _walked(maze: Maze, end: str = "", *, counted: bool = False, said: bool = False) -> tuple[Step, ...]:
    """Return steps that draw a walk to the goal, one cell a call, so that each is seen before the next is taken.

    Dead ends that it strays into are gone back from in another colour. Steps taken so far may be `counted`, or what is
    left of the way `said` after going back; `end` says how it ended.
    """
    steps: list[Step] = []
    way = ""
    for number, leg in enumerate(exploration(maze, random.Random(maze.identity()))):
        start = [[coordinate + 0.5 for coordinate in maze.start]] if number == 0 else []
        drawn = call("draw", leg.letters, *([None, BACK_COLOUR] if leg.back else start))
        steps.append(drawn if leg.sure else Part(drawn, "assistant", thought=True))
        way = way[: -len(leg.letters)] if leg.back else way + leg.letters
        if counted:
            steps.append(str(len(way)))
        elif said and leg.back and way:
            steps.append(" ".join(way))
    return (*steps, end) if end else tuple(steps)


def _reach(maze: Maze, rng: random.Random) -> Question:
    text, reached = rng.choice(WORDINGS["reach"]), maze.distances(maze.start)
    if maze.goal in reached:
        return Question(text, "yes", "reach", " ".join(maze.way) + " G", 0.5, steps=_walked(maze, "G"))
    # The nearest one can get, as the crow flies; x says that it ends there.
    nearest = min(reached, key=lambda c: (abs(c[0] - maze.goal[0]) + abs(c[1] - maze.goal[1]), reached[c], c))
    way = shortest_way(maze, nearest)
    return Question(text, "no", "reach", " ".join([*way, "x"]), 0.5, steps=_walked(maze, "x"))


def _length(maze: Maze, lengths: range, rng: random.Random) -> Question:
    way = maze.way
    thoughts = " ".join(f"{letter}{step}" for step, letter in enumerate(way, 1))
    text, steps = rng.choice(WORDINGS["length"]), _walked(maze, counted=True)
    return Question(text, str(len(way)), "length", thoughts, 1 / len(lengths), steps=steps)


def _way(maze: Maze, lengths: range, rng: random.Random) -> Question:
    answer = " ".join(maze.way)
    # The best blind guess is one of the shortest ways there can be. A step rarely goes back, and often two ways count:
    # about two choices a step, twice as many at the first.
    chance = 1 / len(lengths) / 2 ** (lengths[0] + 1)
    return Question(rng.choice(WORDINGS["way"]), answer, "way", "", chance, {"maze": maze}, _walked(maze, said=True))


def _first(maze: Maze, lengths: range, rng: random.Random) -> Question:
    left = maze.distances(maze.goal)
    right = [x for x in STEPS if maze.is_open(maze.start, x) and left[moved(maze.start, x)] < left[maze.start]]
    way = maze.way
    text = rng.choice(WORDINGS["first"])
    chance = len(right) / len(STEPS)
    return Question(text, way[0], "first", " ".join(way), chance, {"first": right}, _walked(maze))


def _wall(maze: Maze, mark: str, rng: random.Random) -> Question:
    cell = maze.start if mark == "S" else maze.goal
    closed = rng.random() < 0.5
    letter = rng.choice([letter for letter in STEPS if maze.is_open(cell, letter) != closed])
    text = rng.choice(WORDINGS["wall"]).format(side=DIRECTIONS[letter], mark=mark, on=ON[letter])
    # All sides that are closed, in the question's own words: whether one of them is asked about is then easily seen.
    sides = " ".join(ON[x].split()[-1] for x in STEPS if not maze.is_open(cell, x))
    steps = (call("mark", [coordinate + 0.5 for coordinate in cell]), sides)
    return Question(text, "yes" if closed else "no", "wall", sides, 0.5, steps=steps)
