"""`/v1/messages`, as Anthropic's clients use it."""

import asyncio
import json
import secrets
from typing import Any, Literal

from fastapi import APIRouter, Request, Response

from castalia.document import Call
from castalia.serve.api.addresses import opened
from castalia.serve.api.answering import Answer, House, answered, secret_of
from castalia.serve.api.asking import why
from castalia.serve.api.chat_completions import agent_event
from castalia.serve.api.messages_request import CountRequest, MessagesRequest
from castalia.serve.errors import ApiError
from castalia.serve.service.job import Update
from castalia.serve.service.pieces import Done, Words
from castalia.serve.wire import JsonRoute, dumped

router = APIRouter(route_class=JsonRoute)
STOP_REASONS = {"length": "max_tokens", "time": "max_tokens", "cancelled": "max_tokens", "stop": "stop_sequence"}


@router.post("/v1/messages")
async def create(body: MessagesRequest, request: Request) -> Response:
    """Go on with a conversation."""
    return await answered(request, body, Message(body), stream=bool(body.stream), frame=named)


@router.post("/v1/messages/count_tokens")
async def count_tokens(body: CountRequest, request: Request) -> dict[str, int]:
    """Count the positions that a prompt takes: tokens of text, patches of pictures, frames of sound."""
    house: House = request.app.state.house
    house.gate.known(secret_of(request))
    house.known(body.model)
    messages = await opened(await body.conversation(house.database, None), house.open_urls)
    return {"input_tokens": await house.service.count(await asyncio.to_thread(body.job, messages))}


def named(event: dict[str, Any]) -> str:
    """Return an event of a stream, named by its type."""
    return f"event: {event['type']}\ndata: {dumped(event)}\n\n"


class Message(Answer):
    """One message in the making: blocks one after the other, and the events that tell of them."""

    def __init__(self, request: MessagesRequest) -> None:
        super().__init__()
        self.request, self.id = request, f"msg_{secrets.token_hex(12)}"
        self.content: list[dict[str, Any]] = []
        self.has_open = False

    def whole(self) -> dict[str, Any]:
        """Return the message as it stands."""
        return {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.request.model,
            "content": self.content,
            "stop_reason": self._why() if self.done else None,
            "stop_sequence": self._stopped_at(),
            "usage": self._usage(),
        }

    def failed(self, error: ApiError) -> dict[str, Any]:
        """Return what a stream ends with that has failed."""
        return error.anthropic(self.id)

    def begin(self) -> list[dict[str, Any]]:
        """Return the event that begins the message."""
        return [{"type": "message_start", "message": self.whole()}]

    def end(self) -> list[dict[str, Any]]:
        """Return why the message ends, what it has cost, and that it is complete."""
        delta = {"stop_reason": self._why(), "stop_sequence": self._stopped_at()}
        return [{"type": "message_delta", "delta": delta, "usage": self._usage()}, {"type": "message_stop"}]

    def take(self, update: Update) -> list[dict[str, Any]]:
        """Take in one update; return the events that tell of it."""
        piece = update.piece
        if update.agent is not None:
            return [{"type": "agent", "agent": agent_event(update)}]
        self.choice.add(piece)
        if isinstance(piece, Words):
            return self._words(piece)
        if self.choice.leaves(piece):
            return self._tool_use(piece.call)
        if isinstance(piece, Done):
            self.done.append(piece)
            return self._close()
        return []

    def _words(self, piece: Words) -> list[dict[str, Any]]:
        kind, field = ("thinking", "thinking") if piece.kind == "thought" else ("text", "text")
        if kind == "thinking" and not self.request.shows_thoughts:
            return []
        events = []
        if not self.has_open or self.content[-1]["type"] != kind:
            events = self._open({"type": kind, field: ""} | ({"signature": ""} if kind == "thinking" else {}))
        self.content[-1][field] += piece.text
        return [*events, self._delta({"type": f"{kind}_delta", field: piece.text})]

    def _tool_use(self, call: Call) -> list[dict[str, Any]]:
        events = self._open(
            {"type": "tool_use", "id": f"toolu_{secrets.token_hex(12)}", "name": call.name, "input": {}}
        )
        events.append(self._delta({"type": "input_json_delta", "partial_json": call.arguments}))
        self.content[-1]["input"] = _input(call)
        return events + self._close()

    def _open(self, block: dict[str, Any]) -> list[dict[str, Any]]:
        events = self._close()
        self.content.append(block)
        self.has_open = True
        start = {"type": "content_block_start", "index": len(self.content) - 1, "content_block": block.copy()}
        return [*events, start]

    def _close(self) -> list[dict[str, Any]]:
        if not self.has_open:
            return []
        self.has_open, events = False, []
        if self.content[-1]["type"] == "thinking":
            # Thoughts are not sealed here, but clients send them back only with a signature.
            self.content[-1]["signature"] = "castalia"
            events.append(self._delta({"type": "signature_delta", "signature": "castalia"}))
        return [*events, {"type": "content_block_stop", "index": len(self.content) - 1}]

    def _delta(self, delta: dict[str, Any]) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": len(self.content) - 1, "delta": delta}

    def _why(self) -> Literal["end_turn", "max_tokens", "stop_sequence", "tool_use"] | str:
        if why(self.choice) == "tool_calls":
            return "tool_use"
        return STOP_REASONS.get(self.choice.stopped, "end_turn")

    def _stopped_at(self) -> str | None:
        return self.choice.met if self._why() == "stop_sequence" else None

    def _usage(self) -> dict[str, int]:
        usage = self.usage
        return {
            "input_tokens": usage.prompt - usage.cached,
            "cache_read_input_tokens": usage.cached,
            "cache_creation_input_tokens": 0,
            "output_tokens": usage.completion,
        }


def _input(call: Call) -> dict[str, Any]:
    """Return a call's arguments; of a model elsewhere they may have been cut off, or be no object: then none."""
    try:
        read = json.loads(call.arguments)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}
