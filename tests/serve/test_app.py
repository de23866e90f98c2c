"""The server as a whole: who may come in, what it counts, clients that leave, and the command that starts it."""

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
import openai
import pytest

from castalia.errors import CastaliaError, DatabaseError
from castalia.serve.access import Limits, create_key
from castalia.serve.database import Database, Usage, open_database
from castalia.serve.server import listening, serve
from castalia.serve.service.local import LocalService

ASKED: list[Any] = [{"role": "user", "content": "Make 10 from 2, 5."}]
Until = Callable[[Callable[[], bool]], None]
BODY = {"model": "small", "messages": ASKED}


def post(address: str, secret: str | None = None, path: str = "/v1/chat/completions", **more: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    return httpx.post(address + path, json=BODY | more, headers=headers, timeout=60)


def test_with_keys_only_keys_come_in_whatever_the_database(
    service: LocalService, start: Callable[..., str], database: Database
) -> None:
    address = start(service, database, open_to_all=False)
    secret = create_key(database, "alice").secret
    for wrong in (None, "cst-forged", "sk-other"):
        refused = post(address, wrong)
        assert refused.status_code == 401 and refused.json()["error"]["code"] == "invalid_api_key"
        assert httpx.get(f"{address}/v1/models").status_code == 401
    said = post(address, secret)
    assert said.status_code == 200
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{address}/v1", api_key="no", max_retries=0).models.list()
    other = httpx.post(f"{address}/v1/messages", json=BODY | {"max_tokens": 5}, timeout=60)
    assert other.status_code == 401 and other.json()["type"] == "error"
    (key,) = database.keys()
    used = database.usage_by_key(key.created)[key.id][0]
    assert used == said.json()["usage"]["total_tokens"]


def test_who_asks_too_often_is_told_when_to_come_again(
    service: LocalService, start: Callable[..., str], tmp_path: Path
) -> None:
    kept = open_database(f"sqlite:///{tmp_path / 'keys.db'}")
    address = start(service, kept, open_to_all=False)
    slow = create_key(kept, "slow", Limits(requests_per_minute=2)).secret
    other = create_key(kept, "other", Limits(models=("another",))).secret
    said = [post(address, slow, max_completion_tokens=2) for _ in range(3)]
    assert [answer.status_code for answer in said] == [200, 200, 429]
    assert said[0].headers["x-ratelimit-limit-requests"] == "2"
    assert said[0].headers["x-ratelimit-remaining-requests"] == "1"
    assert 0 < float(said[2].headers["retry-after"]) <= 30
    assert said[2].json()["error"]["code"] == "rate_limit_exceeded"
    with pytest.raises(openai.RateLimitError):
        client = openai.OpenAI(base_url=f"{address}/v1", api_key=slow, max_retries=0)
        client.chat.completions.create(model="small", messages=ASKED)
    assert post(address, other).status_code == 403


def test_what_is_counted_can_be_read(address: str) -> None:
    def read(name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)$", httpx.get(f"{address}/metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    name = 'castalia_requests_total{endpoint="/v1/chat/completions",status="200"}'
    before, tokens = read(name), read('castalia_tokens_total{kind="completion"}')
    written = post(address).json()["usage"]["completion_tokens"]
    assert read(name) == before + 1
    assert read('castalia_tokens_total{kind="completion"}') == tokens + written
    assert read("castalia_active_requests") == 0
    assert read("castalia_cache_pages_used") == 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_frees_its_memory_and_is_charged_for_what_was_written(
    service: LocalService, start: Callable[..., str], tmp_path: Path, until: Until, stream: bool
) -> None:
    pool, kept = service.assistant.engine.pool, open_database(f"sqlite:///{tmp_path / 'keys.db'}")
    address, key = start(service, kept, open_to_all=False), create_key(kept, "alice")
    endless = {"type": "json_schema", "json_schema": {"schema": {"type": "array", "minItems": 100_000}}}
    body = json.dumps(BODY | {"stream": stream, "max_tokens": 100_000, "response_format": endless})
    parts = urlsplit(address)
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key.secret}\r\n"
        head += "Content-Type: application/json\r\nContent-Length: "
        connection.sendall(f"{head}{len(body)}\r\n\r\n{body}".encode())
        until(lambda: service.shared.ask(lambda: len(pool.users) - pool.free) > 2)
    until(lambda: service.shared.ask(lambda: service.assistant.engine.idle))
    assert service.shared.ask(lambda: len(pool.users) - pool.free) == 0
    until(lambda: kept.tokens_since(key.row.id, key.row.created) > 16)


def test_many_at_once_get_what_each_would_get_alone(address: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def ask(number: int) -> str:
        messages = [{"role": "user", "content": f"Make {number} from 2, {number % 7}."}]
        return post(address, messages=messages, reasoning_effort="high").json()["choices"][0]["message"]["content"]

    alone = [ask(number) for number in range(24)]
    with ThreadPoolExecutor(24) as clients:
        assert list(clients.map(ask, range(24))) == alone


def test_without_keys_pages_of_others_may_not_ask(service: LocalService, start: Callable[..., str]) -> None:
    address = start(service, is_local=True)
    assert post(address).status_code == 200
    for headers in (
        {"Host": "evil.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
    ):
        refused = httpx.post(f"{address}/v1/chat/completions", json=BODY, headers=headers, timeout=60)
        assert refused.status_code == 403, headers


def test_a_page_that_is_not_there_is_said_in_json(address: str) -> None:
    said = httpx.get(f"{address}/v1/chat/completion")
    assert said.status_code == 404
    assert "/v1/chat/completions" in said.json()["error"]["message"]
    assert httpx.put(f"{address}/v1/responses", json={}).status_code == 405


COMMAND = [sys.executable, "-m", "castalia", "serve"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_and_ends_in_order_when_it_is_stopped(
    trained: Path, tmp_path: Path, until: Until, how: signal.Signals
) -> None:
    database = f"sqlite:///{tmp_path / 'a.db'}"
    command = [*COMMAND, str(trained), "--port", "0", "--database", database]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"open (http://127\.0\.0\.1:\d+)", line)
        assert found, line
        until(lambda: reachable(found[1]))
        assert post(found[1], model=trained.name).status_code == 200
        process.send_signal(how)
        _, errors = process.communicate(timeout=20)
        assert "Traceback" not in errors and "goes on" not in errors
    finally:
        process.kill()
        process.wait()
    kept = open_database(database)
    with kept.session() as session:
        assert [row.status for row in session.query(Usage)] == [200], "also what was used a moment before"
    kept.close()


def reachable(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health").status_code == 200
    except httpx.ConnectError:
        return False


def test_a_port_that_is_taken_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CastaliaError, match=f"cannot listen at 127.0.0.1:{port}"):
            listening("127.0.0.1", port)


def test_a_service_is_closed_where_the_database_cannot_be_opened() -> None:
    closed = []

    class Started:
        def close(self) -> None:
            closed.append(True)

    with pytest.raises(DatabaseError):
        serve(cast(Any, Started()), "127.0.0.1", 0, "nothing://at/all")
    assert closed == [True]


WRONG = {
    "no run": (["nowhere"], "nowhere"),
    "open to others without a key": (["{run}", "--host", "0.0.0.0", "--port", "0"], "make a key first"),
    "a backend without a model": (["--backend", "http://127.0.0.1:9/v1"], "--model"),
    "a backend that is no address": (["--backend", "localhost", "--model", "a"], "http://"),
    "both": (["{run}", "--backend", "http://127.0.0.1:9/v1", "--model", "a"], "not both"),
    "a port that is none": (["{run}", "--port", "99999"], "from 1 to 65535"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_be_served_is_said_in_one_sentence(wrong: str, trained: Path, tmp_path: Path) -> None:
    arguments, sentence = WRONG[wrong]
    command = [*COMMAND, *(argument.format(run=trained) for argument in arguments)]
    command += ["--database", f"sqlite:///{tmp_path / 'a.db'}"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert said.returncode == 1
    assert sentence in said.stderr and len(said.stderr.strip().splitlines()) == 1, said.stderr
