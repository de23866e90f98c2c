"""Tools of real MCP servers: processes over stdio and HTTP, which answer, fail, hang, flood and die."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from castalia.actions.action import Session, State
from castalia.actions.mcp import MOST_PICTURES, ToolServer
from castalia.document import Call, Document, Image
from castalia.errors import ActionError

SERVER = Path(__file__).with_name("mcp_server.py")
COMMAND = (sys.executable, str(SERVER))


def children() -> set[str]:
    """Return the processes that this one has started and that still are."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue
        state, parent = rest.split()[:2]
        if parent == str(os.getpid()) and state != "Z":
            found.add(name.partition(" ")[0])
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[ToolServer]:
    with ToolServer(COMMAND, seconds=10, output=500, environment={"CASTALIA_KEY": "1"}) as server:
        yield server


def carried_out(server: ToolServer, name: str, arguments: str = "{}", state: State | None = None) -> Document:
    outcome = Session(server.actions, state or State()).act(Call(name, arguments))
    document = outcome.result(timeout=20) if isinstance(outcome, Future) else outcome
    assert isinstance(document, Document)
    return document


def test_every_tool_is_an_action_with_the_arguments_of_its_schema(server: ToolServer) -> None:
    add = server.actions["add"]
    assert add.about == "Add two numbers. The second is one if it is not given."
    assert [(p.name, p.required, p.default) for p in add.parameters] == [
        ("a", True, ...), ("b", False, 1), ("note", False, "none"),
    ]  # fmt: skip
    assert "two_words" in server.actions, "a call's name is one word"
    assert carried_out(server, "two_words").text() == "found"


def test_a_tool_answers_to_arguments_by_name_and_in_order(server: ToolServer) -> None:
    assert carried_out(server, "add", '{"a": 2, "b": 3}').text() == "5 (none)"
    assert carried_out(server, "add", "[2]").text() == "3 (none)"
    assert carried_out(server, "at", '{"place": {"row": 1, "column": 2}}').text() == "1, 2"
    assert carried_out(server, "structured").text() == '{"größe": [1, 2]}'


@pytest.mark.parametrize("arguments", ["{}", '{"a": "two"}', '{"c": 1}', "[1, 2, 3, 4]", "{", '{"a": 1e999}'])
def test_wrong_arguments_are_said_to_the_model(server: ToolServer, arguments: str) -> None:
    assert carried_out(server, "add", arguments).text().startswith("error")


def test_pictures_become_canvases_and_too_many_are_left_out(server: ToolServer) -> None:
    state = State()
    document = carried_out(server, "draw", '{"width": 8, "height": 5, "count": 6}', state)
    pictures = [part.content for part in document if isinstance(part.content, Image)]
    assert [(p.width, p.height) for p in pictures] == [(8, 5)] * MOST_PICTURES
    assert state.canvases == state.originals == pictures
    spoiled = carried_out(server, "spoiled", state=state)
    assert not any(isinstance(part.content, Image) for part in spoiled) and "left out" in spoiled.text()


def test_what_is_neither_text_nor_picture_is_named(server: ToolServer) -> None:
    assert carried_out(server, "mixed").text() == "(audio left out) (book: file:///b.txt) inside"


def test_a_failure_reaches_the_model_as_its_server_words_it(server: ToolServer) -> None:
    assert carried_out(server, "broken").text() == "error: Error executing tool broken"


@pytest.mark.parametrize("arguments", ['{"characters": 100000}', '{"characters": 300, "parts": 50}'])
def test_a_flood_is_cut_at_the_limit(server: ToolServer, arguments: str) -> None:
    assert len(carried_out(server, "flood", arguments).text()) < 520


def test_a_server_sees_no_variables_but_those_it_is_given(server: ToolServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert carried_out(server, "variables").text() == "CASTALIA_KEY"


def test_a_tool_that_hangs_is_cancelled_and_the_next_call_is_answered(tmp_path: Path) -> None:
    mark = tmp_path / "cancelled"
    with ToolServer(COMMAND, seconds=2) as server:
        assert "no answer within 2 seconds" in carried_out(server, "slow", f'[60, "{mark}"]').text()
        assert carried_out(server, "add", "[1]").text() == "2 (none)"
        until = time.monotonic() + 5
        while not mark.exists() and time.monotonic() < until:
            time.sleep(0.05)
        assert mark.read_text() == "cancelled"


def test_a_server_that_dies_is_an_error_to_every_call_and_closes_without_a_trace() -> None:
    before = children()
    with ToolServer(COMMAND, seconds=5) as server:
        assert children() - before, "there is a process of its own"
        assert carried_out(server, "die").text().startswith("error")
        assert carried_out(server, "add", "[1]").text().startswith("error")
    assert children() == before


def test_closing_ends_what_is_under_way_and_leaves_no_process() -> None:
    before = children()
    server = ToolServer(COMMAND, seconds=30)
    outcome = Session(server.actions, State()).act(Call("slow", "[60]"))
    assert isinstance(outcome, Future)
    server.close()
    assert outcome.result(timeout=5).text().startswith("error")
    assert carried_out(server, "add", "[1]").text().startswith("error: the tool server")
    assert children() == before
    server.close()


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (("/nowhere/to/be/found",), "no tools from /nowhere/to/be/found"),
        ((*COMMAND, "--silent"), "no answer within 1.5 seconds"),
        ("http://127.0.0.1:9/mcp", "no tools from http://127.0.0.1:9/mcp"),
    ],
    ids=["no such program", "a silent one", "nobody listens"],
)
def test_a_server_that_cannot_be_had_is_one_clear_error(address: str | tuple[str, ...], reason: str) -> None:
    before = children()
    with pytest.raises(ActionError, match=reason):
        ToolServer(address, seconds=1.5)
    assert children() == before


def test_a_server_over_http_gets_the_headers() -> None:
    process = subprocess.Popen([*COMMAND, "--http"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        address, key = f"http://127.0.0.1:{port}/mcp", {"Authorization": "Bearer k"}
        with ToolServer(address, headers=key, seconds=10, prefix="shelf.") as server:
            assert carried_out(server, "shelf.add", "[4]").text() == "5 (none)"
            assert carried_out(server, "shelf.header").text() == "Bearer k"
            process.kill()
            process.wait()
            assert carried_out(server, "shelf.add", "[4]").text().startswith("error")
    finally:
        process.kill()
        process.wait()
