"""Countdown: reach a target from given numbers, each used exactly once, with + - * and exact /."""

import random
import re
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

from castalia.document import Document
from castalia.errors import TaskError
from castalia.tasks.steps import NOTHING, call
from castalia.tasks.task import Example, Question, Score, Split, generator, held_out, trace


@dataclass(frozen=True)
class Level:
    """How hard: how many numbers, the greatest of them, the greatest value on the way, the operations."""

    numbers: int
    greatest: int
    limit: int
    operations: str = "+-*/"


LEVELS = {
    1: Level(2, 9, 81, "+-*"),
    2: Level(3, 6, 60, "+-*"),
    3: Level(3, 12, 99),
    4: Level(3, 25, 150),
    5: Level(4, 12, 99),
    6: Level(4, 25, 300),
    7: Level(5, 12, 300),
    8: Level(5, 25, 500),
    9: Level(6, 25, 500),
    10: Level(6, 50, 999),
}
WORDINGS = (
    "Make {target} from {numbers}.",
    "Reach {target} with {numbers}.",
    "{numbers}: make {target}.",
    "Use {numbers} once each to get {target}.",
)
DEAD_ENDS = (0, 0, 0, 1, 1, 2)
"""How many failed attempts the reference thoughts show before the one that works: what is shown can be learned."""

LONGEST_REPLY = 200
PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2}
SPELLINGS = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-"})
TOKEN = re.compile(r"\s*([0-9]+|[-+*/()])")


@dataclass(frozen=True)
class Value:
    """A number on the table: its `amount`, how it was made, and the operation that made it (``""`` if given)."""

    amount: int
    text: str
    operation: str = ""


class Countdown:
    """Reach a target from given numbers with + - * / (exact), each number used exactly once.

    Difficulty 1 has two numbers, 3 three of 1 to 12, 10 six of 1 to 50; ``out_of_range`` has seven. The splits differ
    in the problem: its target with its sorted numbers. Thoughts are attempts, each worked out to its end and closed by
    ``no`` unless it meets the target, so that longer search is more of the same. There are many right answers.
    """

    name = "countdown"
    whole = True

    def sample(self, seed: int, difficulty: int, split: Split = "train") -> Example:
        """Make the problem of this seed: one question, no context."""
        rng = generator(self.name, seed, difficulty, split)
        level = LEVELS[difficulty] if split != "out_of_range" else Level(7, 50 + 5 * difficulty, 999)
        while True:
            numbers = [rng.randint(1, level.greatest) for _ in range(level.numbers)]
            steps, target = play(numbers, level, rng)
            if target.amount in numbers:  # no more than a number times one, or plus a zero
                continue
            identity = f"{target.amount} from {sorted(numbers)}"
            if split == "out_of_range" or held_out(identity) == (split == "held_out"):
                break
        attempts = [f"{', '.join(steps)}"]
        for _ in range(rng.choice(DEAD_ENDS)):
            failed, end = play(numbers, level, rng)
            if end.amount != target.amount:
                attempts.insert(0, f"{', '.join(failed)} no")
        thoughts = "\n".join(attempts)
        question = Question(
            text=rng.choice(WORDINGS).format(target=target.amount, numbers=", ".join(map(str, numbers))),
            answer=target.text,
            kind=f"{len(numbers)} numbers",
            thoughts=thoughts,
            facts={"numbers": numbers, "target": target.amount},
            steps=(thoughts, call("calculator", target.text)),
        )
        return Example(self.name, seed, difficulty, split, Document(), (question,))

    def score(self, example: Example, reply: str, index: int = 0) -> Score:
        """Accept every expression with the target's value that uses each number exactly once; ``= target`` may follow.

        Values are exact fractions; brackets and signs such as × ÷ − are understood, a leading minus is not.
        """
        facts = example.questions[index].facts
        try:
            value, used = evaluate(reply, facts["target"])
        except TaskError as error:
            return Score(0.0, str(error))
        if Counter(used) != Counter(facts["numbers"]):
            return Score(0.0, f"uses {sorted(used)}, not {sorted(facts['numbers'])}")
        return Score(1.0) if value == facts["target"] else Score(0.0, f"makes {value}, not {facts['target']}")

    def mistake(self, example: Example, index: int, rng: random.Random) -> str:
        """Return an expression of the numbers that misses the target."""
        _, end = play(example.questions[index].facts["numbers"], LEVELS[example.difficulty], rng)
        return end.text

    def briefs(self, example: Example, index: int) -> tuple[str, ...]:
        """Return what agents can be told to begin with, each something else: any two of the numbers."""
        return tuple(f"{one}, {other}" for one, other in combinations(example.questions[index].facts["numbers"], 2))

    def explore(self, example: Example, index: int, brief: int, rng: random.Random) -> tuple[str, str]:
        """Return thoughts that begin with the numbers of one brief, and the expression found, or - if there is none.

        The fewer attempts fail the better: up to three before one that meets the target, two to four where none does.
        """
        facts, level = example.questions[index].facts, LEVELS[example.difficulty]
        numbers, target = facts["numbers"], facts["target"]
        pairs = list(combinations(range(len(numbers)), 2))
        first = pairs[brief % len(pairs)]
        # Drawn as often as this, hardly a way is missed.
        plays = {end.text: (steps, end) for steps, end in (play(numbers, level, rng, first) for _ in range(60))}
        found = [(steps, end) for steps, end in plays.values() if end.amount == target]
        failed = [steps for steps, end in plays.values() if end.amount != target]
        count = rng.choice((0, 0, 1, 1, 2, 3)) if found else rng.randint(2, 4)
        attempts = [f"{', '.join(steps)} no" for steps in failed[:count]]
        if not found:
            return "\n".join(attempts), NOTHING
        steps, end = rng.choice(found)
        return "\n".join([*attempts, ", ".join(steps)]), end.text

    misled = mistake

    def check(self, example: Example, index: int, answers: list[str]) -> tuple[str, str]:
        """Work out conclusions, each once, up to the first that is right; if none is, search as ever."""
        question = example.questions[index]
        target = question.facts["target"]
        lines = []
        for answer in dict.fromkeys(answers):
            if answer == NOTHING:
                continue
            steps: list[str] = []
            evaluate(answer, target, steps)
            if self.score(example, answer, index).value == 1:
                return "\n".join([*lines, ", ".join(steps)]), answer
            lines.append(f"{', '.join(steps)} no")
        return "\n".join([*lines, question.thoughts]), question.answer

    def trace(self, example: Example, *, acting: bool = False) -> Document:
        """Return the problem, the attempts (if `acting`: and a check by the calculator) and the expression."""
        return trace(example, acting=acting)


def evaluate(expression: str, target: int | None = None, steps: list[str] | None = None) -> tuple[Fraction, list[int]]:
    """Return the exact value of `expression` (integers, ``+ - * / ( )``) and the integers used, in order.

    Every operation is added to `steps`, as ``8-6=2``. A final ``= target`` is left out. Raises TaskError saying what is
    wrong: no expression, unbalanced brackets, division by zero, more than `LONGEST_REPLY` characters. Nothing is ever
    executed, and nothing recurses. (Dijkstra's shunting-yard, 1961.)
    """
    text = expression.strip().rstrip(".").strip()
    if len(text) > LONGEST_REPLY:
        raise TaskError(f"an expression of more than {LONGEST_REPLY} characters")
    text = text.translate(SPELLINGS)
    if target is not None:
        text = re.sub(rf"=\s*{target}$", "", text).rstrip()
    values: list[Fraction] = []
    used: list[int] = []
    waiting: list[str] = []
    position, operand_next = 0, True
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None:
            raise TaskError(f"not an expression at {text[position : position + 10]!r}")
        token, position = match[1], match.end()
        if operand_next != (token[0].isdigit() or token == "("):
            raise TaskError(f"{token!r} stands where {'a number' if operand_next else 'an operation'} should")
        if token == "(":
            waiting.append(token)
        elif token == ")":
            while waiting and waiting[-1] != "(":
                _apply(waiting.pop(), values, steps)
            if not waiting:
                raise TaskError("a bracket is closed that was not opened")
            waiting.pop()
        elif token in PRECEDENCE:
            while waiting and PRECEDENCE.get(waiting[-1], 0) >= PRECEDENCE[token]:
                _apply(waiting.pop(), values, steps)
            waiting.append(token)
            operand_next = True
        else:
            used.append(int(token))
            values.append(Fraction(used[-1]))
            operand_next = False
    if operand_next:
        raise TaskError("the expression ends too early")
    while waiting:
        if waiting[-1] == "(":
            raise TaskError("a bracket is not closed")
        _apply(waiting.pop(), values, steps)
    return values[0], used


def _apply(operation: str, values: list[Fraction], steps: list[str] | None) -> None:
    right, left = values.pop(), values.pop()
    if operation == "/" and right == 0:
        raise TaskError("division by zero")
    if operation == "+":
        values.append(left + right)
    elif operation == "-":
        values.append(left - right)
    else:
        values.append(left * right if operation == "*" else left / right)
    if steps is not None:
        steps.append(f"{left}{operation}{right}={values[-1]}")


def play(
    numbers: list[int], level: Level, rng: random.Random, first: tuple[int, int] | None = None
) -> tuple[list[str], Value]:
    """Join two numbers at a time until one is left; return the steps, such as ``8-6=2``, and what is left.

    The places of the `first` two numbers, in order, can be given.
    """
    table = [Value(number, str(number)) for number in numbers]
    steps = []
    while len(table) > 1:
        # From the third number on the last result is always used: a chain is easier to follow, and to continue.
        if first and not steps:
            right, left = (table.pop(place) for place in reversed(first))
        else:
            left = table.pop() if steps else table.pop(rng.randrange(len(table)))
            right = table.pop(rng.randrange(len(table)))
        if left.amount < right.amount:
            left, right = right, left
        joined = _join(left, right, rng.choice(_possible(left, right, level)))
        steps.append(f"{left.amount}{joined.operation}{right.amount}={joined.amount}")
        table.append(joined)
    return steps, table[0]


def _possible(left: Value, right: Value, level: Level) -> list[str]:
    """Return the operations that give a whole number from 1 to the limit; times and by 1 are left to the reader."""
    possible = []
    for operation in level.operations:
        if (
            (operation == "+" and left.amount + right.amount <= level.limit)
            or (operation == "-" and left.amount > right.amount)
            or (operation == "*" and right.amount > 1 and left.amount * right.amount <= level.limit)
            or (operation == "/" and right.amount > 1 and left.amount % right.amount == 0)
        ):
            possible.append(operation)
    return possible or ["-" if left.amount > right.amount else "+"]


def _join(left: Value, right: Value, operation: str) -> Value:
    amounts = {"+": left.amount + right.amount, "-": left.amount - right.amount, "*": left.amount * right.amount}
    amount = amounts[operation] if operation in amounts else left.amount // right.amount
    rank = PRECEDENCE[operation]
    left_text = f"({left.text})" if 0 < PRECEDENCE.get(left.operation, 0) < rank else left.text
    loose = PRECEDENCE.get(right.operation, 3)
    bracketed = loose < rank or (loose == rank and operation in "-/")
    # Multiplying by a quotient needs no brackets in exact arithmetic, but with them it reads as it was made.
    bracketed |= operation == "*" and right.operation == "/"
    return Value(amount, f"{left_text}{operation}{f'({right.text})' if bracketed else right.text}", operation)
