"""Search: large pictures whose details the first look cannot show; the right place must be looked at again, closer."""

import random
import string
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np

from castalia.document import Call, Document, Image, Part
from castalia.tasks.drawing import GLYPH_HEIGHT, PALETTE, Colour, text_dots
from castalia.tasks.steps import CELL, call
from castalia.tasks.task import Example, Question, Score, Split, generator, held_out, score_exact, trace

SEEN_SIDE = 256
"""Pixels a side as the picture is seen first: what ``perception.max_side`` must be for the details to be hidden."""

FACTOR = 4
"""Pixels of the picture, each way, that are seen as one at first."""

CLOSE = CELL * FACTOR
"""Pixels of the picture, each way, that are seen as one cell at first; looked at closer, they are 4 × 4 cells."""

FRAME = CELL
"""Pixels of a box's coloured frame: cropped, it is made of whole cells of one colour, which are dropped."""

PAPER, FIELD, CONTRAST = 255, 128, 127

DETAILS: dict[str, tuple[str, ...]] = {
    "digit": tuple(string.digits),
    "letter": tuple(string.ascii_uppercase),
    "number": tuple(str(number) for number in range(10, 100)),
}
"""What a box can hold, by its sort; numbers stand in boxes of two cells."""

COLOURS: dict[str, Colour] = PALETTE | {
    "light blue": (147, 172, 237),
    "dark blue": (20, 45, 110),
    "light green": (142, 202, 157),
    "dark green": (15, 75, 30),
    "light red": (237, 147, 147),
    "dark red": (110, 20, 20),
    "light purple": (195, 155, 215),
    "dark purple": (67, 27, 87),
}
"""Colours of the frames, the easiest to tell apart first."""


@dataclass(frozen=True)
class Level:
    """How hard.

    `boxes`: fewest and most; `colours`: the first so many of `COLOURS`; `details`: their sorts; `find`: how many boxes
    are named to find one among.
    """

    boxes: tuple[int, int]
    colours: int
    details: tuple[str, ...] = ("digit",)
    find: int = 2
    questions: int = 2


LEVELS = {
    1: Level((2, 3), 4),
    2: Level((2, 4), 5),
    3: Level((3, 5), 6, ("digit", "letter")),
    4: Level((3, 6), 8, ("digit", "letter")),
    5: Level((4, 7), 8, ("digit", "letter"), find=3),
    6: Level((4, 8), 10, ("digit", "letter"), find=3),
    7: Level((5, 8), 12, ("digit", "letter", "number"), find=3),
    8: Level((5, 9), 14, ("digit", "letter", "number"), find=3),
    9: Level((6, 10), 16, ("digit", "letter", "number"), find=3, questions=3),
    10: Level((7, 10), 16, ("letter", "number"), find=3, questions=3),
}
FROM_DIFFICULTY = {"sum": 3}

WORDINGS: dict[str, tuple[str, ...]] = {
    "read": (
        "Which {sort} is in the {a} box?",
        "What {sort} does the {a} box hold?",
        "Read the {sort} in the {a} box.",
        "The {sort} in the {a} box?",
    ),
    "find": (
        "Which box holds the {detail}: {either}?",
        "Is the {detail} in the {either} box?",
        "Where is the {detail}, {either}?",
        "The {detail}: in the {either} box?",
    ),
    "larger": (
        "Which box has the larger {sort}: {either}?",
        "Is the larger {sort} in the {either} box?",
        "Where is the {sort} larger, {either}?",
        "The larger {sort}: {either}?",
    ),
    "sum": (
        "What is the {a} {sort} plus the {b} one?",
        "Add the {sort}s in the {a} and the {b} box.",
        "What do the {a} and the {b} {sort} add up to?",
        "The sum of the {sort}s in the {a} and the {b} box?",
    ),
}


@dataclass(frozen=True)
class Box:
    """A box of a `colour`, one cell high and `width` cells wide, its first cell at (`row`, `column`) as first seen."""

    colour: str
    row: int
    column: int
    width: int
    detail: str

    @property
    def place(self) -> str:
        """Its colour and where it stands, as thoughts say it."""
        return f"{self.colour} {self.row} {self.column}"

    def look(self) -> Call:
        """Return the call that looks at this box, and nothing else, at full resolution."""
        return call("crop", [self.row, self.column, 1, self.width])


class Search:
    """Coloured boxes on white paper, each with a digit, a letter or a number in it, and two or three questions.

    The picture is four times as large each way as it is seen first, at `seen_side` pixels (256, so it has 1024), which
    ``perception.max_side`` must be. A character's dots are 4 × 4 pixels, half of them darker than the grey field and
    half as much lighter: one pixel of the first look is the mean of these, so **it is the same picture whatever the
    boxes hold**, and every question is `hidden`. Steps say which boxes stand where (before
    the first question) and which of them is wanted, and look at one or two closer; what then is seen of a box is its
    frame's colour and the few patches with the characters.

    Difficulty 1 has two or three boxes with digits; letters (3), three boxes to find one among (5), look-alike colours
    such as dark and light blue (6) and two-digit numbers (7) follow; 10 has up to ten boxes. The details of one picture
    are all different. Splits differ in what stands where. ``out_of_range`` has 11 to 15 boxes, more than training ever
    has.
    """

    name = "search"

    def __init__(self, seen_side: int = SEEN_SIDE) -> None:
        """Draw for perceptions that see at most `seen_side` pixels a side, a multiple of 32."""
        self.seen_side = seen_side

    def sample(self, seed: int, difficulty: int, split: Split = "train") -> Example:
        """Make the picture of this seed and questions about it, of different kinds."""
        rng = generator(self.name, seed, difficulty, split)
        level = LEVELS[difficulty]
        if split == "out_of_range":
            count = LEVELS[10].boxes[1] + (difficulty + 1) // 2
            level = Level((count, count), len(COLOURS), ("letter", "number"), find=3)
        while True:
            sort = rng.choice(level.details)
            boxes = _boxes(sort, level, self.seen_side, rng)
            if split == "out_of_range" or held_out(str(boxes)) == (split == "held_out"):
                break
        kinds = [kind for kind in _kinds(sort) if FROM_DIFFICULTY.get(kind, 1) <= difficulty]
        chosen = rng.sample(kinds, min(level.questions, len(kinds)))
        first, *others = (_question(kind, sort, boxes, level, rng) for kind in chosen)
        places = ", ".join(box.place for box in boxes)
        questions = (replace(first, steps=(f"{places}; {first.steps[0]}", *first.steps[1:])), *others)
        context = Document((Part(draw(boxes, self.seen_side), "user"),))
        return Example(self.name, seed, difficulty, split, context, questions)

    def score(self, example: Example, reply: str, index: int = 0) -> Score:
        """Compare exactly; "the red box" is as good as "red"."""
        words = reply.lower().strip().rstrip(".").split()
        return score_exact(example.questions[index], " ".join(word for word in words if word not in ("the", "box")))

    def trace(self, example: Example, *, acting: bool = False) -> Document:
        """Return the picture, the questions and the answers; if `acting`, with the looks that they need before them."""
        return trace(example, acting=acting)


def draw(boxes: tuple[Box, ...], seen_side: int = SEEN_SIDE) -> Image:
    """Return the picture, `FACTOR` times `seen_side` pixels each way; only its full resolution shows the details."""
    side = seen_side * FACTOR
    pixels_HWC = np.full((side, side, 3), PAPER, np.uint8)
    for box in boxes:
        top, left, width = box.row * CLOSE, box.column * CLOSE, box.width * CLOSE
        pixels_HWC[top : top + CLOSE, left : left + width] = COLOURS[box.colour]
        inside = np.s_[top + FRAME : top + CLOSE - FRAME, left + FRAME : left + width - FRAME]
        pixels_HWC[inside] = _field(box.detail, box.width)[..., None]
    return Image(pixels_HWC)


@lru_cache(maxsize=256)
def _field(detail: str, width: int) -> np.ndarray:
    """Return what is inside the frame of a box of `width` cells: uint8 [height, width], every 4 × 4 of one mean."""
    rows, columns = (CLOSE - 2 * FRAME) // FACTOR, (width * CLOSE - 2 * FRAME) // FACTOR
    dots = text_dots(detail)[:GLYPH_HEIGHT]
    left = (columns - dots.shape[1]) // 2
    ink_RC = np.zeros((rows, columns), np.int16)
    ink_RC[:GLYPH_HEIGHT, left : left + dots.shape[1]] = dots
    stroke_44 = np.repeat(np.array([-CONTRAST, -CONTRAST, CONTRAST, CONTRAST], np.int16)[None], FACTOR, axis=0)
    return (FIELD + np.kron(ink_RC, stroke_44)).astype(np.uint8)


def _boxes(sort: str, level: Level, seen_side: int, rng: random.Random) -> tuple[Box, ...]:
    """Place boxes, in reading order. Each has 2 × 2 cells to itself, so none overlap."""
    count = rng.randint(*level.boxes)
    colours = rng.sample(list(COLOURS)[: level.colours], count)
    details = rng.sample(DETAILS[sort], count)
    width, across = (2 if sort == "number" else 1), seen_side // (2 * CELL)
    boxes = []
    for slot, colour, detail in zip(sorted(rng.sample(range(across**2), count)), colours, details, strict=True):
        row, column = 2 * (slot // across) + rng.randrange(2), 2 * (slot % across) + rng.randrange(3 - width)
        boxes.append(Box(colour, row, column, width, detail))
    return tuple(boxes)


def _kinds(sort: str) -> list[str]:
    return ["read", "find"] if sort == "letter" else ["read", "find", "larger", "sum"]


def _question(kind: str, sort: str, boxes: tuple[Box, ...], level: Level, rng: random.Random) -> Question:
    """Ask about boxes drawn at random. What can be known without looking, namely nothing, is in the chance."""
    named = rng.sample(boxes, {"read": 1, "find": min(level.find, len(boxes)), "larger": 2, "sum": 2}[kind])
    chosen = rng.choice(named)
    possible = len(DETAILS[sort])
    if kind == "read":
        answer, steps, chance = chosen.detail, (chosen.place, chosen.look()), 1 / possible
    elif kind == "find":
        answer, steps, chance = chosen.colour, _until_found(named, chosen), 1 / len(named)
    else:
        a, b = named
        steps = (a.place, a.look(), f"{a.detail}, {b.place}", b.look(), b.detail)
        if kind == "larger":
            answer, chance = max(named, key=lambda box: int(box.detail)).colour, 1 / 2
        else:
            total = int(a.detail) + int(b.detail)
            # Of the pairs of n different numbers in a row, n / 2 have the commonest sum.
            answer, chance = str(total), 1 / (possible - 1)
            steps = (*steps[:-1], f"{b.detail} {a.detail}+{b.detail}={total}")
    colours = [box.colour for box in named]
    either = f"{', '.join(colours[:-1])} or {colours[-1]}"
    wording = rng.choice(WORDINGS[kind])
    text = wording.format(a=colours[0], b=colours[-1], sort=sort, detail=chosen.detail, either=either)
    return Question(text, answer, kind, chance=chance, steps=steps, hidden=True)


def _until_found(named: list[Box], wanted: Box) -> tuple[str | Call, ...]:
    """Look at one box after the other; if it is none of the others, it is the last."""
    steps: list[str | Call] = [named[0].place]
    for box, following in pairwise(named):
        steps += [box.look(), box.detail]
        if box is wanted or following is named[-1]:
            break
        steps[-1] = f"{box.detail}, {following.place}"
    return tuple(steps)
