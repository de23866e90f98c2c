"""Tools: a calculator with exact numbers, and Python in a sandbox."""

import io
import re
import threading
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from castalia.actions.action import Parameter, State, said, shortened
from castalia.document import Document
from castalia.errors import ActionError

LONGEST_EXPRESSION = 1_000
DEEPEST_NESTING = 30
MOST_DIGITS = 1_000
MOST_BITS = 3_322
"""What a number of `MOST_DIGITS` digits takes; above and below the line of a fraction."""

SPELLINGS = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-"})
# Digits of ASCII only: Python's `\d` and `int` would take those of every script.
TOKEN = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,3})?|\.[0-9]+|\*\*|//|[-+*/%()])")


@dataclass(frozen=True)
class Calculator:
    """Works out one expression exactly, in fractions; nothing of it is ever executed."""

    name: str = "calculator"
    about: str = "work out an expression of numbers, + - * / // % ** and ( ), exactly"
    parameters: tuple[Parameter, ...] = (Parameter("expression", {"type": "string", "maxLength": LONGEST_EXPRESSION}),)

    def run(self, arguments: dict[str, Any], state: State) -> Document:
        """Return the value as text: whole, or an exact decimal, or a reduced fraction with its decimals rounded."""
        return said(written(evaluate(arguments["expression"])))


def evaluate(expression: str) -> Fraction:
    """Return the exact value of `expression`, read as Python reads it (``-2**2`` is −4, ``2**3**2`` is 512).

    Raises ActionError if it is not an expression, nests too deeply, divides by zero, takes a root (a power whose
    exponent is not whole), or comes to a number of more than `MOST_DIGITS` digits on the way.
    """
    return _Expression(expression).value()


def written(value: Fraction) -> str:
    """Write a number exactly: ``42``, ``-0.125``; where decimals do not end, ``2/3 ≈ 0.666667``."""
    for places in range(31):
        shifted = value * 10**places
        if shifted.denominator == 1:
            return _decimal(int(shifted), places)
    return f"{value} ≈ {_decimal(round(value * 10**6), 6)}"


def _decimal(shifted: int, places: int) -> str:
    digits = str(abs(shifted)).rjust(places + 1, "0")
    point = len(digits) - places
    return "-" * (shifted < 0) + digits[:point] + "." * (places > 0) + digits[point:]


class _Expression:
    """Reads an expression by recursive descent: sum, product, sign, power, number or bracket."""

    def __init__(self, text: str) -> None:
        self.tokens: list[str] = []
        self.at, self.depth = 0, 0
        text, position = text.translate(SPELLINGS).rstrip(), 0
        while position < len(text):
            match = TOKEN.match(text, position)
            if match is None:
                raise ActionError(f"not an expression at {text[position : position + 10].strip()!r}")
            self.tokens.append(match[1])
            position = match.end()

    def value(self) -> Fraction:
        value = self.sum()
        if self.at < len(self.tokens):
            raise ActionError(f"{self.tokens[self.at]!r} stands where an operation should")
        return value

    def take(self, *options: str) -> str:
        """Return the next token and go on if it is one of `options`, else an empty text."""
        token = self.tokens[self.at] if self.at < len(self.tokens) else ""
        self.at += token in options
        return token if token in options else ""

    def sum(self) -> Fraction:
        value = self.product()
        while sign := self.take("+", "-"):
            value = _within(value + self.product() if sign == "+" else value - self.product())
        return value

    def product(self) -> Fraction:
        value = self.signed()
        while operation := self.take("*", "/", "//", "%"):
            value = _within(_multiplied(value, operation, self.signed()))
        return value

    def signed(self) -> Fraction:
        sign = 1
        while found := self.take("+", "-"):
            sign = -sign if found == "-" else sign
        # Whatever nests, brackets and powers of powers, comes by here.
        self.depth += 1
        if self.depth > DEEPEST_NESTING:
            raise ActionError(f"the expression nests more than {DEEPEST_NESTING} deep")
        value = sign * self.power()
        self.depth -= 1
        return value

    def power(self) -> Fraction:
        base = self.number()
        return _raised(base, self.signed()) if self.take("**") else base

    def number(self) -> Fraction:
        if self.take("("):
            value = self.sum()
            if not self.take(")"):
                raise ActionError("a bracket is not closed")
            return value
        if self.at == len(self.tokens):
            raise ActionError("the expression ends too early")
        token = self.tokens[self.at]
        self.at += 1
        if not (token[0].isdigit() or token[0] == "."):
            raise ActionError(f"{token!r} stands where a number should")
        return _within(Fraction(token))


def _multiplied(left: Fraction, operation: str, right: Fraction) -> Fraction:
    if operation == "*":
        return left * right
    if right == 0:
        raise ActionError("division by zero")
    if operation == "/":
        return left / right
    return Fraction(left // right) if operation == "//" else left % right


def _raised(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        raise ActionError("a power needs a whole exponent")
    if base == 0 and exponent < 0:
        raise ActionError("division by zero")
    bits = max(base.numerator.bit_length(), base.denominator.bit_length()) - 1
    # 0, 1 and −1 have no size to grow; whole exponents beyond what a machine counts in are told by being odd or even.
    if abs(base) <= 1 and base.denominator == 1:
        return base ** (2 + int(exponent) % 2) if exponent else Fraction(1)
    if bits * abs(exponent) > MOST_BITS:
        raise ActionError(f"the power has more than {MOST_DIGITS:,} digits")
    return _within(base ** int(exponent))


def _within(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MOST_BITS:
        raise ActionError(f"a number has more than {MOST_DIGITS:,} digits")
    return value


class PythonSandbox:
    """Runs programs in Monty, an interpreter in Rust that has no way to files, network or this process.

    Each program starts afresh in a process of Monty's own. It may take `seconds` (a process that outstays them by one
    is killed), `memory` bytes and `recursion` nested calls; `output` characters are kept of what it prints, and as many
    of the value of its last line. `workers` run at once, others wait. Sleeping takes no time. The processes start with
    the first program and end with `close`, or when nothing refers to this any more.
    """

    name = "python"
    about = "run a Python program (no files, no network); shows what it prints and the value of its last line"
    parameters = (Parameter("code", {"type": "string", "maxLength": 10_000}),)

    def __init__(
        self,
        *,
        seconds: float = 2.0,
        memory: int = 32 << 20,
        recursion: int = 200,
        output: int = 2_000,
        workers: int = 2,
    ) -> None:
        self.seconds, self.output, self.workers = seconds, output, workers
        self.limits = {
            "max_feed_duration_secs": seconds,
            "max_memory": memory,
            "max_recursion_depth": recursion,
        }
        self._lock = threading.Lock()
        self._running: tuple[Any, ThreadPoolExecutor, weakref.finalize] | None = None

    def run(self, arguments: dict[str, Any], state: State) -> Future:
        """Return a future of what the program printed and the value of its last line, or of the error it ended in."""
        with self._lock:
            if self._running is None:
                self._running = self._start()
            pool, threads, _ = self._running
            return threads.submit(self._execute, pool, arguments["code"])

    def close(self) -> None:
        """Drop the programs that wait, let those that run come to their end, and end the processes."""
        with self._lock:
            running, self._running = self._running, None
        if running is not None:
            _, threads, end = running
            threads.shutdown(cancel_futures=True)
            end()

    def _start(self) -> tuple[Any, ThreadPoolExecutor, weakref.finalize]:
        from pydantic_monty import Monty

        # The second limit also holds where the first does not look: while a program is compiled, or its value returned.
        pool = Monty(min_processes=0, max_processes=self.workers, request_timeout=self.seconds + 1)
        pool.__enter__()
        # Not left to the pool when nothing refers to it any more: its processes then end, but may never be reaped.
        end = weakref.finalize(self, pool.__exit__, None, None, None)
        return pool, ThreadPoolExecutor(self.workers, "python-sandbox"), end

    def _execute(self, pool: Any, code: str) -> Document:
        from pydantic_monty import MontyError

        printed = io.StringIO()

        def keep(stream: str, text: str) -> None:
            if printed.tell() <= self.output:
                printed.write(text[: self.output + 1])

        with pool.checkout(limits=self.limits, os_policy={"sleep": "zero"}) as session:
            try:
                last = self._shown(session, session.feed_run(code, print_callback=keep))
            except MontyError as error:
                last = f"error: {self._reason(error)}"
        lines = [shortened(text, self.output) for text in (printed.getvalue().removesuffix("\n"), last) if text]
        return said("\n".join(lines))

    def _shown(self, session: Any, value: Any) -> str:
        from pydantic_monty import MontyError

        if value is None:
            return ""
        try:
            # In the sandbox too: two names for one list, nested forty deep, are small, but to write them out is not.
            return session.feed_run(f"f'{{value!r}}'[:{self.output + 1}]", inputs={"value": value})
        except MontyError:
            return "(the value of the last line cannot be shown)"

    def _reason(self, error: Any) -> str:
        if "time limit exceeded" in str(error) or getattr(error, "timed_out", False):
            return f"TimeoutError: the program took more than {self.seconds:g} seconds"
        frames = error.traceback() if hasattr(error, "traceback") else []
        text = error.display("type-msg") if hasattr(error, "display") else str(error)
        return f"line {frames[-1].line}: {text}" if frames else text
