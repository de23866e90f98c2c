"""A calculator that is exact, and Python that cannot get out."""

import contextlib
import gc
import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castalia.actions.action import Action, Session, State
from castalia.actions.tools import Calculator, PythonSandbox, evaluate, written
from castalia.document import Call
from castalia.errors import ActionError


def told(action: Action, argument: str) -> str:
    outcome = Session({action.name: action}, State()).act(Call(action.name, json.dumps([argument])))
    return (outcome.result(timeout=20) if isinstance(outcome, Future) else outcome).text()


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("10 - 4 - 3", "3"),
        ("100 / 10 / 5", "2"),
        ("2**3**2", "512"),
        ("-2**2", "-4"),
        ("2**-2", "0.25"),
        ("--3", "3"),
        ("+-+3", "-3"),
        ("2 - -3", "5"),
        ("7 // 2", "3"),
        ("-7 // 2", "-4"),
        ("-7 % 3", "2"),
        ("7.5 % 2", "1.5"),
        ("0.1 + 0.2", "0.3"),
        ("1/8", "0.125"),
        ("-1/8", "-0.125"),
        ("1/20 - 1/20", "0"),
        ("1/3", "1/3 ≈ 0.333333"),
        ("-20/6", "-10/3 ≈ -3.333333"),
        ("1/3 + 2/3", "1"),
        (".5 + 5.", "5.5"),
        ("1.5e3 + 2E-3", "1500.002"),
        ("1/2**30", "0.000000000931322574615478515625"),
        ("6 × 7 ÷ 2 − 1", "20"),
        ("0**0", "1"),
        ("(-1)**" + "9" * 900, "-1"),
        ("2**3000 // 2**2990", "1024"),
        ("\t( 1 )\n", "1"),
    ],
)
def test_expressions_are_worked_out_exactly(expression: str, expected: str) -> None:
    assert told(Calculator(), expression) == expected


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "the expression ends too early"),
        ("1 +", "the expression ends too early"),
        ("1 2", "'2' stands where an operation should"),
        ("2(3)", "'(' stands where an operation should"),
        ("1)", "')' stands where an operation should"),
        ("* 2", "'*' stands where a number should"),
        ("1 + x", "not an expression at 'x'"),
        ("1_000", "not an expression at '_000'"),
        ("2^3", "not an expression at '^3'"),
        ("1,5", "not an expression at ',5'"),
        ("٣", "not an expression at '٣'"),
        ("(1", "a bracket is not closed"),
        ("1 / (2 - 2)", "division by zero"),
        ("1 // 0", "division by zero"),
        ("1 % 0", "division by zero"),
        ("0**-1", "division by zero"),
        ("4**0.5", "a power needs a whole exponent"),
        ("9**9**9", "the power has more than 1,000 digits"),
        ("1e999 * 1e999", "a number has more than 1,000 digits"),
        ("1e-999 / 1e999", "a number has more than 1,000 digits"),
        ("1e9999", "'9' stands where an operation should"),
        ("(" * 31 + "1" + ")" * 31, "the expression nests more than 30 deep"),
        ("**".join("1" * 40), "the expression nests more than 30 deep"),
        ("1" * 1_001, "expression of calculator is longer than 1000 characters"),
    ],
)
def test_what_cannot_be_worked_out_is_told(expression: str, message: str) -> None:
    assert told(Calculator(), expression).startswith(f"error: {message}")


Sum = tuple[str, str]
"""An expression as it is written, and the same with every number a `Fraction`, for Python to work out."""


def joined(parts: tuple[Sum, str, Sum]) -> Sum:
    (left, exact_left), operation, (right, exact_right) = parts
    return f"({left}) {operation} {right}", f"({exact_left}) {operation} {exact_right}"


def negated(part: Sum) -> Sum:
    return f"-({part[0]})", f"-({part[1]})"


NUMBER = st.integers(0, 99).map(lambda n: (str(n), f"Fraction({n})"))
SUM = st.recursive(
    NUMBER,
    lambda inner: (
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), NUMBER | inner.map(negated)).map(joined)
        | st.tuples(inner, st.just("**"), st.integers(0, 3).map(lambda n: (str(n), str(n)))).map(joined)
        | inner.map(negated)
    ),
    max_leaves=8,
)


@given(SUM)
def test_the_calculator_agrees_with_pythons_fractions(expression: Sum) -> None:
    text, exact = expression
    try:
        expected = Fraction(eval(exact, {"Fraction": Fraction}))
    except ZeroDivisionError:
        with pytest.raises(ActionError, match="division by zero"):
            evaluate(text)
        return
    assert evaluate(text) == expected
    assert Fraction(written(expected).partition(" ")[0]) == expected


@given(st.text(alphabet="0123456789.+-*/%() e×", max_size=60))
def test_whatever_is_written_is_worked_out_or_refused(text: str) -> None:
    with contextlib.suppress(ActionError):
        assert written(evaluate(text))


@pytest.fixture(scope="module")
def python() -> Iterator[PythonSandbox]:
    sandbox = PythonSandbox(seconds=0.5, output=100)
    yield sandbox
    sandbox.close()


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("1 + 1", "2"),
        ("'a'", "'a'"),
        ("print('a')", "a"),
        ("print('a', end='')\nprint('b')\n{'b': 1, 'a': [2.5, None]}", "ab\n{'b': 1, 'a': [2.5, None]}"),
        ("x = 3", ""),
        ("None", ""),
        ("import math\n[math.comb(n, 2) for n in range(5)]", "[0, 0, 1, 3, 6]"),
        ("def fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\nfib(15)", "610"),
        ("import time\ntime.sleep(1000)\n'rested'", "'rested'"),
        ("10**5000", "(the value of the last line cannot be shown)"),
        ("class A:\n    pass\nA()", "(the value of the last line cannot be shown)"),
        ("repr = 3\n1", "1"),
    ],
)
def test_a_program_shows_what_it_prints_and_its_last_value(python: PythonSandbox, program: str, expected: str) -> None:
    assert told(python, program) == expected


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("print('before')\n\n1 / 0", "before\nerror: line 3: ZeroDivisionError: division by zero"),
        ("def f():\n    return [][1]\nf()", "error: line 2: IndexError: list index out of range"),
        ("x = = 2", "error: line 1: SyntaxError: "),
        ("import socket", "error: line 1: ModuleNotFoundError: No module named 'socket'"),
        ("open('/etc/passwd')", "error: line 1: PermissionError: "),
        ("while True: pass", "error: TimeoutError: the program took more than 0.5 seconds"),
        ("def f(): return f()\nf()", "error: line 1: RecursionError: maximum recursion depth exceeded"),
        ("[0] * 10**10", "error: line 1: MemoryError: memory limit exceeded"),
    ],
)
def test_a_program_that_fails_shows_its_error(python: PythonSandbox, program: str, expected: str) -> None:
    assert told(python, program).startswith(expected)


def test_a_program_that_does_not_heed_its_limit_is_killed(python: PythonSandbox) -> None:
    stubborn = "def pairs():\n    x = (1,)\n    for i in range(60): x = (x, x)\n    return x\npairs() == pairs()"
    assert told(python, stubborn) == "error: TimeoutError: the program took more than 0.5 seconds"
    assert told(python, "1") == "1"


def test_a_value_that_is_small_but_long_to_write_does_not_hold_up_this_process(python: PythonSandbox) -> None:
    started = time.monotonic()
    assert "cannot be shown" in told(python, "x = (1,)\nfor i in range(60): x = (x, x)\nx")
    assert time.monotonic() - started < 10


def test_output_is_cut(python: PythonSandbox) -> None:
    assert told(python, "print('a' * 101)\n'b' * 101") == "a" * 100 + " …\n'" + "b" * 99 + " …"
    assert told(python, "print('a' * 100)") == "a" * 100
    assert told(python, "for i in range(10**6): print(i)").startswith("0\n1\n2\n")


def test_programs_know_nothing_of_each_other(python: PythonSandbox) -> None:
    assert told(python, "secret = 'swordfish'") == ""
    for _ in range(3):
        assert "NameError" in told(python, "secret")


def test_whoever_asks_is_not_held_up_and_programs_run_side_by_side(python: PythonSandbox) -> None:
    session = Session({"python": python}, State())
    slow, quick = (session.act(Call("python", json.dumps([text]))) for text in ("while True: pass", "1 + 1"))
    assert isinstance(slow, Future) and isinstance(quick, Future)
    assert quick.result(timeout=20).text() == "2"
    assert not slow.done()
    assert "TimeoutError" in slow.result(timeout=20).text()


def children() -> set[int]:
    """Return the processes that this one has started."""
    found = set[int]()
    for task in Path(f"/proc/{os.getpid()}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that has ended since
            found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


def gone(processes: set[int]) -> bool:
    until = time.monotonic() + 30
    while processes & children() and time.monotonic() < until:
        time.sleep(0.01)
    return not processes & children()


def test_a_killed_process_costs_one_program_and_is_replaced() -> None:
    before, sandbox = children(), PythonSandbox(seconds=5, workers=1)
    assert told(sandbox, "1") == "1"
    (process,) = children() - before
    running = sandbox.run({"code": "while True: pass"}, State())
    time.sleep(0.2)
    os.kill(process, signal.SIGKILL)
    assert running.result(timeout=20).text().startswith("error: ")
    assert told(sandbox, "2") == "2"
    sandbox.close()


def test_processes_start_when_needed_and_end_when_closed_or_forgotten() -> None:
    before, sandbox = children(), PythonSandbox(workers=1)
    assert children() == before
    assert told(sandbox, "1") == "1"
    started = children() - before
    assert len(started) == 1
    sandbox.close()
    sandbox.close()
    assert gone(started)
    assert told(sandbox, "1") == "1", "it starts afresh if it is used again"
    started = children() - before
    del sandbox
    gc.collect()
    assert gone(started)
