"""`/v1/responses`, as OpenAI's clients use it: answers as items, kept here if that is wanted."""

import asyncio
import json
import secrets
import time
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from fastapi import APIRouter, Request, Response

from castalia.document import Call
from castalia.serve.api.answering import Answer, House, answered, secret_of
from castalia.serve.api.asking import effort, logprob_content, reasoning_parts, why
from castalia.serve.api.chat_completions import agent_event
from castalia.serve.api.responses_request import (
    NamedTool,
    ResponsesRequest,
    ServerTool,
    encoded_reasoning,
    messages_of,
    reasoning_text,
)
from castalia.serve.database import StoredResponse
from castalia.serve.errors import ApiError
from castalia.serve.service.job import Update
from castalia.serve.service.pieces import Acted, Done, Seen, Words
from castalia.serve.service.usage import Usage
from castalia.serve.wire import JsonRoute, dumped

router = APIRouter(route_class=JsonRoute)


@router.post("/v1/responses")
async def create(body: ResponsesRequest, request: Request) -> Response:
    """Answer; go on from a previous response if one is named."""
    house: House = request.app.state.house
    key = await asyncio.to_thread(house.gate.known, secret_of(request))

    def keep(kept: dict[str, Any]) -> None:
        house.database.add(StoredResponse(id=kept["response"]["id"], key_id=key.id if key else None, body=kept))

    return await answered(request, body, Making(body, keep), stream=bool(body.stream), frame=named)


@router.get("/v1/responses/{response_id}")
async def retrieve(response_id: str, request: Request) -> dict[str, Any]:
    """Return a response that was kept."""
    return (await asyncio.to_thread(_kept, request, response_id)).body["response"]


@router.get("/v1/responses/{response_id}/input_items")
async def input_items(response_id: str, request: Request) -> dict[str, Any]:
    """Return what a response that was kept has answered."""
    items = (await asyncio.to_thread(_kept, request, response_id)).body["input"]
    ends = {"first_id": items[0]["id"], "last_id": items[-1]["id"]} if items else {"first_id": None, "last_id": None}
    return {"object": "list", "data": items, "has_more": False, **ends}


@router.delete("/v1/responses/{response_id}")
async def delete(response_id: str, request: Request) -> dict[str, Any]:
    """Delete a response that was kept."""
    kept = await asyncio.to_thread(_kept, request, response_id)
    house: House = request.app.state.house
    await asyncio.to_thread(house.database.delete, StoredResponse, response_id, kept.key_id)
    return {"id": response_id, "object": "response", "deleted": True}


def _kept(request: Request, response_id: str) -> StoredResponse:
    house: House = request.app.state.house
    key = house.gate.known(secret_of(request))
    kept = house.database.get(StoredResponse, response_id, key.id if key else None)
    if kept is None:
        raise ApiError(f"there is no response {response_id[:80]!r}", 404, "not_found", "response_id")
    return kept


def named(event: dict[str, Any]) -> str:
    """Return an event of a stream, named by its type."""
    return f"event: {event['type']}\ndata: {dumped(event)}\n\n"


def _id(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(16)}"


Event = dict[str, Any]


class Making(Answer):
    """One response in the making: items one after the other, and the events that tell of them."""

    def __init__(self, request: ResponsesRequest, keep: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self.request, self.keep = request, keep
        self.id, self.created = _id("resp"), int(time.time())
        self.output: list[dict[str, Any]] = []
        self.status, self.number = "in_progress", 0
        self.has_open = False
        self.runs_code = any(isinstance(tool, ServerTool) for tool in request.tools or ())

    async def finish(self) -> None:
        """Keep the response, where that is wanted."""
        if self.request.store is not False:
            items = self.request.input
            text = [{"type": "input_text", "text": items}]
            kept = [{"type": "message", "role": "user", "content": text}] if isinstance(items, str) else items
            conversation = self.request.said + messages_of(self.output)
            body = {
                "response": self.whole(),
                "input": [{"id": _id("item")} | item for item in kept],
                "messages": conversation,
            }
            await asyncio.to_thread(self.keep, body)

    def whole(self) -> dict[str, Any]:
        """Return the response as it stands."""
        request = self.request
        tools = [tool.model_dump(exclude_none=True) for tool in request.tools or ()]
        choice = request.tool_choice
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": self.status,
            "background": False,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if self.status == "incomplete" else None,
            "instructions": request.instructions,
            "max_output_tokens": request.max_output_tokens,
            "model": request.model,
            "output": self.output,
            "parallel_tool_calls": request.parallel_tool_calls is not False,
            "previous_response_id": request.previous_response_id,
            "reasoning": {"effort": effort(request.reasoning.effort if request.reasoning else None), "summary": None},
            "store": request.store is not False,
            "temperature": request.temperature or 0.0,
            "text": {"format": request.format.model_dump(exclude_none=True, by_alias=True)},
            "tool_choice": choice.model_dump() if isinstance(choice, NamedTool) else choice or "auto",
            "tools": tools,
            "top_p": 1.0 if request.top_p is None else request.top_p,
            "truncation": request.truncation,
            "usage": None if self.status == "in_progress" else usage_json(self.usage),
            "user": request.user,
            "metadata": request.metadata or {},
        }

    def failed(self, error: ApiError) -> Event:
        """Return what a stream ends with that has failed."""
        return self._event("error", code=error.code, message=error.message, param=error.param)

    def begin(self) -> list[Event]:
        """Return the events that begin the response."""
        return [self._event(f"response.{name}", response=self.whole()) for name in ("created", "in_progress")]

    def end(self) -> list[Event]:
        """Return the event that has the complete response."""
        return [self._event(f"response.{self.status}", response=self.whole())]

    def take(self, update: Update) -> list[Event]:
        """Take in one update; return what tells of it."""
        piece = update.piece
        if update.agent is not None:
            return [self._event("response.agent", agent=agent_event(update))]
        self.choice.add(piece)
        if isinstance(piece, Words):
            return self._words(piece)
        if self.choice.leaves(piece):
            return self._function(piece.call)
        if isinstance(piece, Acted) and piece.call.name == "python" and self.runs_code:
            return self._code(piece.call)
        if isinstance(piece, Done):
            self.done.append(piece)
            self.status = "incomplete" if why(self.choice) == "length" else "completed"
            return self._close(self.status) + self._give_up()
        last = self.output[-1] if self.output else {"type": None}
        if isinstance(piece, Seen) and last["type"] == "code_interpreter_call" and last["status"] == "in_progress":
            last |= {"outputs": [{"type": "logs", "logs": piece.document.text()}], "status": "completed"}
            return [self._item("response.code_interpreter_call.completed"), self._item("response.output_item.done")]
        parts = reasoning_parts([piece]) if self.request.visual_thoughts else []
        return [event for part in parts for event in self._thought_part(part)]

    def _words(self, piece: Words) -> list[Event]:
        kind, part = ("reasoning", "reasoning_text") if piece.kind == "thought" else ("message", "output_text")
        events: list[Event] = []
        if not self.has_open or self.output[-1]["type"] != kind:
            events += self._open({"type": kind} | ({"summary": []} if kind == "reasoning" else {"role": "assistant"}))
        content = self.output[-1]["content"]
        if not content or content[-1]["type"] != part:
            empty = {"annotations": [], "logprobs": []} if kind == "message" else {}
            content.append({"type": part, "text": ""} | empty)
            events.append(self._item("response.content_part.added", part=deepcopy(content[-1])))
        content[-1]["text"] += piece.text
        logprobs = {}
        if kind == "message":
            said = logprob_content(piece.tokens) if self.request.logprobs else []
            content[-1]["logprobs"] += said
            logprobs = {"logprobs": said}
        return [*events, self._item(f"response.{part}.delta", delta=piece.text, **logprobs)]

    def _thought_part(self, part: dict[str, Any]) -> list[Event]:
        """Add what was done or seen among thoughts to them."""
        is_open = self.has_open and self.output[-1]["type"] == "reasoning"
        events = [] if is_open else self._open({"type": "reasoning", "summary": []})
        self.output[-1]["content"].append(part)
        return [*events, self._item("response.content_part.added", part=part)]

    def _function(self, call: Call) -> list[Event]:
        events = self._open({"type": "function_call", "call_id": _id("call"), "name": call.name, "arguments": ""})
        self.output[-1]["arguments"] = call.arguments
        events.append(self._item("response.function_call_arguments.delta", delta=call.arguments))
        events.append(self._item("response.function_call_arguments.done", name=call.name, arguments=call.arguments))
        return events + self._close()

    def _code(self, call: Call) -> list[Event]:
        try:
            read = json.loads(call.arguments)
        except ValueError:
            read = call.arguments
        code = read[0] if isinstance(read, list) and read else read.get("code", "") if isinstance(read, dict) else read
        events = self._open({"type": "code_interpreter_call", "code": str(code), "container_id": "", "outputs": None})
        self.has_open = False  # it is complete once its outputs are there
        return [
            *events,
            self._item("response.code_interpreter_call.in_progress"),
            self._item("response.code_interpreter_call_code.delta", delta=str(code)),
            self._item("response.code_interpreter_call_code.done", code=str(code)),
            self._item("response.code_interpreter_call.interpreting"),
        ]

    def _give_up(self) -> list[Event]:
        """Close code that was not run to its end."""
        if not self.output or self.output[-1]["status"] != "in_progress":
            return []
        self.output[-1]["status"] = "incomplete"
        return [self._item("response.output_item.done")]

    def _open(self, item: dict[str, Any]) -> list[Event]:
        """Begin an item after closing the one that is open."""
        events = self._close()
        kind = {"reasoning": "rs", "message": "msg", "function_call": "fc"}.get(item["type"], "ci")
        content = {"content": []} if kind in ("rs", "msg") else {}
        self.output.append({"id": _id(kind), "status": "in_progress"} | item | content)
        self.has_open = True
        return [*events, self._event("response.output_item.added", **self._place(), item=deepcopy(self.output[-1]))]

    def _close(self, status: str = "completed") -> list[Event]:
        if not self.has_open:
            return []
        item, events = self.output[-1], []
        item["status"], self.has_open = status, False
        if item["type"] in ("reasoning", "message"):
            last = item["content"][-1] if item["content"] else {}
            if last.get("type") == "reasoning_text":
                events.append(self._item("response.reasoning_text.done", text=last["text"]))
            elif last.get("type") == "output_text":
                events.append(self._item("response.output_text.done", text=last["text"], logprobs=last["logprobs"]))
            if last:
                events.append(self._item("response.content_part.done", part=last))
        if item["type"] == "reasoning" and "reasoning.encrypted_content" in (self.request.include or ()):
            item["encrypted_content"] = encoded_reasoning(reasoning_text(item))
        return [*events, self._event("response.output_item.done", **self._place(), item=deepcopy(item))]

    def _item(self, kind: str, **fields: Any) -> Event:
        """Return an event about a part of the newest item."""
        item = self.output[-1]
        if kind == "response.output_item.done":
            return self._event(kind, **self._place(), item=deepcopy(item))
        place = {"content_index": len(item["content"]) - 1} if item.get("content") else {}
        return self._event(kind, item_id=item["id"], **self._place(), **place, **fields)

    def _place(self) -> dict[str, int]:
        return {"output_index": len(self.output) - 1}

    def _event(self, kind: str, **fields: Any) -> Event:
        self.number += 1
        return {"type": kind, "sequence_number": self.number - 1, **fields}


def usage_json(usage: Usage) -> dict[str, Any]:
    """Return usage as this API has it."""
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.prompt + usage.completion,
    }
