"""The tools of MCP servers as actions: real servers, over pipes and over HTTP, and what happens when they fail."""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest

from castalia.actions.action import Outcome, Session, State
from castalia.actions.canvas import Crop, Mark
from castalia.actions.mcp import MOST_TOOLS, ToolServer
from castalia.document import Call, Document, Image
from castalia.errors import ActionError

pytest.importorskip("mcp")

SHELF = [sys.executable, str(Path(__file__).with_name("mcp_server.py"))]
ROGUE = [sys.executable, str(Path(__file__).with_name("mcp_rogue.py"))]


@pytest.fixture(scope="module")
def shelf() -> Iterator[ToolServer]:
    with ToolServer(SHELF, environment={"CASTALIA_GIVEN": "1"}) as server:
        yield server


@pytest.fixture
def session(shelf: ToolServer) -> Session:
    return Session({**shelf.actions, "mark": Mark(), "crop": Crop()}, State())


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill what ignores that its input is closed, and SIGTERM, sooner than after the SDK's 2 + 2 seconds."""
    monkeypatch.setattr("mcp.client.stdio.PROCESS_TERMINATION_TIMEOUT", 0.1)
    monkeypatch.setattr("mcp.client.stdio.FORCE_KILL_TIMEOUT", 0.1)


def said(outcome: Outcome) -> Document:
    document = outcome.result(timeout=20) if isinstance(outcome, Future) else outcome
    assert isinstance(document, Document) and all(part.author == "tool" and not part.learned for part in document)
    return document


def act(session: Session, name: str, arguments: str = "{}") -> Document:
    return said(session.act(Call(name, arguments)))


def go(server: ToolServer) -> str:
    """Return what the one tool of a rogue answers: its process id, if all is well."""
    return act(Session(server.actions, State()), "go").text()


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds()


def gone(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_tools_are_listed_with_their_grammar(shelf: ToolServer) -> None:
    add = shelf.actions["add"]
    assert add.about == "Add two numbers. The second is one if it is not given."
    assert [(parameter.name, parameter.required) for parameter in add.parameters] == [
        ("a", True),
        ("b", False),
        ("note", False),
    ]
    assert add.parameters[0].schema["type"] == "integer"
    assert [parameter.default for parameter in add.parameters[1:]] == [1, "none"]
    place = shelf.actions["at"].parameters[0].schema
    assert place["$ref"] == "#/$defs/Place" and "row" in place["$defs"]["Place"]["properties"]
    assert "two_words" in shelf.actions and "two words" not in shelf.actions, "a call's name ends at the first space"


@pytest.mark.parametrize(
    ("name", "arguments", "answer"),
    [
        ("add", '{"a": 2, "b": 3, "note": "so"}', "5 (so)"),
        ("add", "[2]", "3 (none)"),
        ("add", '{"a": 2, "b": null, "note": "é ✓ \\ud83d\\ude00"}', "3 (é ✓ 😀)"),
        ("add", '{"a": 2, "note": "\\ud83d"}', "3 (?)"),
        ("at", '{"place": {"row": 4, "column": 7}}', "4, 7"),
        ("two_words", "{}", "found"),
        ("structured", "{}", '{"größe": [1, 2]}'),
        ("mixed", "{}", "(audio left out) (book: file:///b.txt) inside"),
        ("variables", "{}", "CASTALIA_GIVEN"),
    ],
)
def test_a_call_returns_what_the_server_says(session: Session, name: str, arguments: str, answer: str) -> None:
    assert act(session, name, arguments).text() == answer


def test_a_server_sees_only_the_variables_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASTALIA_SECRET", "swordfish")
    with ToolServer(SHELF, prefix="my ") as server:
        assert act(Session(server.actions, State()), "my_variables").text() == ""


def test_pictures_become_canvases(session: Session) -> None:
    text, picture = act(session, "draw", '{"width": 40, "height": 30, "colour": "#ff000080"}')
    assert text.content == "drawn:" and isinstance(picture.content, Image)
    assert picture.content.pixels_HWC.shape == (30, 40, 3)
    np.testing.assert_array_equal(picture.content.pixels_HWC[0, 0], [255, 127, 127], "half red on white")
    changed = act(session, "mark", '{"at": [0, 0, 1, 1]}').parts[0].content
    assert isinstance(changed, Image) and changed.since is picture.content
    closer = act(session, "crop", '{"box": [0, 0, 1, 1]}').parts[0].content
    assert isinstance(closer, Image) and closer.pixels_HWC.shape == (16, 16, 3) and len(session.state.canvases) == 2


@pytest.mark.parametrize(
    ("arguments", "pictures", "left_out"),
    [
        ('{"width": 1, "height": 1, "count": 7}', 4, "drawn:" + " (image left out)" * 3),
        ('{"width": 3000, "height": 3000, "count": 2}', 1, "drawn: (a picture of 3000 × 3000 pixels left out)"),
        ('{"width": 20001, "height": 1}', 0, "drawn: (a picture of 20001 × 1 pixels left out)"),
    ],
)
def test_too_many_pictures_are_left_out(session: Session, arguments: str, pictures: int, left_out: str) -> None:
    document = act(session, "draw", arguments)
    assert document.text() == left_out
    assert sum(isinstance(part.content, Image) for part in document) == len(session.state.originals) == pictures


def test_pictures_are_refused_when_there_is_no_room(session: Session) -> None:
    session.state.allowance.pixels = 100
    assert act(session, "draw", '{"width": 9, "height": 9}').text() == "drawn:"
    document = act(session, "draw", '{"width": 9, "height": 9}')
    assert document.text() == "error: 81 pixels are too many: pictures may add 19 more"
    assert len(session.state.canvases) == 1


def test_what_only_claims_to_be_a_picture_is_left_out(session: Session) -> None:
    assert act(session, "spoiled").text() == " ".join(["(a picture that cannot be read left out)"] * 3)


@pytest.mark.parametrize(
    ("arguments", "characters"),
    [
        ('{"characters": 1000000}', 302),
        ('{"characters": 200, "parts": 50}', 303),
        ('{"characters": 1, "parts": 1000}', 599),
        ('{"characters": 0, "parts": 1000}', 0),
    ],
)
def test_no_more_is_kept_than_may_be(
    shelf: ToolServer, session: Session, monkeypatch: pytest.MonkeyPatch, arguments: str, characters: int
) -> None:
    monkeypatch.setattr(shelf, "output", 300)
    document = act(session, "flood", arguments)
    assert len(document.text()) == characters and len(document) <= 300


def test_a_tool_that_fails_tells_the_model_why(session: Session) -> None:
    before = act(session, "pid").text()
    text = act(session, "broken").text()
    assert text.startswith("error:") and "the shelf is empty" in text
    assert act(session, "pid").text() == before, "its server goes on"


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("add", "{}", "error: add needs a"),
        ("add", '{"a": "x"}', "error: a of add must be of type integer"),
        ("add", '{"a": 1, "c": 2}', "error: add has no argument 'c': there are: a, b, note"),
        ("add", "[1, 2, 3, 4]", "error: add takes at most 3 arguments, got 4"),
        ("add", '{"a": 1', "error: the arguments of add are not JSON"),
        ("at", '{"place": {"row": "here"}}', "validation error"),  # a schema we do not read is for the server to check
        ("ad", '{"a": 1}', "error: there is no action 'ad': did you mean 'add'?"),
    ],
)
def test_wrong_arguments_are_told(session: Session, name: str, arguments: str, error: str) -> None:
    text = act(session, name, arguments).text()
    assert text.startswith("error:") and error in text


def test_a_tool_that_hangs_is_ended_in_time(
    shelf: ToolServer, session: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = act(session, "pid").text()
    monkeypatch.setattr(shelf, "seconds", 0.3)
    started = time.monotonic()
    text = act(session, "slow", f'{{"seconds": 60, "path": "{tmp_path / "note"}"}}').text()
    assert text == "error: slow failed: no answer within 0.3 seconds"
    assert time.monotonic() - started < 2
    assert within(2, (tmp_path / "note").exists), "the tool is told that nobody waits any more"
    assert act(session, "pid").text() == before, "its server goes on"


def test_calls_run_side_by_side(session: Session) -> None:
    started = time.monotonic()
    outcomes = [session.act(Call("slow", '{"seconds": 0.5}')) for _ in range(8)]
    assert [said(outcome).text() for outcome in outcomes] == ["done"] * 8
    assert time.monotonic() - started < 2.5


def test_a_call_that_is_cancelled_reaches_the_server(session: Session, tmp_path: Path) -> None:
    outcome = session.act(Call("slow", f'{{"seconds": 60, "path": "{tmp_path / "note"}"}}'))
    assert isinstance(outcome, Future)
    time.sleep(0.1)
    outcome.cancel()
    assert within(2, (tmp_path / "note").exists)


def test_a_server_that_dies_is_started_again(session: Session) -> None:
    before = act(session, "pid").text()
    assert act(session, "die").text() == "error: die failed: Connection closed"
    after = act(session, "pid").text()
    assert after.isdigit() and after != before and gone(int(before))


def test_a_server_that_is_killed_answers_nobody_and_is_started_again(session: Session) -> None:
    before = int(act(session, "pid").text())
    outcomes = [session.act(Call("slow", '{"seconds": 60}')) for _ in range(3)]
    time.sleep(0.1)
    os.kill(before, signal.SIGKILL)
    assert [said(outcome).text() for outcome in outcomes] == ["error: slow failed: Connection closed"] * 3
    assert int(act(session, "pid").text()) != before


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("mode", ["stuck", "endless"])
def test_a_server_that_no_longer_answers_is_killed(mode: str, tmp_path: Path) -> None:
    with ToolServer([*ROGUE, mode, str(tmp_path / "pid")]) as server:
        before = int((tmp_path / "pid").read_text())
        server.seconds = 0.4
        started = time.monotonic()
        assert go(server) == "error: go failed: no answer within 0.4 seconds"
        assert within(2, lambda: gone(before)), "not even at work on what nobody waits for"
        server.seconds = 5
        assert act(Session(server.actions, State()), "go", "[1]").text().startswith("error: go takes at most 0")
        assert time.monotonic() - started < 3
    assert gone(int((tmp_path / "pid").read_text()))


def test_one_that_breaks_off_its_answer_is_started_again(tmp_path: Path) -> None:
    with ToolServer([*ROGUE, "half", str(tmp_path / "pid")]) as server:
        before = (tmp_path / "pid").read_text()
        assert go(server) == go(server) == "error: go failed: Connection closed"
        assert (tmp_path / "pid").read_text() != before


def test_a_server_that_cannot_be_started_again_is_tried_at_every_call(tmp_path: Path) -> None:
    program = tmp_path / "server.py"
    program.write_text(Path(ROGUE[1]).read_text())
    with ToolServer([sys.executable, str(program), "good"]) as server:
        before = go(server)
        os.kill(int(before), signal.SIGKILL)
        assert go(server) == "error: go failed: Connection closed"
        hidden = program.rename(tmp_path / "hidden.py")
        assert go(server) == go(server) == "error: go failed: Connection closed"
        hidden.rename(program)
        assert go(server) not in ("", before)


@pytest.mark.parametrize("mode", ["garbage", "null", "true", "bounds"])
def test_oddities_are_borne(mode: str) -> None:
    with ToolServer([*ROGUE, mode]) as server:
        assert go(server).isdigit()
        outcome = Session(server.actions, State()).act(Call("go", '{"a": 1}'))
        assert said(outcome).text().startswith("error: ") or mode == "true"


def test_an_answer_without_shape_is_an_error() -> None:
    with ToolServer([*ROGUE, "shapeless"]) as server:
        assert go(server).startswith("error: go failed: ")


def test_a_list_of_tools_that_does_not_end_is_cut() -> None:
    with ToolServer([*ROGUE, "pages"]) as server:
        assert len(server.actions) == MOST_TOOLS


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("castalia-no-such-command --now", "No such file or directory: 'castalia-no-such-command'"),
        (str(Path(__file__)), "Permission denied"),
        ("false", "Connection closed"),
        ("sh -c 'exit 3'", "Connection closed"),
        ("echo 'no JSON", "No closing quotation"),
        ("", "a tool server is given by a URL, or by a command that starts it"),
        ([], "a tool server is given by a URL, or by a command that starts it"),
        ("http://127.0.0.1:1/mcp", "connection"),
        ("http://", "protocol"),
        (shlex.join([*ROGUE, "spoiled"]), "validation error"),
    ],
)
def test_what_is_no_server_gives_one_clear_error(address: str | list[str], message: str) -> None:
    threads = threading.active_count()
    with pytest.raises(ActionError, match=f"(?i){message}"):
        ToolServer(address, seconds=5)
    assert threading.active_count() == threads


@pytest.mark.usefixtures("impatient")
def test_a_server_that_says_nothing_is_given_up_and_killed(tmp_path: Path) -> None:
    with pytest.raises(ActionError, match=r"no tools from .* silent .*: no answer within 0\.5 seconds"):
        ToolServer([*ROGUE, "silent", str(tmp_path / "pid")], seconds=0.5)
    assert gone(int((tmp_path / "pid").read_text()))


def test_closing_leaves_no_process_and_no_call_behind(tmp_path: Path) -> None:
    server = ToolServer(SHELF)
    session = Session(server.actions, State())
    pid = int(act(session, "pid").text())
    outcome = session.act(Call("slow", '{"seconds": 60}'))
    server.close()
    assert gone(pid)
    assert said(outcome).text() == "error: slow failed: Connection closed"
    assert act(session, "add", "[1]").text() == f"error: the tool server {shlex.join(SHELF)} is closed"
    server.close()


@pytest.mark.usefixtures("impatient")
def test_closing_kills_a_server_that_is_stuck(tmp_path: Path) -> None:
    with ToolServer([*ROGUE, "stuck", str(tmp_path / "pid")]) as server:
        outcome = Session(server.actions, State()).act(Call("go"))
        time.sleep(0.1)
    assert gone(int((tmp_path / "pid").read_text()))
    assert said(outcome).text() == "error: go failed: Connection closed"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Return where a server is on this machine's loopback."""
    with subprocess.Popen([*SHELF, "--http"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/mcp"
        process.kill()


def test_over_http_all_is_the_same(address: str, shelf: ToolServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with ToolServer(address, headers={"Authorization": "Bearer key"}, prefix="far_") as server:
        assert [*server.actions] == [f"far_{name}" for name in shelf.actions]
        session = Session(server.actions, State())
        assert act(session, "far_add", '{"a": 2}').text() == "3 (none)"
        assert act(session, "far_header").text() == "Bearer key", "headers go with every request"
        assert "the shelf is empty" in act(session, "far_broken").text()
        assert isinstance(act(session, "far_draw", '{"width": 3, "height": 3}').parts[1].content, Image)
        monkeypatch.setattr(server, "seconds", 0.3)
        assert act(session, "far_slow", "[60]").text() == "error: slow failed: no answer within 0.3 seconds"
        pid = int(act(session, "far_pid").text())
    assert not gone(pid), "a server elsewhere is nobody's to end"


def test_an_answer_over_http_has_a_limit(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("castalia.actions.mcp.MOST_BYTES", 10_000)
    with ToolServer(address) as server:
        session = Session(server.actions, State())
        assert act(session, "flood", '{"characters": 100000}').text().endswith("the answer has more than 10,000 bytes")
        assert act(session, "add", "[1]").text() == "2 (none)"


def test_a_server_elsewhere_that_dies_is_told(address: str) -> None:
    with ToolServer(address, seconds=2) as server:
        session = Session(server.actions, State())
        pid = int(act(session, "pid").text())
        started = time.monotonic()
        assert act(session, "die").text().startswith("error: die failed: ")
        assert act(session, "add", "[1]").text().startswith("error: add failed: ")
        assert time.monotonic() - started < 3
    assert within(2, lambda: gone(pid))
