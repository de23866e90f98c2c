"""Whatever is written as a call comes back as a document, in time, of bounded size; nothing outside is touched."""

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from castalia.actions.action import Action, Session, State
from castalia.actions.catalog import build_actions
from castalia.actions.tools import PythonSandbox
from castalia.document import Call, Document, Image, Part

LONGEST_TEXT = 11_000
SECONDS = 20
"""A program may take half of one here; the rest is for slow machines."""

MALFORMED = [
    "",
    " ",
    "{",
    "}",
    "[" * 100_000,
    '{"a":' * 100_000,
    "{'path': 'R'}",
    '{"path": "R",}',
    '{"path" "R"}',
    "path=R",
    "NaN",
    "-Infinity",
    "1e999",
    "null",
    "true",
    '"text"',
    "9" * 5_000,
    "\x00",
    "\\u0000",
    '{"\\ud800": 1}',
    '{"path": "\\ud800", "start": [0, 0], "at": "\\udfff", "label": "\\ud800"}',
    "\u202e{}\u202c",
    "{\u00a0}",
    "{“path”: “R”}",
    '{"__class__": 1}',
    '{"state": 1, "self": 2}',
    "a" * 1_000_000,
    '{"' + "a" * 90_000 + '": 1}',
    "[" + ",".join(["0"] * 10_000) + "]",
    json.dumps([[[[[[[[[[[]]]]]]]]]]] * 500),
]

NUMBERS = [
    "NaN",
    "Infinity",
    "1e308",
    "-1e308",
    "1e999",
    "1e-999",
    "-0.0",
    "1000",
    "-1000",
    "1001",
    "1e9",
    "9" * 400,
    "true",
    '"1"',
    "null",
    "[]",
]
CANVAS = [
    *((name, f'{{"{key}": [{n}, {n}]}}') for n in NUMBERS for name, key in (("mark", "at"), ("draw", "path"))),
    *((name, f'{{"{key}": [{n}, 0, {n}, 1]}}') for n in NUMBERS for name, key in (("mark", "at"), ("crop", "box"))),
    *(("erase", f'{{"box": [0, {n}, 1, {n}]}}') for n in NUMBERS),
    *(("draw", f'{{"path": [[0, {n}], [{n}, 2]], "fill": true}}') for n in NUMBERS),
    *(("mark", f'{{"at": [0, 0], "image": {n}}}') for n in NUMBERS),
    *(("draw", f'{{"path": "R", "start": [0, 0], "image": {n}}}') for n in NUMBERS),
    *(("crop", f'{{"box": [0, 0, 1, 1], "image": {n}}}') for n in NUMBERS),
    ("mark", '{"at": [-1000, -1000, 1000, 1000], "colour": "red"}'),
    ("mark", '{"at": [0, 0, 1e-300, 1e-300]}'),
    ("mark", '{"at": [0, 0, -1, -1]}'),
    ("mark", '{"at": [1, 2, 3]}'),
    ("mark", '{"at": [1, 1], "label": "\\n\\n\\n\\n\\n\\n"}'),
    ("mark", '{"at": [1, 1], "label": "\\u202e\\u0000\\ud83d\\ude00"}'),
    ("mark", '{"at": [1, 1], "label": "\\ud800"}'),
    ("mark", '{"at": [1, 1], "label": "' + "A" * 13 + '"}'),
    ("mark", '{"at": [1, 1], "colour": "#ff0000"}'),
    ("mark", '{"at": [1, 1], "image": -1}'),
    ("mark", '{"at": [1, 1], "image": 99999999999999999999}'),
    ("draw", '{"path": ""}'),
    ("draw", '{"path": "", "start": [1, 1]}'),
    ("draw", '{"path": []}'),
    ("draw", '{"path": {}}'),
    ("draw", '{"path": null}'),
    ("draw", '{"path": [[0, 0]]}'),
    ("draw", '{"path": [[[0], [0]]]}'),
    ("draw", '{"path": [["a", "b"]]}'),
    ("draw", '{"path": "RLUDX", "start": [1, 1]}'),
    ("draw", '{"path": "ＲＤ", "start": [1, 1]}'),
    ("draw", '{"path": "' + "R" * 200 + '", "start": [1000, 1000]}'),
    ("draw", '{"path": "' + "R" * 9_000 + '", "start": [1, 1]}'),
    ("draw", '{"path": "' + "R" * 1_000_000 + '", "start": [1, 1]}'),
    ("draw", json.dumps({"path": [[0, 0]] * 201})),
    ("draw", json.dumps({"path": [[1000 * (-1) ** i, 1000 * (-1) ** (i // 2)] for i in range(200)]})),
    ("draw", json.dumps({"path": [[1000 * (-1) ** i, 1000 * (-1) ** (i // 2)] for i in range(200)], "fill": True})),
    ("crop", '{"box": [0, 0, 0, 0]}'),
    ("crop", '{"box": [0, 0, -1, -1]}'),
    ("crop", '{"box": [0, 0, 1e-9, 1e-9]}'),
    ("crop", '{"box": [-500, -500, 1000, 1000]}'),
    ("crop", '{"box": [900, 900, 1, 1]}'),
    ("erase", '{"box": [-900, -900, 1, 1]}'),
    ("erase", '{"box": []}'),
    ("relate", '["A", "above", "B"]'),
    ("relate", '["\\ud800", "above", "\\ud800"]'),
    ("relate", '["A", "is the same as", "B"]'),
]

CALCULATOR = [
    "",
    "1/0",
    "1//0",
    "1%0",
    "0**-1",
    "9**9**9**9",
    "9**999999999",
    "(-1)**" + "9" * 900,
    "2**-" + "9" * 900,
    "1e999**999",
    "1e999999999",
    "*".join(["1e999"] * 100),
    "9" * 999,
    "9" * 1_001,
    "(" * 999,
    "(" * 500 + "1" + ")" * 499,
    "-" * 999,
    "-" * 998 + "1",
    "**".join(["2"] * 300),
    "1" + "+1" * 499,
    "NaN",
    "inf",
    "1_000",
    "0x10",
    "1j",
    "1 if 1 else 2",
    "__import__('os').system('true')",
    "().__class__",
    "٣+٤",
    "²",
    "1\u202e+2",
    "1\x002",
    "\ud800",
    "2^3",
    "(-2)**0.5",
    "1e400/3",
]

PYTHON = [
    "while True: pass",
    "while True: print('x' * 1000)",
    "print('x' * 10_000_000)",
    "for i in range(100_000): print(i)",
    "def f(): return f()\nf()",
    "def f(n): return g(n)\ndef g(n): return f(n)\nf(0)",
    "x = []\nfor i in range(100_000): x = [x]\nx",
    "x = (1,)\nfor i in range(60): x = (x, x)\nx",
    "x = (1,)\nfor i in range(60): x = (x, x)\nx == x",
    "x = []\nx.append(x)\nx",
    "'x' * 10**10",
    "[0] * 10**10",
    "x = [0]\nwhile True: x = x + x",
    "x = 'ab'\nwhile True: x += x",
    "{i: str(i) * 1000 for i in range(10**7)}",
    "list(range(10**9))",
    "sum(range(10**12))",
    "9**9**9",
    "10**1_000_000",
    "10**5000",
    "1 << 10**10",
    "int('9' * 10**6)",
    "import time\ntime.sleep(1000)",
    "import asyncio\nawait asyncio.sleep(1000)",
    "import re\nre.match('(a+)+$', 'a' * 40 + 'b')",
    "sorted(range(10**8))",
    "'a' in 'b' * 10**7 * 1000",
    "(" * 5_000 + ")" * 5_000,
    "-" * 9_000 + "1",
    "[" * 3_000 + "]" * 3_000,
    "+".join(["1"] * 4_000),
    "lambda: " * 1_000 + "1",
    "def",
    "\x00",
    "print('\u202e')\n'\\ud800'",
    "float('nan')",
    "raise SystemExit(0)",
    "raise KeyboardInterrupt",
    "raise BaseException('x' * 10**6)",
    "import sys\nsys.exit(1)",
    "import os\nos.environ",
    "import os\nos.system('touch {touched}')",
    "import subprocess\nsubprocess.run(['touch', '{touched}'])",
    "import ctypes",
    "import socket\nsocket.create_connection(('127.0.0.1', {port}))",
    "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:{port}').read()",
    "open('{secret}').read()",
    "open('{touched}', 'w').write('x')",
    "open('/etc/passwd').read()",
    "from pathlib import Path\nPath('{secret}').read_text()",
    "from pathlib import Path\nPath('{touched}').write_text('x')",
    "from pathlib import Path\nlist(Path('/').iterdir())",
    "__import__('os').system('touch {touched}')",
    "().__class__.__bases__[0].__subclasses__()",
    "print.__self__",
    'eval(\'__import__("os").listdir("/")\')',
    "exec('while True: pass')",
    "globals()",
    "input()",
    "breakpoint()",
    "class A:\n    def __repr__(self): return 'x' * 10**6\nA()",
    "class A:\n    def __repr__(self):\n        while True: pass\nA()",
    "def f():\n    while True: pass\nf",
    "print",
    "b'\\xff' * 1000",
    "...",
]


@pytest.fixture(scope="module")
def actions() -> Iterator[dict[str, Action]]:
    sandbox = PythonSandbox(seconds=0.5)
    yield {**build_actions(["canvas", "tools", "agents"]), "python": sandbox}
    sandbox.close()


@pytest.fixture
def session(actions: dict[str, Action]) -> Session:
    pixels_HWC = np.random.default_rng(0).integers(0, 256, (90, 130, 3)).astype(np.uint8)
    return Session(actions, State.of(Document((Part(Image(pixels_HWC)), Part("which?")))))


@pytest.fixture
def act(session: Session) -> Callable[[str, str], Document]:
    """Return a function that carries out one call and checks what must hold of every outcome."""

    def run(name: str, arguments: str) -> Document:
        before = [image.pixels_HWC.copy() for image in session.state.originals]
        started = time.monotonic()
        outcome = session.act(Call(name, arguments))
        document = outcome.result(timeout=SECONDS) if isinstance(outcome, Future) else outcome
        assert isinstance(document, Document)
        assert time.monotonic() - started < SECONDS
        assert len(document) <= 1 and all(part.author == "tool" and not part.learned for part in document)
        for part in document:
            assert isinstance(part.content, str | Image)
            if isinstance(part.content, str):
                assert len(part.content) <= LONGEST_TEXT
                part.content.encode()
            else:
                assert part.content.pixels_HWC.size <= before[0].size
        for image, pixels_HWC in zip(session.state.originals, before, strict=False):
            np.testing.assert_array_equal(image.pixels_HWC, pixels_HWC, "originals stay as they were")
        return document

    return run


def failed(document: Document) -> bool:
    return document.text().startswith("error: ") or "\nerror: " in document.text()


@pytest.mark.parametrize(
    "name", ["mark", "draw", "crop", "erase", "relate", "calculator", "python", "spawn", "", "no such", "ｍａｒｋ"]
)
def test_malformed_arguments(act: Callable[[str, str], Document], name: str) -> None:
    for text in MALFORMED:
        assert failed(act(name, text)), text[:50]


def test_canvas_abuse(act: Callable[[str, str], Document], session: Session) -> None:
    for name, text in CANVAS:
        act(name, text)
        act("erase", "{}")
    assert len(session.state.canvases) == len(session.state.originals) <= len(CANVAS)


def test_a_canvas_that_is_not_there(actions: dict[str, Action]) -> None:
    blind = Session(actions, State.of(Document((Part("which?"),))))
    for name, text in CANVAS:
        document = blind.act(Call(name, text))
        assert isinstance(document, Document) and failed(document), (name, text[:50])


def test_drawing_on_and_on_stays_within_bounds(act: Callable[[str, str], Document], session: Session) -> None:
    act("draw", '{"path": "R", "start": [1, 1]}')
    for _ in range(20):
        act("draw", json.dumps({"path": "R" * 200}))
    assert session.state.pen is not None and max(session.state.pen) <= 1_000


@pytest.mark.parametrize("side", [1, 15, 4_000])
def test_pictures_of_any_size_are_drawn_on(actions: dict[str, Action], side: int) -> None:
    pixels_HWC = np.full((side, 3, 3), 255, np.uint8)
    tall = Session(actions, State.of(Document((Part(Image(pixels_HWC)),))))
    started = time.monotonic()
    for name, text in CANVAS:
        assert isinstance(tall.act(Call(name, text)), Document)
    assert time.monotonic() - started < SECONDS


@pytest.mark.parametrize("expression", CALCULATOR, ids=lambda text: text[:20].encode("ascii", "replace").decode())
def test_expressions(act: Callable[[str, str], Document], expression: str) -> None:
    text = act("calculator", json.dumps({"expression": expression})).text()
    assert text and len(text) < 5_000


@pytest.mark.parametrize("program", PYTHON, ids=lambda text: ascii(text[:30]))
def test_programs(act: Callable[[str, str], Document], program: str, tmp_path: Path) -> None:
    secret, touched = tmp_path / "secret", tmp_path / "touched"
    secret.write_text("the password is swordfish")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        for name, value in (("secret", secret), ("touched", touched), ("port", server.getsockname()[1])):
            program = program.replace(f"{{{name}}}", str(value))
        text = act("python", json.dumps({"code": program})).text()
        with pytest.raises(BlockingIOError):
            server.accept()
    assert len(text) < 2_600
    assert "swordfish" not in text and "root:" not in text
    assert not touched.exists()
    assert act("python", '["1 + 1"]').text() == "2", "the next program runs as if nothing had been"


class Watch:
    """Notes what this thread does to files, network and processes while it is on."""

    def __init__(self) -> None:
        self.thread: int | None = None
        self.seen: list[tuple[str, Any]] = []

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if threading.get_ident() == self.thread and event.partition(".")[0] in (
            "open", "os", "socket", "subprocess", "shutil", "tempfile",
        ):  # fmt: skip
            self.seen.append((event, arguments))


def test_canvas_and_calculator_touch_neither_files_nor_network(act: Callable[[str, str], Document]) -> None:
    watch = Watch()
    sys.addaudithook(watch)  # for good, but it looks away as soon as it is off
    calls = [*CANVAS, *(("calculator", json.dumps([expression])) for expression in CALCULATOR)]
    for name, text in calls:  # what is imported or loaded once is not what a call does
        act(name, text)
    watch.thread = threading.get_ident()
    try:
        for name, text in calls:
            act(name, text)
    finally:
        watch.thread = None
    assert watch.seen == []
