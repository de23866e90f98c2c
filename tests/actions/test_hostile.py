"""Whatever is written as a call comes back as a document, in time, of bounded size; nothing outside is touched."""

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from castalia.actions.action import Action, Branches, Outcome, Session, State
from castalia.actions.catalog import build_actions
from castalia.actions.mcp import ToolServer
from castalia.actions.tools import PythonSandbox
from castalia.document import Call, Document, Image, Part

Guarded = Callable[..., AbstractContextManager[int]]

LONGEST_TEXT = 11_000
MOST_PIXELS = 16_000_000
MOST_MEMORY = 300
"""By how much the process may grow at a call, in MB."""
SECONDS = 20
"""A program may take half of one here, a server two and its start again; the rest is for slow machines."""

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
    "a" * 10_000_000,
    '["' + "a" * 10_000_000 + '"]',
    '{"' + "a" * 90_000 + '": 1}',
    "[" + ",".join(["0"] * 10_000) + "]",
    json.dumps([[[[[[[[[[[]]]]]]]]]]] * 500),
]
NAMES = ["mark", "draw", "crop", "erase", "relate", "calculator", "python", "spawn", "add"]
ABSENT = ["", "no such", "ｍａｒｋ", "\ud800", "__init__", "a" * 10_000_000]

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
    "10**10**8",
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
    "import os\nwhile True: os.fork()",
    "import threading\nwhile True: threading.Thread(target=print).start()",
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

SPAWN = [
    '{"briefs": []}',
    '{"briefs": "look"}',
    '{"briefs": [["look"]]}',
    '{"briefs": [null]}',
    '{"briefs": {"0": "look"}}',
    '{"briefs": 1e308}',
    '{"briefs": ["look", 1]}',
    '{"briefs": ["\\ud800", "\\u0000", "\u202e"]}',
    '{"briefs": [""]}',
    *(json.dumps({"briefs": ["look"] * count}) for count in (1, 16, 17, 64, 65, 10_000, 10**6)),
    *(json.dumps({"briefs": ["a" * length]}) for length in (500, 501, 90_000, 10**7)),
    json.dumps({"briefs": ["a" * 500] * 64}),
    '{"briefs": ["<|call|>spawn {\\"briefs\\": [\\"look\\"]}<|/call|>"]}',
    '{"briefs": ["look"], "tokens": 1000000, "depth": 9}',
]

MCP = [
    ("add", '{"a": ' + "9" * 300 + "}"),
    ("add", '{"a": ' + "9" * 400 + "}"),
    ("add", '{"a": 1, "b": 1e999}'),
    ("add", '{"a": true}'),
    ("add", '{"a": 1, "note": "\\u0000\\n\\r\\u2028{\\"id\\": 1}\\n"}'),
    ("add", json.dumps({"a": 1, "note": "a" * 10_000})),
    ("add", json.dumps({"a": 1, "note": ["a"] * 10_000})),
    ("at", '{"place": ' + '{"row": ' * 200 + "1" + "}" * 200 + "}"),
    ("at", '{"place": ' + '{"row": ' * 900 + "1" + "}" * 900 + "}"),
    ("at", '{"place": {"row": 1, "column": 2, "\\ud800": 3}}'),
    ("at", '{"place": "file://{secret}"}'),
    ("paint", '{"width": -1, "height": 0}'),
    ("paint", '{"width": 1, "height": 16000000}'),
    ("paint", '{"width": 4000, "height": 4000, "count": 4}'),
    ("paint", '{"width": 1, "height": 1, "count": 10000}'),
    ("spoiled", "{}"),
    ("flood", '{"characters": 3000000}'),
    ("flood", '{"characters": 30000000}'),
    ("flood", '{"characters": 0, "parts": 20000}'),
    ("flood", '{"characters": 1, "parts": 20000}'),
    ("slow", '{"seconds": 1e300}'),
    ("slow", '{"seconds": -1, "path": ""}'),
    ("broken", "{}"),
    ("add", '{"a": 1, "note": "\\ud800"}'),
    ("die", "{}"),
]

HOSTILE = [
    *((name, text) for name in (*NAMES, *ABSENT) for text in MALFORMED),
    *CANVAS,
    *(("calculator", json.dumps({"expression": expression})) for expression in CALCULATOR),
    *(("python", json.dumps({"code": program})) for program in PYTHON),
    *(("spawn", text) for text in SPAWN),
    *MCP,
]


@pytest.fixture(scope="module")
def actions() -> Iterator[dict[str, Action]]:
    server = Path(__file__).with_name("mcp_server.py")
    sandbox = PythonSandbox(seconds=0.5)
    with ToolServer([sys.executable, str(server)]) as tools:
        tools.seconds = 2  # it may take longer to start at first
        actions = {**tools.actions, **build_actions(["canvas", "tools", "agents"]), "python": sandbox}
        yield actions | {"paint": tools.actions["draw"]}
    sandbox.close()


def picture(height: int, width: int) -> Document:
    pixels_HWC = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    return Document((Part(Image(pixels_HWC)), Part("which?")))


@pytest.fixture
def session(actions: dict[str, Action]) -> Session:
    session = Session(actions, State.of(picture(90, 130)))
    for name, text in (("mark", '[[1, 1], "A"]'), ("calculator", '["1/3"]'), ("python", '["1 +"]'), ("erase", "{}")):
        settled(session.act(Call(name, text)))  # what is imported or loaded once is not what a call does
    return session


def settled(outcome: Outcome) -> Document | Branches:
    return outcome.result(timeout=SECONDS) if isinstance(outcome, Future) else outcome


@pytest.fixture
def act(session: Session, guarded: Guarded, tmp_path: Path) -> Callable[[str, str], Document | Branches]:
    """Return a function that carries out one call and checks what must hold of every outcome."""
    (tmp_path / "secret").write_text("the password is swordfish")
    originals = session.state.originals.copy()
    pixels_HWC = originals[0].pixels_HWC.copy()

    def run(name: str, arguments: str) -> Document | Branches:
        allowed, started = session.state.allowance.agents, time.monotonic()
        with guarded(MOST_MEMORY, watched=(name, arguments) not in MCP) as port:  # a server is a process of its own
            for key, value in (("secret", tmp_path / "secret"), ("touched", tmp_path / "touched"), ("port", port)):
                arguments = arguments.replace(f"{{{key}}}", str(value))
            outcome = settled(session.act(Call(name, arguments)))
        assert time.monotonic() - started < SECONDS
        assert os.listdir(tmp_path) == ["secret"]
        assert all(old is new for old, new in zip(originals, session.state.originals, strict=False))
        np.testing.assert_array_equal(pixels_HWC, originals[0].pixels_HWC, "originals stay as they were")
        if isinstance(outcome, Branches):
            assert 1 <= len(outcome.briefs) == allowed - session.state.allowance.agents <= allowed
            assert all(len(brief.text()) <= 500 for brief in outcome.briefs) and outcome.tokens <= 128
            return outcome
        assert isinstance(outcome, Document) and len(outcome) <= LONGEST_TEXT
        assert all(part.author == "tool" and not part.learned for part in outcome)
        images = [part.content for part in outcome if isinstance(part.content, Image)]
        texts = [part.content for part in outcome if isinstance(part.content, str)]
        assert len(images) + len(texts) == len(outcome)
        assert sum(image.height * image.width for image in images) <= MOST_PIXELS
        assert len("".join(texts).encode()) <= LONGEST_TEXT
        assert "swordfish" not in outcome.text() and "root:" not in outcome.text()
        return outcome

    return run


def failed(outcome: Document | Branches) -> bool:
    return isinstance(outcome, Document) and re.search(r"(^|\n)error: ", outcome.text()) is not None


@pytest.mark.parametrize(("name", "arguments"), HOSTILE, ids=lambda text: ascii(text[:24])[1:-1])
def test_no_argument_escapes(act: Callable[[str, str], Any], session: Session, name: str, arguments: str) -> None:
    outcome = act(name, arguments)
    assert failed(outcome) or (name not in ABSENT and arguments not in MALFORMED)
    if name == "python":
        assert act("python", '["1 + 1"]').text() == "2", "the next program runs as if nothing had been"
    if (name, arguments) in MCP:
        answers = (settled(session.act(Call("add", "[1]"))) for _ in range(5))
        assert any(not failed(answer) for answer in answers), "the server goes on, or was started again"


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


@pytest.mark.parametrize("size", [(1, 1), (15, 3), (3, 20_000), (1, 2_000_000), (2_000_000, 1)])
def test_pictures_of_any_size_are_drawn_on(actions: dict[str, Action], size: tuple[int, int]) -> None:
    odd = Session(actions, State.of(picture(*size)))
    started = time.monotonic()
    for name, text in CANVAS:
        assert isinstance(odd.act(Call(name, text)), Document)
    assert time.monotonic() - started < SECONDS
