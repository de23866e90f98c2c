"""Digits: real handwriting in rows; read it, and reckon with what it says."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image as pillow

from castalia.document import Document, Image, Part
from castalia.errors import TaskError
from castalia.tasks.drawing import WHITE, Colour
from castalia.tasks.material import Handwriting
from castalia.tasks.steps import tallied
from castalia.tasks.task import Example, Question, Score, Split, generator, score_exact, trace

CELL = 32
"""Pixels from one digit to the next: two patches of 16."""
STRETCHED, SLANT = (0.93, 1.15), 0.15
"""How much smaller, in each direction, and how much more slanted digits may become where they are varied."""


@dataclass(frozen=True)
class Level:
    """How hard: how many digits, in how many rows, their sizes in pixels, the paper's noise."""

    fewest: int
    most: int
    rows: int = 1
    smallest: int = 28
    noise: int = 0


LEVELS = {
    1: Level(1, 1),
    2: Level(2, 2),
    3: Level(3, 3),
    4: Level(3, 4),
    5: Level(4, 5),
    6: Level(4, 6, rows=2, smallest=24),
    7: Level(5, 6, rows=2, smallest=22),
    8: Level(6, 7, rows=2, smallest=20, noise=12),
    9: Level(6, 8, rows=2, smallest=20, noise=20),
    10: Level(7, 8, rows=3, smallest=18, noise=28),
}
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")

WORDINGS: dict[str, tuple[str, ...]] = {
    "read one": ("Which digit is this?", "What digit is it?", "Read the digit."),
    "read": ("Which digits are these?", "Read the digits.", "What does it say?"),
    "sum": ("What is their sum?", "Add the digits.", "What do the digits add up to?"),
    "place": ("What is the {ordinal} digit?", "Which digit is {ordinal}?"),
    "largest": ("What is the largest digit?", "Which digit is the largest?"),
    "smallest": ("What is the smallest digit?", "Which digit is the smallest?"),
    "count": ("How many digits are {digit}?", "How often is there a {digit}?"),
    "plus": ("What is this digit plus {digit}?", "Add {digit} to the digit."),
    "even": ("Is the digit even?", "Is this an even digit?"),
    "exceeds": ("Is the digit larger than {digit}?", "Is it more than {digit}?"),
    "compare": ("Is the first digit larger than the second?", "Is the second digit smaller than the first?"),
}


class Digits:
    """Handwritten digits in a picture: read them, add, compare, find the largest, count; two or three questions each.

    Each digit fills 28 × 28 pixels of a cell of 32 × 32, dark on white or light on black; difficulty 1 has one digit,
    3 three, from 6 on sizes vary and rows are several, from 8 on there is noise, 10 has up to eight. In training
    digits are turned, stretched and slanted a little. The held-out split uses the held-out handwriting only, and
    training all the rest.
    ``out_of_range`` (of held-out handwriting too) has two digits more than the difficulty has, turned further than in
    training, in colours no training picture has. Answers are balanced: what a question asks for is drawn first, then
    the digits that make it so.
    """

    name = "digits"

    def __init__(self, handwriting: Sequence[Handwriting]) -> None:
        """Sort the handwriting by side and digit. Raises TaskError if a digit has none on one of the two sides."""
        self._pools: dict[tuple[bool, int], list[tuple[np.ndarray, int]]] = {
            (side, digit): [
                (source.pixels_NHW, int(index))
                for source in handwriting
                for index in np.flatnonzero((source.labels_N == digit) & (source.held_out_N == side))
            ]
            for side in (False, True)
            for digit in range(10)
        }
        for (side, digit), pool in self._pools.items():
            if not pool:
                raise TaskError(f"digits: there is no {'held-out' if side else 'training'} handwriting of {digit}")

    def sample(self, seed: int, difficulty: int, split: Split = "train") -> Example:
        """Make the picture of this seed and ask two or three questions about it."""
        rng = generator(self.name, seed, difficulty, split)
        level = LEVELS[difficulty]
        extra = 2 if split == "out_of_range" else 0
        count = rng.randint(level.fewest, level.most) + extra
        ask = rng.choice(ONE if count == 1 else MANY if count > 2 else TWO)
        digits, balanced = ask(rng, count)
        picture, rows = self._draw(digits, level, split, rng)
        questions = [balanced, _read(digits, rows, rng)]
        if count > 1:
            questions.append(place_question(digits, rng))
            if balanced.kind != "sum":
                questions.append(sum_question(digits, rng))
                del questions[rng.randrange(1, 4)]
        rng.shuffle(questions)
        context = Document((Part(picture, "user"),))
        return Example(self.name, seed, difficulty, split, context, tuple(questions))

    def score(self, example: Example, reply: str, index: int = 0) -> Score:
        """Compare exactly; where digits are read, spaces and commas between them do not matter."""
        question = example.questions[index]
        if question.kind == "read" and "".join(reply.replace(",", " ").rstrip(". \n").split()) == "".join(
            question.answer.split()
        ):
            return Score(1.0)
        return score_exact(question, reply)

    def trace(self, example: Example, *, acting: bool = False) -> Document:
        """Return the picture, the questions, thoughts and answers."""
        return trace(example, acting=acting)

    def _draw(self, digits: list[int], level: Level, split: Split, rng: random.Random) -> tuple[Image, int]:
        rows = min(level.rows, len(digits))
        columns = -(-len(digits) // rows)
        ink_HW = np.zeros((rows * CELL, columns * CELL), np.uint8)
        jitter = {"train": 12.0, "held_out": 0.0, "out_of_range": 30.0}[split]
        for place, digit in enumerate(digits):
            pixels_NHW, index = rng.choice(self._pools[split != "train", digit])
            top, left = place // columns * CELL, place % columns * CELL
            ink_HW[top : top + CELL, left : left + CELL] = _cell(pixels_NHW[index], level.smallest, jitter, rng)
        shades = _shades(*_colours(split, rng))
        if level.noise:
            noise = np.random.default_rng(rng.getrandbits(32))
            pixels_HWC = shades.take(ink_HW, axis=0)
            pixels_HWC += noise.integers(-level.noise, level.noise, ink_HW.shape, endpoint=True)[:, :, None]
            pixels_HWC = _rounded(pixels_HWC)
        else:  # rounding the shades is much less work than rounding the pixels
            pixels_HWC = _rounded(shades).take(ink_HW, axis=0)
        return Image(pixels_HWC), -(-len(digits) // columns)


def _cell(pixels_HW: np.ndarray, smallest: int, jitter: float, rng: random.Random) -> np.ndarray:
    """Return the digit as ink (uint8 [CELL, CELL]): scaled, shifted a little.

    If `jitter` is above 0, it is turned by up to so many degrees, stretched and slanted, too.
    """
    size = rng.randint(smallest, 28)
    # The handwriting of scikit-learn fills its 8 × 8 pixels; that of MNIST already has a margin.
    scale = pixels_HW.shape[0] / size * (28 / 22 if pixels_HW.shape[0] < 20 else 1)
    shift = (CELL - size) / 2 + (2 if jitter else 0)
    angle, slant, wide, tall = 0.0, 0.0, scale, scale
    if jitter:
        angle = math.radians(rng.uniform(-jitter, jitter))
        wide, tall = scale * rng.uniform(*STRETCHED), scale * rng.uniform(*STRETCHED)
        slant = rng.uniform(-SLANT, SLANT)
    across, down = rng.uniform(-shift, shift) * 0.75, rng.uniform(-shift, shift) * 0.75
    cos, sin = math.cos(angle), math.sin(angle)
    middle = pixels_HW.shape[0] / 2
    x, y = CELL / 2 + across, CELL / 2 + down
    a, b, d, e = (cos - slant * sin) * wide, (sin + slant * cos) * wide, -sin * tall, cos * tall
    turn = (a, b, middle - a * x - b * y, d, e, middle - d * x - e * y)
    picture = pillow.fromarray(pixels_HW)
    turned = picture.transform((CELL, CELL), pillow.Transform.AFFINE, turn, pillow.Resampling.BICUBIC)
    _, most = turned.getextrema()
    ink = turned.tobytes().translate(_strengthened(most))
    return np.frombuffer(ink, np.uint8).reshape(CELL, CELL)


@lru_cache(maxsize=256)
def _strengthened(most: int) -> bytes:
    """Return what becomes of each value of ink if `most` is made 255: 256 values."""
    ink = np.arange(256, dtype=np.float32) * (255 / max(1, most))
    # What is hardly ink is paper: so that empty patches are empty and cost nothing.
    return np.where(ink < 24, 0, ink).clip(max=255).astype(np.uint8).tobytes()


def _colours(split: Split, rng: random.Random) -> tuple[Colour, Colour]:
    """Return paper and ink: grey on white or on black; in colour only for ``out_of_range``."""
    if split == "out_of_range":
        light = rng.randint(170, 255), rng.randint(170, 255), rng.randint(170, 255)
        dark = rng.randint(0, 85), rng.randint(0, 85), rng.randint(0, 85)
        return (light, dark) if rng.random() < 0.5 else (dark, light)
    strength = rng.randint(0, 60)
    return (WHITE, _grey(strength)) if rng.random() < 0.5 else (_grey(0), _grey(255 - strength))


def _grey(level: int) -> Colour:
    return level, level, level


@lru_cache(maxsize=128)
def _shades(paper: Colour, ink: Colour) -> np.ndarray:
    """Return the colours between bare paper (0) and full ink (255): float32 [256, 3]."""
    share_K1 = np.arange(256, dtype=np.float32)[:, None] / 255
    return np.array(paper, np.float32) + share_K1 * (np.array(ink, np.float32) - np.array(paper, np.float32))


def _rounded(colours: np.ndarray) -> np.ndarray:
    return np.clip(colours + 0.5, 0, 255).astype(np.uint8)


def _word(kind: str, rng: random.Random, **values: object) -> str:
    return rng.choice(WORDINGS[kind]).format(**values)


def spaced(digits: Sequence[int]) -> str:
    """Return ``3 1 4``."""
    return " ".join(map(str, digits))


def _read(digits: list[int], rows: int, rng: random.Random) -> Question:
    wording = _word("read one" if len(digits) == 1 else "read", rng)
    return Question(wording, spaced(digits), "read", chance=0.1 ** len(digits), facts={"rows": rows})


def sum_question(digits: list[int], rng: random.Random) -> Question:
    """Ask for the sum of `digits`: thoughts read them first, then add: ``9 4 1: 9+4=13, 13+1=14``."""
    thoughts = f"{spaced(digits)}: {added_up(digits)}" if len(digits) > 1 else spaced(digits)
    return Question(_word("sum", rng), str(sum(digits)), "sum", thoughts, likeliest_sum(len(digits)))


def place_question(digits: list[int], rng: random.Random) -> Question:
    """Ask for one of `digits` by its place."""
    place = rng.randrange(len(digits))
    wording = _word("place", rng, ordinal=ORDINALS[place])
    return Question(wording, str(digits[place]), "place", spaced(digits[: place + 1]), 0.1)


def added_up(numbers: Sequence[int]) -> str:
    """Return the adding of `numbers` as thoughts: ``3+4=7`` or ``3+4=7, 7+1=8``, one step at a time."""
    steps, total = [], numbers[0]
    for number in numbers[1:]:
        steps.append(f"{total}+{number}={total + number}")
        total += number
    return ", ".join(steps)


@lru_cache
def likeliest_sum(count: int) -> float:
    """Return the probability of the likeliest sum of `count` random digits: the chance of the best blind guess."""
    probabilities = np.ones(1)
    for _ in range(count):
        probabilities = np.convolve(probabilities, np.full(10, 0.1))
    return float(probabilities.max())


def _plus(rng: random.Random, count: int) -> tuple[list[int], Question]:
    digit, other = rng.randrange(10), rng.randint(1, 9)
    wording = _word("plus", rng, digit=other)
    return [digit], Question(wording, str(digit + other), "plus", f"{digit}+{other}={digit + other}", 0.1)


def _even(rng: random.Random, count: int) -> tuple[list[int], Question]:
    digit = rng.randrange(10)
    return [digit], Question(_word("even", rng), "no" if digit % 2 else "yes", "even", str(digit), 0.5)


def _exceeds(rng: random.Random, count: int) -> tuple[list[int], Question]:
    other, yes = rng.randint(1, 8), rng.random() < 0.5
    digit = rng.randint(other + 1, 9) if yes else rng.randint(0, other)
    wording = _word("exceeds", rng, digit=other)
    return [digit], Question(wording, "yes" if yes else "no", "exceeds", str(digit), 0.5)


def any_digits(rng: random.Random, count: int) -> tuple[list[int], Question]:
    """Draw digits at random, and ask for their sum."""
    digits = [rng.randrange(10) for _ in range(count)]
    return digits, sum_question(digits, rng)


def _compare(rng: random.Random, count: int) -> tuple[list[int], Question]:
    low, high = sorted(rng.sample(range(10), 2))
    yes = rng.random() < 0.5
    digits = [high, low] if yes else [low, high]
    return digits, Question(_word("compare", rng), "yes" if yes else "no", "compare", spaced(digits), 0.5)


def largest(rng: random.Random, count: int) -> tuple[list[int], Question]:
    """Draw the largest digit, then others up to it, and ask for it."""
    answer = rng.randint(1, 9)
    digits = [answer, *(rng.randint(0, answer) for _ in range(count - 1))]
    rng.shuffle(digits)
    return digits, Question(_word("largest", rng), str(answer), "largest", spaced(digits), 1 / 9)


def smallest(rng: random.Random, count: int) -> tuple[list[int], Question]:
    """Draw the smallest digit, then others from it on, and ask for it."""
    answer = rng.randint(0, 8)
    digits = [answer, *(rng.randint(answer, 9) for _ in range(count - 1))]
    rng.shuffle(digits)
    return digits, Question(_word("smallest", rng), str(answer), "smallest", spaced(digits), 1 / 9)


def _count(rng: random.Random, count: int) -> tuple[list[int], Question]:
    most = min(count - 1, 4)
    digit, answer = rng.randrange(10), rng.randint(0, most)
    others = [other for other in range(10) if other != digit]
    digits = [digit] * answer + rng.choices(others, k=count - answer)
    rng.shuffle(digits)
    wording = _word("count", rng, digit=digit)
    thoughts = tallied(map(str, digits), str(digit))
    return digits, Question(wording, str(answer), "count", thoughts, 1 / (most + 1))


Asking = Callable[[random.Random, int], tuple[list[int], Question]]
"""Draws an answer, then digits that have it; returns both digits and question."""

ONE: tuple[Asking, ...] = (_plus, _even, _exceeds)
TWO: tuple[Asking, ...] = (any_digits, _compare, largest, smallest)
MANY: tuple[Asking, ...] = (any_digits, largest, smallest, _count)
