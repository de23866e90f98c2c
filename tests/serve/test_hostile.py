"""Whatever is sent, the answer is one or an error of the sender's, never the server's, and others are served."""

import base64
import json
import os
import random
import socket
import struct
import zlib
from collections.abc import Callable
from copy import deepcopy
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from castalia.serve.access import create_key
from castalia.serve.api.limits import BodyLimit
from castalia.serve.database import open_database
from castalia.serve.service.local import LocalService

COUNT = int(os.environ.get("HOSTILE", "400"))
"""Requests with something wrong in them, one by one."""

CHAT: dict[str, Any] = {
    "model": "small", "messages": [{"role": "user", "content": [{"type": "text", "text": "Make 10 from 2, 5."}]}],
    "max_completion_tokens": 8, "temperature": 0.5, "top_p": 0.9, "n": 1, "seed": 1, "stop": ["a"],
    "logprobs": True, "reasoning_effort": "low", "stream": False, "actions": [],
    "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "integer"}}},
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}], "tool_choice": "auto",
}  # fmt: skip
RESPONSES: dict[str, Any] = {
    "model": "small", "input": [{"role": "user", "content": [{"type": "input_text", "text": "Make 10 from 2, 5."}]}],
    "max_output_tokens": 8, "reasoning": {"effort": "low"}, "text": {"format": {"type": "text"}}, "store": True,
    "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}], "include": [], "stream": False,
}  # fmt: skip
MESSAGES: dict[str, Any] = {
    "model": "small", "max_tokens": 8, "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}],
    "thinking": {"type": "enabled", "budget_tokens": 20}, "stop_sequences": ["a"], "system": "Be brief.",
    "tools": [{"name": "f", "input_schema": {"type": "object"}}], "tool_choice": {"type": "auto"}, "stream": False,
}  # fmt: skip
VALID = {"/v1/chat/completions": CHAT, "/v1/responses": RESPONSES, "/v1/messages": MESSAGES}

JUNK: list[Any] = [
    None, True, -1, 0, 1e308, -(1 << 70), 1 << 70, 0.5, "", " ", "x" * 5000, "\ud800", "\0", "🙂", "../../etc/passwd",
    "' OR 1=1; --", [], {}, [[]], [None], {"a": {"b": []}}, [{}] * 200, {"type": "text"}, {"type": "image_url"},
    {"$ref": "#"}, {"type": "object", "properties": {"a": {"$ref": "#"}}}, {"pattern": "(" * 100, "type": "string"},
]  # fmt: skip


def png(width: int, height: int, body: bytes = b"") -> bytes:
    """Return a picture whose header promises so many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return where values stand in a body."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [deeper for key, item in inside for deeper in places(item, (*path, key))]


def changed(body: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Return a body with a value or two replaced, left out or added."""
    body = deepcopy(body)
    for _ in range(rng.randint(1, 2)):
        *path, last = rng.choice(places(body))
        holder: Any = body
        for key in path:
            holder = holder[key]
        way = rng.random()
        if way < 0.15:
            del holder[last]
        elif way < 0.25 and isinstance(holder, dict):
            holder[rng.choice(["foo", "__class__", "", "model_config", "stream "])] = deepcopy(rng.choice(JUNK))
        else:
            holder[last] = deepcopy(rng.choice(JUNK))
        if not places(body):
            return body
    return body


def media(rng: random.Random) -> dict[str, Any]:
    """Return a request with a picture or sound that is not what it says."""
    raw = rng.choice(
        [
            png(100_000, 100_000), png(65_535, 1), png(3000, 3000, b"\0" * (3000 * 9001)), png(0, 0), png(8, 8)[:40],
            b"GIF89a" + rng.randbytes(50), b"<svg onload='alert(1)'/>", rng.randbytes(300), b"",
            b"RIFF\xff\xff\xff\xffWAVEfmt " + rng.randbytes(60), b"OggS" + rng.randbytes(200),
        ]
    )  # fmt: skip
    text = rng.choice([base64.b64encode(raw).decode(), "%%%", "A" * 4001])
    kind = rng.choice(["image/png", "image/svg+xml", "text/html", "a", ""])
    picture = {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{text}"}}
    sound = {"type": "input_audio", "input_audio": {"data": text, "format": rng.choice(["wav", "mp3", "../x", ""])}}
    return CHAT | {"messages": [{"role": "user", "content": [rng.choice([picture, sound])]}]}


def broken(rng: random.Random) -> bytes:
    """Return a body that is no JSON, or no object."""
    whole = json.dumps(rng.choice(list(VALID.values()))).encode()
    return rng.choice(
        [
            b"", b"null", b"[]", b"1", b'"a"', b"{", b"\xff\xfe", rng.randbytes(200),
            whole[: rng.randrange(len(whole))], b"[" * 20_000,
            b'{"a":' * 20_000, whole.replace(b"0.5", b"NaN"), whole.replace(b"0.5", b"1e999"),
            whole + whole, whole.replace(b'"small"', b'"small","model":"other"'), whole.replace(b"8", b"9" * 4000),
        ]
    )  # fmt: skip


def long(rng: random.Random) -> dict[str, Any]:
    """Return a prompt near the limit of the cache, or far beyond it."""
    text = rng.choice(["a b ", "0", "\n", "é"]) * rng.choice([1000, 50_000, 200_000])
    return CHAT | {"messages": [{"role": "user", "content": text}], "response_format": None, "tools": None}


IDS = ["..%2f..%2fetc%2fpasswd", "%00", "a" * 5000, "%F0%9F%99%82", "' OR 1=1", "resp_0", "%2e%2e", "x/../../y", "%ff"]


def send(client: httpx.Client, rng: random.Random) -> httpx.Response:
    """Send one request with something wrong in it."""
    way = rng.random()
    path = rng.choice(list(VALID))
    if way < 0.6:
        body = json.dumps(changed(VALID[path], rng)).encode()
    elif way < 0.75:
        body = broken(rng)
    elif way < 0.85:
        path, body = "/v1/chat/completions", json.dumps(media(rng)).encode()
    elif way < 0.87:
        path, body = "/v1/chat/completions", json.dumps(long(rng)).encode()
    elif way < 0.92:
        files = {"file": (rng.choice(["a.wav", "../../a", "a\0b", ""]), rng.randbytes(rng.randrange(2000)))}
        return client.post("/v1/audio/transcriptions", files=files, data={"model": rng.choice(["small", "", "x"])})
    else:
        where = rng.choice(["/v1/responses/{}", "/v1/responses/{}/input_items", "/v1/models/{}", "/v1/{}", "/{}"])
        return client.request(rng.choice(["GET", "DELETE", "PUT", "PATCH"]), where.format(rng.choice(IDS)))
    kind = rng.choice(["application/json"] * 8 + ["text/plain", ""])
    return client.post(path, content=body, headers={"content-type": kind})


def test_whatever_is_sent_it_is_no_fault_of_the_server(address: str) -> None:
    rng = random.Random(0)
    with httpx.Client(base_url=address, timeout=60) as client:
        faults = []
        for _ in range(COUNT):
            response = send(client, rng)
            if response.status_code >= 400:
                assert response.json()["error"]["message"]
            if response.status_code >= 500:
                faults.append(f"{response.request.url} {response.request.content[:500]!r}")
        assert faults == []
        assert client.get("/health").status_code == 200
        assert client.post("/v1/chat/completions", json=CHAT).status_code == 200


@pytest.mark.parametrize("path", list(VALID))
def test_half_a_character_is_quoted_back_as_one_that_can_be_sent(address: str, path: str) -> None:
    for wrong in ({"tool_choice": "\ud800"}, {"\ud800": 1}, {"messages": [{"role": "user", "content": ["\ud800"]}]}):
        body = json.dumps(VALID[path] | wrong)
        response = httpx.post(f"{address}{path}", content=body, headers={"content-type": "application/json"})
        assert response.status_code == 400 and response.json()["error"]["message"]


def test_a_body_that_is_too_large_is_not_read(address: str) -> None:
    parts = urlsplit(address)
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n"
        )
        assert connection.recv(200).startswith(b"HTTP/1.1 413")


def test_clients_that_stop_halfway_hold_nobody_up(address: str) -> None:
    parts = urlsplit(address)
    halves = [b"", b"POST /v1/chat", b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n{"]
    lazy = [socket.create_connection((parts.hostname, parts.port)) for _ in range(60)]
    try:
        for number, connection in enumerate(lazy):
            connection.sendall(halves[number % 3])
        assert httpx.post(f"{address}/v1/chat/completions", json=CHAT, timeout=60).status_code == 200
    finally:
        for connection in lazy:
            connection.close()
    assert httpx.get(f"{address}/health").status_code == 200


def test_what_one_key_has_said_another_never_sees(
    service: LocalService, start: Callable[..., str], tmp_path: Any
) -> None:
    kept = open_database(f"sqlite:///{tmp_path / 'keys.db'}")
    address = start(service, kept, open_to_all=False)
    owner, other = (create_key(kept, name).secret for name in ("owner", "other"))
    body = {"model": "small", "input": "a secret", "max_output_tokens": 5}

    def ask(secret: str | None, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        return httpx.request(method, f"{address}/v1/responses{path}", headers=headers, timeout=60, **more)

    made = ask(owner, "POST", "", json=body).json()["id"]
    assert ask(owner, "GET", f"/{made}").status_code == 200
    for secret, status in ((other, 404), (None, 401), ("cst-forged", 401)):
        assert ask(secret, "GET", f"/{made}").status_code == status
        assert ask(secret, "GET", f"/{made}/input_items").status_code == status
        assert ask(secret, "DELETE", f"/{made}").status_code == status
        assert ask(secret, "POST", "", json=body | {"previous_response_id": made}).status_code == status
        assert "a secret" not in ask(secret, "GET", f"/{made}").text
    assert ask(owner, "GET", f"/{made}").status_code == 200


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/a.png", "http://[::1]/a", "http://10.0.0.1/a", "http://169.254.169.254/"]
)
def test_no_address_inside_a_private_network_is_opened(
    service: LocalService, start: Callable[..., str], url: str
) -> None:
    address = start(service, open_urls=True)
    message = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}
    said = httpx.post(f"{address}/v1/chat/completions", json={"model": "small", "messages": [message]}, timeout=60)
    assert said.status_code == 400
    assert "not a public address" in said.json()["error"]["message"]
    shown = {"type": "image", "source": {"type": "url", "url": url}}
    body = {"model": "small", "messages": [{"role": "user", "content": [shown]}]}
    counted = httpx.post(f"{address}/v1/messages/count_tokens", json=body, timeout=60)
    assert counted.status_code == 400
    assert "not a public address" in counted.json()["error"]["message"]


HEAD = "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\n"


@pytest.fixture
def limited(service: LocalService, start: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the host and port of a server that takes 1,000 bytes within a second."""
    monkeypatch.setattr(BodyLimit.__init__, "__defaults__", (1000, 1.0))
    parts = urlsplit(start(service))
    return parts.hostname, parts.port


def said(place: Any, *parts: str) -> tuple[int, dict[str, Any]]:
    """Return the status and the body that are answered to a request in these parts."""
    with socket.create_connection(place, timeout=20) as connection:
        for part in parts:
            connection.sendall(part.encode())
        with connection.makefile("rb") as answer:
            head, _, body = answer.read().partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize("path", [*VALID, "/v1/audio/transcriptions"])
def test_a_body_in_chunks_that_is_too_large_is_refused_as_such(limited: Any, path: str) -> None:
    begun = '--a\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    chunk = f"{600:x}\r\n{begun.ljust(600, 'x')}\r\n"
    head = HEAD.format(path, "application/json" if path in VALID else "multipart/form-data; boundary=a")
    status, body = said(limited, f"{head}Transfer-Encoding: chunked\r\n\r\n", chunk, chunk)
    assert status == 413
    assert body["error"]["message"] == "the request is larger than the 1,000 bytes that are accepted"
    assert ("type" in body) == (path == "/v1/messages")


@pytest.mark.parametrize("path", list(VALID))
def test_a_body_that_does_not_arrive_is_refused_as_late(limited: Any, path: str) -> None:
    status, body = said(limited, f"{HEAD.format(path, 'application/json')}Content-Length: 500\r\n\r\n", "{")
    assert status == 408
    assert body["error"]["message"] == "the request has not arrived within 1 s"
    assert ("type" in body) == (path == "/v1/messages")
