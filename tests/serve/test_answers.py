"""How each API tells what comes back: here from a service that says what a test wants, piece by piece."""

import http.client
import json
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import sqlalchemy

from castalia.document import Call, Document, Part
from castalia.serve.access import create_key
from castalia.serve.database import Usage as Recorded
from castalia.serve.database import open_database
from castalia.serve.service.job import Job, Update
from castalia.serve.service.pieces import Acted, Done, Piece, Seen, Token, Words
from castalia.serve.service.usage import Usage

NAME = "get_weather"
CALL, CODE = Call(NAME, '{"city": "Rome"}'), Call("python", '["print(6*7)"]')
SEEN = Seen(Document((Part("42", "tool"),)))
END = Done("end", "", Usage(5, 0, 3))
CHAT: dict[str, Any] = {"model": "small", "messages": [{"role": "user", "content": "a"}]}
RESPONSES: dict[str, Any] = {"model": "small", "input": "a"}
BODIES = {"/v1/chat/completions": CHAT, "/v1/responses": RESPONSES, "/v1/messages": CHAT | {"max_tokens": 9}}
CHAT_TOOLS = {"tools": [{"type": "function", "function": {"name": NAME}}]}
RESPONSES_TOOLS = {"tools": [{"type": "function", "name": NAME}]}
MESSAGES_TOOLS = {"tools": [{"name": NAME}]}


class Scripted:
    """A service of a model called small, that says the same to everybody; what is an error is raised."""

    models, gauges, is_alive = ("small",), {}, True

    def __init__(self, *script: Piece | Exception) -> None:
        self.script = script

    async def updates(self, job: Job) -> AsyncGenerator[list[Update]]:
        for piece in self.script:
            if isinstance(piece, Exception):
                raise piece
            yield [Update(0, piece)]

    async def count(self, job: Job) -> int:
        return 1

    def close(self) -> None:
        pass


Ask = Callable[..., httpx.Response]


@pytest.fixture
def ask(start: Callable[..., str]) -> Ask:
    """Return a function that asks a service of a script over one API."""

    def asked(path: str, *script: Piece | Exception, **more: Any) -> httpx.Response:
        return httpx.post(start(Scripted(*script)) + path, json=BODIES[path] | more, timeout=60)

    return asked


def events(response: httpx.Response) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def test_who_is_to_call_is_told_so_also_after_words(ask: Ask) -> None:
    script = (Words("answer", "hello "), Acted(CALL, 0, thought=False), END)
    said = ask("/v1/chat/completions", *script, **CHAT_TOOLS).json()["choices"][0]
    assert said["finish_reason"] == "tool_calls"
    assert said["message"]["content"] == "hello " and len(said["message"]["tool_calls"]) == 1
    chunks = events(ask("/v1/chat/completions", *script, **CHAT_TOOLS, stream=True))
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    message = ask("/v1/messages", *script, **MESSAGES_TOOLS).json()
    assert message["stop_reason"] == "tool_use"
    assert [block["type"] for block in message["content"]] == ["text", "tool_use"]
    cut = (*script[:2], Done("length", "hello", Usage()))
    assert ask("/v1/chat/completions", *cut, **CHAT_TOOLS).json()["choices"][0]["finish_reason"] == "length"
    assert ask("/v1/messages", *cut, **MESSAGES_TOOLS).json()["stop_reason"] == "max_tokens"


HERE = (Acted(CODE, 0, thought=False), SEEN, Words("answer", "42"), END)
"""A call outside thoughts that was carried out here."""


@pytest.mark.parametrize("tools", [{}, CHAT_TOOLS, CHAT_TOOLS | {"tool_choice": "none"}])
def test_what_was_carried_out_here_is_no_call_of_the_clients_in_chat(ask: Ask, tools: dict[str, Any]) -> None:
    said = ask("/v1/chat/completions", *HERE, **tools).json()["choices"][0]
    assert said["finish_reason"] == "stop" and "tool_calls" not in said["message"]
    assert said["message"]["content"] == "42"
    deltas = [chunk["choices"][0]["delta"] for chunk in events(ask("/v1/chat/completions", *HERE, stream=True))]
    assert not any("tool_calls" in delta for delta in deltas)


def test_what_was_carried_out_here_is_no_call_of_the_clients_elsewhere(ask: Ask) -> None:
    message = ask("/v1/messages", *HERE, **MESSAGES_TOOLS).json()
    assert message["stop_reason"] == "end_turn"
    assert [block["type"] for block in message["content"]] == ["text"]
    response = ask("/v1/responses", *HERE, **RESPONSES_TOOLS).json()
    assert [item["type"] for item in response["output"]] == ["message"]
    code = ask("/v1/responses", *HERE, tools=[{"type": "code_interpreter"}]).json()
    assert [item["type"] for item in code["output"]] == ["code_interpreter_call", "message"]
    assert code["output"][0]["outputs"] == [{"type": "logs", "logs": "42"}]


def test_who_forbids_calls_is_told_of_none(ask: Ask) -> None:
    script = (Acted(CALL, 0, thought=False), END)
    said = ask("/v1/chat/completions", *script, **CHAT_TOOLS, tool_choice="none").json()["choices"][0]
    assert said["finish_reason"] == "stop" and "tool_calls" not in said["message"]


def test_a_call_beside_one_that_was_carried_out_here_has_the_first_number(ask: Ask) -> None:
    script = (Acted(CODE, 0, thought=False), SEEN, Acted(CALL, 1, thought=False), END)
    chunks = events(ask("/v1/chat/completions", *script, **CHAT_TOOLS, stream=True))
    calls = [call for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls", ())]
    assert [(call["index"], call["function"]["name"]) for call in calls] == [(0, NAME)]


@pytest.mark.parametrize("path", list(BODIES))
def test_a_defect_in_the_middle_of_a_stream_is_told_in_it(
    start: Callable[..., str], path: str, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    kept = open_database(f"sqlite:///{tmp_path / 'keys.db'}")
    address = start(Scripted(Words("answer", "hello"), RuntimeError("a secret")), kept, open_to_all=False)
    headers = {"X-Api-Key": create_key(kept, "alice").secret}
    said = httpx.post(address + path, json=BODIES[path] | {"stream": True}, headers=headers, timeout=60)
    last = events(said)[-1]
    assert (last if path == "/v1/responses" else last["error"])["message"].startswith("something went wrong here")
    assert "secret" not in said.text and "RuntimeError: a secret" in capfd.readouterr().err
    kept.flush()
    with kept.session() as session:
        assert [row.status for row in session.query(Recorded)] == [500]


def test_every_answer_has_its_number_and_is_counted(ask: Ask, start: Callable[..., str]) -> None:
    address = start(Scripted(RuntimeError("broken")))
    defect = httpx.post(f"{address}/v1/chat/completions", json=CHAT)
    assert defect.status_code == 500 and defect.json()["error"]["message"].startswith("something went wrong here")
    connection = http.client.HTTPConnection(urlsplit(address).netloc)
    connection.request("POST", "/v1/messages", headers={"Content-Length": str(1 << 40)})
    large = connection.getresponse()
    assert large.status == 413
    assert json.loads(large.read())["request_id"] == large.headers["request-id"] == large.headers["x-request-id"]
    for answer in (defect, httpx.get(f"{address}/nowhere"), httpx.get(f"{address}/health")):
        number = answer.headers["x-request-id"]
        assert number.startswith("req_") and answer.headers.get_list("request-id") == [number]
    counted = httpx.get(f"{address}/metrics").text
    assert 'castalia_requests_total{endpoint="/v1/chat/completions",status="500"} 1.0' in counted
    assert 'castalia_requests_total{endpoint="other",status="413"} 1.0' in counted
    for stream in (False, True):
        said = ask("/v1/messages", Words("answer", "a"), END, stream=stream)
        assert said.headers["request-id"] == said.headers["x-request-id"]


@pytest.mark.parametrize("path", list(BODIES))
@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_what_is_no_finite_number_is_no_json(start: Callable[..., str], path: str, number: str) -> None:
    body = json.dumps(BODIES[path] | {"tools": [{"parameters": {"maximum": 0.5}}]}).replace("0.5", number)
    headers = {"Content-Type": "application/json"}
    said = httpx.post(start(Scripted(END)) + path, content=body, headers=headers)
    assert said.status_code == 400
    assert said.json()["error"]["message"] == f"the body is not JSON: {number} is not a finite number"


def test_where_the_database_is_stays_here(
    start: Callable[..., str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    kept = open_database(f"sqlite:///{tmp_path / 'kept.db'}")
    address = start(Scripted(Words("answer", "a"), END), kept)
    with kept.session() as session:
        session.execute(sqlalchemy.text("DROP TABLE responses"))
    for stream in (False, True):
        said = httpx.post(f"{address}/v1/responses", json=RESPONSES | {"stream": stream})
        assert said.status_code == (200 if stream else 503)
        assert "what is kept here cannot be read or written now" in said.text and "kept.db" not in said.text
        assert "kept.db: no such table" in capfd.readouterr().err


def test_what_was_cut_off_is_incomplete_and_so_is_its_item(ask: Ask) -> None:
    for words in (Words("answer", "a"), Words("thought", "a")):
        cut = ask("/v1/responses", words, Done("length", "a", Usage())).json()
        assert (cut["status"], cut["output"][0]["status"]) == ("incomplete", "incomplete")
    ended = ask("/v1/responses", Words("thought", "a"), Words("answer", "a"), END).json()
    assert [item["status"] for item in ended["output"]] == ["completed", "completed"]


def test_a_part_is_empty_when_it_is_added(ask: Ask) -> None:
    words = Words("answer", "a", (Token(b"a", -0.5),))
    told = events(ask("/v1/responses", words, END, stream=True, include=["message.output_text.logprobs"]))
    (added,) = [event["part"] for event in told if event["type"] == "response.content_part.added"]
    assert added == {"type": "output_text", "text": "", "annotations": [], "logprobs": []}


WRONG: list[tuple[str, dict[str, Any], str | None, str]] = [
    ("/v1/responses", {"input": 5}, "input", "input: "),
    ("/v1/responses", {"tools": [{"type": "web_search"}]}, "tools.0", "tools.0: type 'web_search' is not supported"),
    ("/v1/responses", {"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools.0.name", "tools.0.name is"),
    ("/v1/chat/completions", {"tool_choice": "sometimes"}, "tool_choice", "tool_choice: "),
    ("/v1/chat/completions", {"stop": ["a", 5]}, "stop", "stop: "),
    ("/v1/chat/completions", {"foo": 1}, "foo", "unknown parameter 'foo'"),
    ("/v1/chat/completions", {"logit_bias": {"1": 2}}, "logit_bias", "logit_bias is not supported: leave it out"),
]


@pytest.mark.parametrize(("path", "wrong", "param", "message"), WRONG)
def test_what_is_wrong_is_named_as_the_client_has_written_it(
    ask: Ask, path: str, wrong: dict[str, Any], param: str, message: str
) -> None:
    said = ask(path, END, **wrong)
    assert said.status_code == 400
    assert said.json()["error"]["param"] == param
    assert said.json()["error"]["message"].startswith(message)


def test_what_is_not_supported_may_be_null(ask: Ask) -> None:
    chat = ("functions", "function_call", "logit_bias", "prediction", "verbosity", "audio", "web_search_options")
    assert ask("/v1/chat/completions", END, **dict.fromkeys(chat)).status_code == 200
    assert ask("/v1/responses", END, conversation=None, prompt=None).status_code == 200
    assert ask("/v1/messages", END, container=None, mcp_servers=None).status_code == 200


@pytest.mark.parametrize("path", list(BODIES))
def test_a_body_of_another_type_is_told_which_is_taken(start: Callable[..., str], path: str) -> None:
    body = json.dumps(BODIES[path])
    said = httpx.post(start(Scripted(END)) + path, content=body, headers={"Content-Type": "text/plain"})
    assert said.status_code == 400 and "Content-Type: application/json" in said.json()["error"]["message"]
