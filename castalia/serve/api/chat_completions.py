"""`/v1/chat/completions`, as OpenAI's clients use it."""

import secrets
import time
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from castalia.data.messages import parse_messages
from castalia.document import Call
from castalia.serve.api.answering import Answer, answered
from castalia.serve.api.asking import (
    MOST_CHOICES,
    MOST_TOKENS,
    AnyEffort,
    ContemplateOptions,
    FunctionOptions,
    Share,
    Strict,
    Temperature,
    chosen_tool,
    effort,
    free_for_agents,
    logprob_content,
    reasoning_parts,
    sampling,
    why,
    with_something,
)
from castalia.serve.database import Database
from castalia.serve.errors import ApiError
from castalia.serve.service.job import Choice, Job, Update
from castalia.serve.service.pieces import Acted, Done, Seen, Words
from castalia.serve.service.usage import Usage
from castalia.serve.wire import JsonRoute, dumped


class Tool(Strict):
    """A function of the client's."""

    type: Literal["function"]
    function: FunctionOptions


class JsonSchema(Strict):
    """What an answer must satisfy."""

    name: str = "answer"
    description: str | None = None
    schema_: dict[str, Any] = Field(default_factory=dict, alias="schema")
    strict: bool | None = None


class ResponseFormat(Strict):
    """What an answer is."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class NamedFunction(Strict):
    """A function's name."""

    name: str


class NamedTool(Strict):
    """The tool that must be called."""

    type: Literal["function"]
    function: NamedFunction


class StreamOptions(Strict):
    """What a stream says besides."""

    include_usage: bool | None = False
    include_obfuscation: bool | None = False


class ChatRequest(Strict):
    """A conversation to go on with."""

    model: str
    messages: list[dict[str, Any]] = Field(min_length=1)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_completion_tokens: int | None = Field(default=None, ge=1, le=MOST_TOKENS)
    max_tokens: int | None = Field(default=None, ge=1, le=MOST_TOKENS)
    min_tokens: int | None = Field(
        default=0, ge=0, le=MOST_TOKENS, description="an answer that no schema holds does not end before; as in vLLM"
    )
    temperature: Temperature | None = Field(default=0.0, description="0, the default, takes the likeliest tokens")
    top_p: Share | None = 1.0
    min_p: Share | None = 0.0
    top_k: int | None = Field(default=0, ge=0, le=MOST_TOKENS, description="0, the default, keeps all; as in vLLM")
    n: int | None = Field(default=1, ge=1, le=MOST_CHOICES)
    seed: int | None = Field(default=0, ge=-(1 << 63), lt=1 << 63)
    stop: str | list[str] | None = None
    logprobs: bool | None = False
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    response_format: ResponseFormat | None = None
    tools: list[Tool] | None = Field(default=None, max_length=128)
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = True
    reasoning_effort: AnyEffort | None = None
    contemplate: ContemplateOptions | None = None
    actions: list[str] | None = Field(
        default=None, description="what the model may do by itself; by default, without tools, what it has learned"
    )
    visual_thoughts: bool | None = Field(
        default=False, description="return reasoning_parts: thoughts with the pictures drawn among them"
    )
    frequency_penalty: Literal[0] | float | None = None
    presence_penalty: Literal[0] | float | None = None
    modalities: list[Literal["text"]] | None = None
    # Not supported; null is as if they were left out.
    audio: None = None
    function_call: None = None
    functions: None = None
    logit_bias: None = None
    prediction: None = None
    verbosity: None = None
    web_search_options: None = None
    # Taken for the sake of clients that send them; none changes an answer.
    user: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None

    async def conversation(self, database: Database, key: int | None) -> list[dict[str, Any]]:
        """Return the messages."""
        return self.messages

    def job(self, messages: list[dict[str, Any]]) -> Job:
        """Return what is asked. Raises ApiError, or another CastaliaError about a message, if it cannot be."""
        for name in ("frequency_penalty", "presence_penalty"):
            if getattr(self, name):
                raise ApiError(f"{name} is not supported: leave it out", param=name, code="unsupported_parameter")
        if self.top_logprobs and not self.logprobs:
            raise ApiError("top_logprobs needs logprobs", param="top_logprobs")
        functions = tuple(tool.function.made() for tool in self.tools or ())
        named = self.tool_choice.function.name if isinstance(self.tool_choice, NamedTool) else None
        choice = self.tool_choice if isinstance(self.tool_choice, str) else None
        asked = Job(
            prompt=with_something(parse_messages(messages)),
            effort=effort(self.reasoning_effort),
            max_tokens=self.max_completion_tokens or self.max_tokens,
            sampling=sampling(
                self.temperature,
                self.top_p,
                self.seed,
                self.stop,
                min_p=self.min_p,
                top_k=self.top_k,
                n=self.n,
                top_logprobs=self.top_logprobs,
                min_tokens=self.min_tokens,
            ),
            contemplate=self.contemplate.made() if self.contemplate else None,
            actions=None if self.actions is None else tuple(self.actions),
            functions=functions,
            tool_choice=chosen_tool(choice, named, functions),
            parallel=self.parallel_tool_calls is not False,
            schema=_schema(self.response_format),
            logprobs=bool(self.logprobs),
        )
        return free_for_agents(asked)


def _schema(wanted: ResponseFormat | None) -> dict[str, Any] | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return {}
    if wanted.json_schema is None:
        raise ApiError("response_format of type json_schema needs a json_schema", param="response_format")
    return wanted.json_schema.schema_


router = APIRouter(route_class=JsonRoute)


@router.post("/v1/chat/completions")
async def create(body: ChatRequest, request: Request) -> Response:
    """Go on with a conversation."""
    end = "data: [DONE]\n\n"
    return await answered(request, body, Completion(body), stream=bool(body.stream), frame=data_only, end=end)


def data_only(chunk: dict[str, Any]) -> str:
    """Return a chunk as a server-sent event without a name."""
    return f"data: {dumped(chunk)}\n\n"


class Completion(Answer):
    """One answer in the making: collects updates, and says them as chunks or, at the end, as a whole."""

    def __init__(self, request: ChatRequest) -> None:
        super().__init__()
        self.request = request
        self.id, self.created = f"chatcmpl-{secrets.token_hex(12)}", int(time.time())
        self.ids: dict[tuple[int, int], str] = {}

    def whole(self) -> dict[str, Any]:
        """Return the whole answer."""
        choices = [
            {
                "index": index,
                "message": self._message(index, choice),
                "finish_reason": why(choice),
                "logprobs": {"content": logprob_content(choice.tokens), "refusal": None}
                if self.request.logprobs
                else None,
            }
            for index, choice in enumerate(self.choices)
        ]
        return self._frame("chat.completion") | {"choices": choices, "usage": usage_json(self.usage)}

    def begin(self) -> list[dict[str, Any]]:
        """Return a chunk that begins each choice."""
        return [self._chunk(index, {"role": "assistant", "content": ""}) for index in range(len(self.choices))]

    def take(self, update: Update) -> list[dict[str, Any]]:
        """Take in one update; return the chunks that tell of it."""
        piece, choice = update.piece, self.choices[update.choice]
        number = len(choice.functions)
        if update.agent is None:
            choice.add(piece)
        chunks = [self._chunk(update.choice, delta, logprobs=found) for delta, found in self._deltas(update, number)]
        if isinstance(piece, Done) and update.agent is None:
            self.done.append(piece)
            chunks.append(self._chunk(update.choice, {}, finish=why(choice)))
        return chunks

    def end(self) -> list[dict[str, Any]]:
        """Return the chunk of what all has cost, if that is wanted."""
        if not (self.request.stream_options and self.request.stream_options.include_usage):
            return []
        return [self._frame("chat.completion.chunk") | {"choices": [], "usage": usage_json(self.usage)}]

    def _deltas(self, update: Update, number: int) -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
        piece = update.piece
        if update.agent is not None:
            return [({"agent": agent_event(update)}, None)]
        if isinstance(piece, Words) and piece.kind == "thought":
            return [(_reasoning(piece.text) | self._parts(update), None)]
        if isinstance(piece, Words):
            wanted = self.request.logprobs
            logprobs = {"content": logprob_content(piece.tokens), "refusal": None} if wanted else None
            return [({"content": piece.text}, logprobs)]
        if self.choices[update.choice].leaves(piece):
            return [({"tool_calls": [{"index": number} | self._call(update.choice, number, piece.call)]}, None)]
        parts = self._parts(update)
        return [(parts, None)] if parts else []

    def _parts(self, update: Update) -> dict[str, Any]:
        parts = reasoning_parts([update.piece]) if self.request.visual_thoughts else []
        return {"reasoning_parts": parts} if parts else {}

    def _message(self, index: int, choice: Choice) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": choice.answer, "refusal": None}
        if choice.thoughts:
            message |= _reasoning(choice.thoughts)
        if self.request.visual_thoughts:
            message["reasoning_parts"] = reasoning_parts(choice.trail)
        if calls := choice.functions:
            message["tool_calls"] = [self._call(index, number, call) for number, call in enumerate(calls)]
            message["content"] = choice.answer or None
        return message

    def _call(self, choice: int, number: int, call: Call) -> dict[str, Any]:
        name = self.ids.setdefault((choice, number), f"call_{secrets.token_hex(12)}")
        return {"id": name, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}

    def _chunk(
        self, index: int, delta: dict[str, Any], finish: str | None = None, logprobs: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "finish_reason": finish, "logprobs": logprobs}
        return self._frame("chat.completion.chunk") | {"choices": [choice]}

    def _frame(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.request.model,
            "system_fingerprint": "castalia",
        }


def _reasoning(text: str) -> dict[str, Any]:
    return {"reasoning": text, "reasoning_content": text}


def agent_event(update: Update) -> dict[str, Any]:
    """Return what one agent has done, for a stream that shows agents side by side."""
    piece = update.piece
    event: dict[str, Any] = {"agent": update.agent, "round": update.round}
    if isinstance(piece, Words):
        return event | {"type": piece.kind, "text": piece.text}
    if isinstance(piece, Acted):
        return event | {"type": "action", "name": piece.call.name, "arguments": piece.call.arguments}
    if isinstance(piece, Seen):
        return event | {"type": "observation", "parts": reasoning_parts([piece])}
    return event | {"type": "done", "answer": piece.answer, "stopped": piece.stopped}


def usage_json(usage: Usage) -> dict[str, Any]:
    """Return usage as this API has it."""
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning, "audio_tokens": 0},
    }
