"""Sums: multi-digit arithmetic, worked column by column as on paper."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

from castalia.document import Document
from castalia.tasks.steps import call
from castalia.tasks.task import Example, Question, Score, Split, generator, held_out, score_exact, trace


@dataclass(frozen=True)
class Level:
    """How hard: digits of the terms of + and -, of the two factors, of what is divided; numbers in a chain."""

    digits: int
    factors: tuple[int, int] = (1, 1)
    divided: int = 0
    divisor: int = 1
    chain: int = 0


LEVELS = {
    1: Level(1),
    2: Level(2),
    3: Level(2, (2, 1), divided=2),
    4: Level(3, (2, 1), divided=2, chain=3),
    5: Level(3, (3, 1), divided=3, chain=3),
    6: Level(4, (2, 2), divided=3, chain=4),
    7: Level(4, (3, 2), divided=4, chain=4),
    8: Level(5, (3, 2), divided=4, divisor=2, chain=5),
    9: Level(6, (3, 3), divided=5, divisor=2, chain=5),
    10: Level(7, (4, 3), divided=6, divisor=2, chain=6),
}
WORDINGS = {
    "plus": ("{a}+{b}=", "What is {a}+{b}?", "Add {a} and {b}.", "What is {a} plus {b}?"),
    "minus": ("{a}-{b}=", "What is {a}-{b}?", "Take {b} from {a}.", "What is {a} minus {b}?"),
    "times": ("{a}*{b}=", "What is {a}*{b}?", "Multiply {a} by {b}.", "What is {a} times {b}?"),
    "quotient": ("{a}//{b}=", "What is {a}//{b}?", "How often does {b} go into {a}?"),
    "remainder": ("{a}%{b}=", "What is the remainder of {a}/{b}?", "Divide {a} by {b}: what is left over?"),
    "chain": ("{a}=", "What is {a}?"),
}
DIVIDED = ("{a}/{b}=", "What is {a}/{b}?", "Divide {a} by {b}.", "What is {a} divided by {b}?")
"""How else a quotient is asked for where nothing is left over."""


class Sums:
    """Arithmetic with + - * // and %, the remainder; thoughts work column by column from the right, with carries.

    Difficulty 1 has one digit and no division, 10 has seven digits, factors of four and three digits and chains of six
    numbers; ``out_of_range`` has more digits than 10. The splits differ in the problem, whichever way it is worded and
    in whichever order its terms stand.
    """

    name = "sums"
    whole = False

    def sample(self, seed: int, difficulty: int, split: Split = "train") -> Example:
        """Make the problem of this seed: one question, no context."""
        rng = generator(self.name, seed, difficulty, split)
        level = LEVELS[difficulty]
        if split == "out_of_range":
            more = (difficulty + 1) // 2
            level = Level(7 + more, (4 + more, 3), 6 + more, 2, 6 + more)
        makers = [_plus, _minus, _times]
        if level.divided:
            makers += [_quotient, _remainder]
        if level.chain:
            makers.append(_chain)
        make = rng.choice(makers)
        while True:
            identity, question = make(level, rng)
            if split == "out_of_range" or held_out(identity) == (split == "held_out"):
                return Example(self.name, seed, difficulty, split, Document(), (question,))

    def score(self, example: Example, reply: str, index: int = 0) -> Score:
        """Compare exactly; spaces and commas inside the number do not matter."""
        return score_exact(example.questions[index], reply.replace(",", "").replace(" ", ""))

    def briefs(self, example: Example, index: int) -> tuple[str, ...]:
        """Return the parts that can be worked out apart: of a product, of what a chain adds and takes away."""
        return tuple(part.text for part in example.questions[index].facts.get("parts", ()))

    def explore(self, example: Example, index: int, brief: int, rng: random.Random) -> tuple[str, str]:
        """Return how one part is worked out, and its value; where there are no parts, how all is."""
        question = example.questions[index]
        parts: tuple[Piece, ...] = question.facts.get("parts", ())
        if not parts:
            return question.thoughts, question.answer
        part = parts[brief % len(parts)]
        return part.thoughts, str(part.value)

    def misled(self, example: Example, index: int, rng: random.Random) -> str:
        """Return the value of a part, missed by a little."""
        value = int(self.explore(example, index, rng.randrange(8), rng)[1])
        return str(abs(value + rng.choice((-10, -1, 1, 2, 10))))

    def check(self, example: Example, index: int, answers: list[str]) -> tuple[str, str]:
        """Put the parts together; where one is missing, work all out."""
        question = example.questions[index]
        values = [part.value for part in question.facts.get("parts", ())]
        if not values or any(str(value) not in answers for value in values):
            return question.thoughts, question.answer
        total, steps = values[0], []
        for value in values[1:]:
            joined = total - value if question.kind == "chain" else total + value
            steps.append(f"{total}{'-' if question.kind == 'chain' else '+'}{value}={joined}")
            total = joined
        return ", ".join(steps), question.answer

    def trace(self, example: Example, *, acting: bool = False) -> Document:
        """Return the problem, its columns (if `acting`: what the calculator says) and the answer."""
        return trace(example, acting=acting)


@dataclass(frozen=True)
class Piece:
    """A part of a problem: an expression, how it is worked out, and its value."""

    text: str
    thoughts: str
    value: int


def columns_plus(a: int, b: int) -> str:
    """Return the columns of `a` + `b` from the right: ``7+5=12, 4+8+1=13, 3+2+1=6``."""
    steps, carry = [], 0
    while a or b or not steps:
        total = a % 10 + b % 10 + carry
        steps.append(f"{a % 10}+{b % 10}{'+1' if carry else ''}={total}")
        a, b, carry = a // 10, b // 10, total // 10
    return ", ".join(steps)


def columns_minus(a: int, b: int) -> str:
    """Return the columns of `a` - `b` (b ≤ a) from the right, ten lent where needed: ``12-5=7, 4-1-1=2``."""
    steps, borrow = [], 0
    while a or not steps:
        top, bottom = a % 10, b % 10 + borrow
        lent = 10 if top < bottom else 0
        steps.append(f"{top + lent}-{b % 10}{'-1' if borrow else ''}={top + lent - bottom}")
        a, b, borrow = a // 10, b // 10, lent // 10
    return ", ".join(steps)


def columns_times(a: int, b: int) -> str:
    """Return the columns of `a` times the one-digit `b`: ``7*5=35, 4*5+3=23``."""
    steps, carry = [], 0
    while a or not steps:
        total = a % 10 * b + carry
        steps.append(f"{a % 10}*{b}{f'+{carry}' if carry else ''}={total}")
        a, carry = a // 10, total // 10
    return ", ".join(steps)


def partial_products(a: int, b: int) -> str:
    """Return `a` times each digit of `b`, and the sums so far: ``47*5=235, 47*80=3760, 235+3760=3995``."""
    steps: list[str] = []
    total = 0
    for place, digit in enumerate(reversed(str(b))):
        product = a * int(digit) * 10**place
        if digit == "0":
            continue
        steps.append(f"{a}*{int(digit) * 10**place}={product}")
        if total:
            steps.append(f"{total}+{product}={total + product}")
        total += product
    return ", ".join(steps)


def long_division(a: int, b: int) -> str:
    """Return the steps of `a` / `b` from the left, what is left over carried on: ``8=2*3+2, 27=9*3+0``."""
    steps, left = [], 0
    for digit in str(a):
        left = left * 10 + int(digit)
        if left >= b or steps:
            steps.append(f"{left}={left // b}*{b}+{left % b}")
            left %= b
    return ", ".join(steps) or f"{a}=0*{b}+{a}"


OPERATIONS = {"plus": "+", "minus": "-", "times": "*", "quotient": "//", "remainder": "%"}

Made = tuple[str, Question]
Maker = Callable[[Level, random.Random], Made]


def _number(digits: int, rng: random.Random) -> int:
    """Draw a number of at most `digits` digits; its length first, mostly full, so that short ones are met too."""
    length = digits if rng.random() < 0.8 else rng.randint(1, digits)
    return rng.randint(0 if length == 1 else 10 ** (length - 1), 10**length - 1)


def _question(
    kind: str,
    answer: int,
    thoughts: str,
    rng: random.Random,
    a: int | str,
    b: int = 0,
    chance: float | None = None,
    parts: tuple[Piece, ...] = (),
    wordings: tuple[str, ...] = (),
) -> Question:
    """Word a question about `a` and `b` (or the chain `a`), which steps leave to the calculator."""
    text = rng.choice(wordings or WORDINGS[kind]).format(a=a, b=b)
    expression = f"{a}{OPERATIONS[kind]}{b}" if kind in OPERATIONS else str(a)
    chance = 0.1 ** len(str(abs(answer))) if chance is None else chance
    return Question(text, str(answer), kind, thoughts, chance, {"parts": parts}, (call("calculator", expression),))


def _plus(level: Level, rng: random.Random) -> Made:
    a, b = _number(level.digits, rng), _number(level.digits, rng)
    return f"{min(a, b)}+{max(a, b)}", _question("plus", a + b, columns_plus(a, b), rng, a=a, b=b)


def _minus(level: Level, rng: random.Random) -> Made:
    a, b = _number(level.digits, rng), _number(level.digits, rng)
    a, b = max(a, b), min(a, b)
    return f"{a}-{b}", _question("minus", a - b, columns_minus(a, b), rng, a=a, b=b)


def _times(level: Level, rng: random.Random) -> Made:
    a, b = _number(level.factors[0], rng), _number(level.factors[1], rng)
    thoughts = columns_times(a, b) if b < 10 else partial_products(a, b)
    parts = tuple(
        Piece(f"{a}*{int(digit) * 10**place}", columns_times(a, int(digit)), a * int(digit) * 10**place)
        for place, digit in enumerate(reversed(str(b)))
        if digit != "0" and b > 9
    )
    first, second = (b, a) if rng.random() < 0.5 else (a, b)
    return f"{min(a, b)}*{max(a, b)}", _question("times", a * b, thoughts, rng, a=first, b=second, parts=parts)


def _divided(level: Level, rng: random.Random) -> tuple[int, int]:
    return _number(level.divided, rng), rng.randint(2, 10**level.divisor - 1)


def _quotient(level: Level, rng: random.Random) -> Made:
    a, b = _divided(level, rng)
    exact = rng.random() < 0.5
    a -= a % b if exact else 0
    wordings = WORDINGS["quotient"] + (DIVIDED if exact else ())
    return f"{a}/{b}", _question("quotient", a // b, long_division(a, b), rng, a=a, b=b, wordings=wordings)


def _remainder(level: Level, rng: random.Random) -> Made:
    a, b = _divided(level, rng)
    return f"{a}/{b}", _question("remainder", a % b, long_division(a, b), rng, a, b, chance=1 / b)


def _chain(level: Level, rng: random.Random) -> Made:
    total = _number(2, rng)
    text, steps, terms = str(total), [], {"+": [total], "-": []}
    for _ in range(level.chain - 1):
        number = _number(2, rng)
        operation = "-" if number <= total and rng.random() < 0.5 else "+"
        result = total + number if operation == "+" else total - number
        text += f"{operation}{number}"
        terms[operation].append(number)
        steps.append(f"{total}{operation}{number}={result}")
        total = result
    parts = tuple(_added(numbers) for numbers in terms.values() if terms["-"])
    return text, _question("chain", total, ", ".join(steps), rng, a=text, parts=parts)


def _added(numbers: list[int]) -> Piece:
    """Return the sum of numbers as a part of a chain, worked out one after the other."""
    sums = list(accumulate(numbers))
    steps = [f"{total}+{number}={total + number}" for total, number in zip(sums, numbers[1:], strict=False)]
    return Piece("+".join(map(str, numbers)), ", ".join(steps), sums[-1])
