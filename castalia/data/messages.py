"""The OpenAI message format to a `Document`: text, pictures, sounds, thoughts, tool calls and their results."""

import base64
import binascii
import json
import math
import re
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from castalia.document import Author, Call, Content, Document, Image, Part, Speech
from castalia.errors import DataError, DocumentError, ImageError, SpeechError, nearest

ROLES: dict[str, Author] = {
    "system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool",
    "function": "tool",
}  # fmt: skip
PART_TYPES = ("text", "image_url", "input_audio", "audio_url")
MOST_BYTES = 256 << 20
"""A picture or sound behind a web address may have this many bytes."""


def parse_messages(
    messages: Any, base: Path | None = None, *, open_urls: bool = False, places: Sequence[str] | None = None
) -> Document:
    """Make a document of a list of messages in OpenAI's format.

    What the assistant says and calls is learned, unless the message has ``"weight": 0``; its ``reasoning_content`` (or
    ``reasoning``) becomes a thought before it. Pictures and sounds come as data: addresses (base64); as file paths,
    relative to `base`, only if there is a `base`; from the web only if `open_urls`. So a stranger's request, parsed
    without either, opens nothing on this machine or near it. ``"synthetic": true`` beside a sound's address or data
    labels a voice made by machine.

    Results of tools that follow each other are put in the order of the calls that they name (``tool_call_id``); one
    that names none answers the first call that has no result.

    Raises DocumentError with the message's and part's number (from 1) and the cause; instead of the message's number
    with its place, if there are `places`: where in what somebody sent each message stood.
    """
    if not isinstance(messages, list) or not messages:
        raise DocumentError("messages must be a list of at least one message")
    parts: list[Part] = []
    results: list[Part] = []
    calls = _Calls()
    for number, message in enumerate(messages, 1):
        try:
            made = list(_message(message, calls, base, open_urls))
        except (DocumentError, ImageError, SpeechError, DataError) as error:
            place = places[number - 1] if places else f"message {number}"
            raise DocumentError(f"{place}: {error}") from error
        if ROLES[message["role"]] == "tool":
            results += made
        else:
            parts += [*_in_order(results), *made]
            results = []
    parts += _in_order(results)
    if not parts:
        raise DocumentError("the messages are empty")
    return Document(tuple(parts))


class _Calls:
    """The calls of a conversation, numbered from 0, and which of them wait for a result under which id."""

    def __init__(self) -> None:
        self.count = 0
        self.waiting: dict[int, Any] = {}

    def add(self, call_id: Any) -> int:
        """Return the number of one more call."""
        self.waiting[self.count] = call_id
        self.count += 1
        return self.count - 1

    def answer(self, call_id: Any) -> int | None:
        """Return the number of the call that a result answers. Raises DocumentError if none has this id."""
        if call_id is None:
            found = list(self.waiting)
        else:
            # Calls without ids, as people write them, are answered in order.
            found = [number for number, known in self.waiting.items() if known == call_id]
            found = found or [number for number, known in self.waiting.items() if known is None]
            if not found:
                raise DocumentError(f"there is no call {_shown(call_id)} that waits for a result")
        if not found:
            return None
        del self.waiting[found[0]]
        return found[0]


def _in_order(results: list[Part]) -> list[Part]:
    """Return what tools say in the order of the calls; what answers no call stands last."""
    return sorted(results, key=lambda part: math.inf if part.call is None else part.call)


def _message(message: Any, calls: _Calls, base: Path | None, open_urls: bool) -> Iterator[Part]:
    if not isinstance(message, dict):
        raise DocumentError(f"a message is an object with role and content, not {_shown(message)}")
    role = message.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise DocumentError(f"unknown role {role!r}: {nearest(str(role), ROLES)}")
    author = ROLES[role]
    learned = author == "assistant" and message.get("weight", 1) != 0
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    if reasoning is not None and author == "assistant":
        if not isinstance(reasoning, str):
            raise DocumentError(f"reasoning must be text, not {_shown(reasoning)}")
        yield Part(_text(reasoning), author, learned=learned, thought=True)
    answered = calls.answer(message.get("tool_call_id")) if author == "tool" else None
    for content in _contents(message.get("content"), base, open_urls):
        # A picture or sound is perceived, not written: there is nothing in it to learn to say.
        yield Part(content, author, learned=learned and isinstance(content, str), call=answered)
    called = message.get("tool_calls") or []
    if not isinstance(called, list):
        raise DocumentError(f"tool_calls must be a list, not {_shown(called)}")
    for call in called:
        yield Part(_call(call), author, learned=learned, call=calls.add(call.get("id")))


def _contents(content: Any, base: Path | None, open_urls: bool) -> Iterator[Content]:
    if content is None or content == "":
        return
    if isinstance(content, str):
        yield _text(content)
        return
    if not isinstance(content, list):
        raise DocumentError(f"content must be text or a list of parts, not {_shown(content)}")
    for number, part in enumerate(content, 1):
        try:
            made = _content(part, base, open_urls)
        except (DocumentError, ImageError, SpeechError, DataError) as error:
            raise DocumentError(f"part {number}: {error}") from error
        if made != "":
            yield made


def _content(part: Any, base: Path | None, open_urls: bool) -> Content:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str) or kind not in PART_TYPES:
        known = f"unknown part type {kind!r}: {nearest(str(kind), PART_TYPES)}"
        raise DocumentError(known if isinstance(part, dict) else f"a part is an object with a type, not {_shown(part)}")
    if kind not in part:
        raise DocumentError(f"a part of type {kind!r} must have a field {kind!r}")
    value = part[kind]
    if kind == "text":
        if not isinstance(value, str):
            raise DocumentError(f"text must be a string, not {_shown(value)}")
        return _text(value)
    if kind == "input_audio":
        if not isinstance(value, dict) or not isinstance(value.get("data"), str):
            raise DocumentError("input_audio must be an object with base64 data and a format")
        return _speech(_decoded(value["data"]), f"the sound.{value.get('format', 'wav')}", value)
    address = value.get("url") if isinstance(value, dict) else value
    if not isinstance(address, str) or not address:
        raise DocumentError(f"{kind} must be an object with a url")
    data, name = _read(address, base, open_urls)
    if kind == "audio_url":
        return _speech(data, name, value if isinstance(value, dict) else {})
    return _image(data, name)


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:  # JSON can spell what no text can hold
        raise DocumentError(f"the text holds half a character (a lone surrogate) at {error.start}") from error
    return text


def _image(data: bytes, name: str) -> Image:
    from castalia.perception.image import load_image

    return load_image(data, name=name)


def _speech(data: bytes, name: str, said: dict[str, Any]) -> Speech:
    from castalia.perception.speech import load_speech

    return Speech(load_speech(data, name=name).samples, synthetic=said.get("synthetic") is True)


def _call(call: Any) -> Call:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
        raise DocumentError("a tool call must have a function with a name")
    arguments = function.get("arguments", "{}")
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return Call(_text(function["name"]), _text(arguments))


def _read(address: str, base: Path | None, open_urls: bool) -> tuple[bytes, str]:
    """Return the bytes behind an address and a name for messages about them."""
    found = re.match(r"([a-z][a-z0-9+.-]+):", address, re.IGNORECASE)
    scheme = found[1].lower() if found else ""
    if scheme == "data":
        header, comma, payload = address.partition(",")
        if not comma or not header.endswith(";base64"):
            raise DocumentError("a data: address must be data:TYPE;base64,DATA")
        # The ending tells apart sounds that have no header: audio/g722 is read as such.
        ending = header.removeprefix("data:").split(";")[0].rpartition("/")[2]
        return _decoded(payload), f"the data.{ending}" if ending.isalnum() else "the data"
    if scheme in ("http", "https"):
        if not open_urls:
            raise DocumentError("web addresses are not opened: send the file itself as a data: address")
        return _downloaded(address), address.partition("?")[0].rpartition("/")[2] or address
    if base is None:
        raise DocumentError("files are not opened: send the file itself as a data: address")
    name = urllib.parse.unquote(re.sub(r"^file:(//[^/]*)?", "", address)) if scheme == "file" else address
    try:
        path = base / Path(name).expanduser()
        if path.exists() and not path.is_file():
            raise DocumentError(f"{address}: it is not a file")
        if path.stat().st_size > MOST_BYTES:
            raise DocumentError(f"{address}: it has more than the {MOST_BYTES:,} bytes that are accepted")
        return path.read_bytes(), address
    except (OSError, ValueError, RuntimeError) as error:
        cause = "there is no such file" if isinstance(error, FileNotFoundError) else getattr(error, "strerror", error)
        raise DocumentError(f"{address}: {cause}") from error


def _downloaded(address: str) -> bytes:
    import tempfile

    from castalia.data.download import download

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "file"
        download(address, path, most=MOST_BYTES)
        return path.read_bytes()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise DocumentError(f"the data is not base64: {error}") from error


def _shown(value: Any) -> str:
    shown = json.dumps(value, ensure_ascii=False, default=str)
    return shown if len(shown) <= 60 else f"{shown[:60]}…"
