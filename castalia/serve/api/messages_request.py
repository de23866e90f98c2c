"""What `/v1/messages` takes: messages of blocks, as Anthropic's clients send them."""

import json
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field, PrivateAttr

from castalia.data.messages import parse_messages
from castalia.serve.api.asking import (
    MOST_TOKENS,
    AnyEffort,
    ContemplateOptions,
    Share,
    Strict,
    chosen_tool,
    effort,
    free_for_agents,
    sampling,
    with_something,
)
from castalia.serve.database import Database
from castalia.serve.errors import ApiError
from castalia.serve.service.functions import Function
from castalia.serve.service.job import Job
from castalia.tasks.effort import EFFORTS, THINKING, Effort


class MessagesTool(Strict):
    """A function of the client's."""

    type: Literal["custom"] | None = None
    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")
    description: str | None = ""
    input_schema: dict[str, Any] = Field(default_factory=lambda: {"type": "object"})
    cache_control: dict[str, Any] | None = None
    strict: bool | None = None


class MessagesToolChoice(Strict):
    """Whether tools may or must be called."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = False


class ThinkingOptions(Strict):
    """Whether the model thinks first, and for how many tokens."""

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: int | None = Field(default=None, ge=0)
    display: str | None = None


class OutputOptions(Strict):
    """What an answer is, and how much effort it is worth."""

    effort: AnyEffort | Literal["max"] | None = None
    format: dict[str, Any] | None = None


class CountRequest(Strict):
    """A conversation."""

    model: str
    messages: list[dict[str, Any]] = Field(min_length=1)
    system: str | list[dict[str, Any]] | None = None
    tools: list[MessagesTool] | None = Field(default=None, max_length=128)
    tool_choice: MessagesToolChoice | None = None
    thinking: ThinkingOptions | None = None
    output_config: OutputOptions | None = None
    cache_control: dict[str, Any] | None = None
    _places: list[str] = PrivateAttr(default_factory=list)

    async def conversation(self, database: Database, key: int | None) -> list[dict[str, Any]]:
        """Return the messages in OpenAI's format. Raises ApiError, naming what cannot be understood."""
        before = [("system", {"role": "system", "content": _text(self.system, "system")})] if self.system else []
        made = before + [placed for n, message in enumerate(self.messages) for placed in _messages(message, n)]
        self._places = [place for place, _ in made]
        return [message for _, message in made]

    def job(self, messages: list[dict[str, Any]]) -> Job:
        """Return what is asked. Raises ApiError, or another CastaliaError about a message, if it cannot be."""
        functions = tuple(Function(t.name, t.description or "", t.input_schema) for t in self.tools or ())
        wanted = self.tool_choice or MessagesToolChoice(type="auto")
        if wanted.type == "tool" and not wanted.name:
            raise ApiError("tool_choice of type 'tool' needs a name", param="tool_choice")
        choice = {"any": "required", "tool": None}.get(wanted.type, wanted.type)
        return Job(
            prompt=with_something(parse_messages(messages, places=self._places)),
            effort=self.effort,
            functions=functions,
            tool_choice=chosen_tool(choice, wanted.name if wanted.type == "tool" else None, functions),
            parallel=not wanted.disable_parallel_tool_use,
            schema=self._schema(),
        )

    @property
    def effort(self) -> Effort:
        """How much thought is wanted: by name, or by the tokens that it may take."""
        if self.thinking and self.thinking.type == "disabled":
            return "none"
        if self.output_config and self.output_config.effort:
            wanted = self.output_config.effort
            return "high" if wanted == "max" else effort(wanted)
        if self.thinking is None or self.thinking.type == "adaptive":
            return "medium"
        budget = self.thinking.budget_tokens or 0
        return max((effort for effort in EFFORTS if THINKING[effort] <= budget), key=THINKING.__getitem__)

    @property
    def shows_thoughts(self) -> bool:
        """Whether thoughts are returned, and not only had."""
        return self.thinking is not None and self.thinking.type != "disabled" and self.thinking.display != "omitted"

    def _schema(self) -> dict[str, Any] | None:
        wanted = self.output_config.format if self.output_config else None
        if wanted is None:
            return None
        if wanted.get("type") != "json_schema" or not isinstance(wanted.get("schema"), dict):
            raise ApiError("output_config.format is of type json_schema and has a schema", param="output_config.format")
        return wanted["schema"]


class MessagesRequest(CountRequest):
    """A conversation to go on with."""

    max_tokens: int = Field(ge=1, le=MOST_TOKENS)
    stream: bool | None = False
    stop_sequences: list[str] | None = None
    temperature: Share | None = Field(default=0.0, description="0, the default, takes the likeliest tokens")
    top_p: Share | None = None
    top_k: int | None = Field(default=None, ge=0, le=MOST_TOKENS)
    seed: int | None = Field(default=0, ge=-(1 << 63), lt=1 << 63)
    contemplate: ContemplateOptions | None = None
    actions: list[str] | None = None
    # Not supported; null is as if they were left out.
    container: None = None
    context_management: None = None
    mcp_servers: None = None
    # Taken for the sake of clients that send them; none changes an answer.
    metadata: dict[str, Any] | None = None
    service_tier: str | None = None

    def job(self, messages: list[dict[str, Any]]) -> Job:
        """Return what is asked. Raises ApiError, or another CastaliaError about a message, if it cannot be."""
        job = super().job(messages)
        asked = replace(
            job,
            max_tokens=self.max_tokens,
            sampling=sampling(self.temperature, self.top_p, self.seed, self.stop_sequences, top_k=self.top_k),
            contemplate=self.contemplate.made() if self.contemplate else None,
            actions=None if self.actions is None else tuple(self.actions),
        )
        return free_for_agents(asked)


def _messages(message: dict[str, Any], number: int) -> list[tuple[str, dict[str, Any]]]:
    """Return one message as one or several of OpenAI's, each after its place: there, blocks are messages."""
    role, content, where = message.get("role"), message.get("content"), f"messages[{number}]"
    if role not in ("user", "assistant"):
        raise ApiError(f"{where}.role is 'user' or 'assistant', not {str(role)[:40]!r}", param=where)
    if isinstance(content, str):
        return [(where, {"role": role, "content": content})]
    if not isinstance(content, list):
        raise ApiError(f"{where}.content is text or a list of blocks", param=where)
    made: list[tuple[str, dict[str, Any]]] = []
    for place, block in enumerate(content):
        kind = block.get("type") if isinstance(block, dict) else None
        at = f"{where}.content[{place}]"
        if kind == "tool_result":
            output = block.get("content") or ""
            if not isinstance(output, str | list):
                raise ApiError(f"{at}.content is text or a list of blocks", param=at)
            shown = output if isinstance(output, str) else [_part(part, at) for part in output]
            shown = _failure(shown) if block.get("is_error") is True else shown
            made.append((at, {"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": shown}))
        elif kind == "tool_use":
            call = {"name": block.get("name"), "arguments": json.dumps(block.get("input") or {})}
            tool_calls = [{"id": block.get("id"), "type": "function", "function": call}]
            made.append((at, {"role": role, "content": None, "tool_calls": tool_calls}))
        elif kind == "thinking":
            thought = str(block.get("thinking", ""))
            made.append((at, {"role": role, "content": None, "reasoning_content": thought}))
        elif kind != "redacted_thinking":
            made.append((at, {"role": role, "content": [_part(block, at)]}))
    return made


def _failure(shown: str | list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """Return what a tool says that has failed, marked as what our own actions say then is."""
    if isinstance(shown, str):
        return f"error: {shown}".strip()
    if shown and isinstance(text := shown[0].get("text"), str):
        return [{"type": "text", "text": f"error: {text}".strip()}, *shown[1:]]
    return [{"type": "text", "text": "error:"}, *shown]


def _part(block: Any, where: str) -> dict[str, Any]:
    kind = block.get("type") if isinstance(block, dict) else None
    if kind == "text":
        return {"type": "text", "text": block.get("text")}
    source = block.get("source") if isinstance(block, dict) else None
    if kind in ("image", "audio") and isinstance(source, dict):
        if source.get("type") == "base64":
            url = f"data:{source.get('media_type')};base64,{source.get('data')}"
        elif source.get("type") == "url":
            url = source.get("url")
        else:
            raise ApiError(f"{where}.source is of type 'base64' or 'url'", param=where)
        name = "image_url" if kind == "image" else "audio_url"
        return {"type": name, name: {"url": url}}
    raise ApiError(f"{where}: blocks of type {str(kind)[:40]!r} are not supported", param=where)


def _text(text: str | list[dict[str, Any]], where: str) -> str:
    if isinstance(text, str):
        return text
    if not all(isinstance(block.get("text"), str) for block in text):
        raise ApiError(f"{where} is text, or a list of blocks of text", param=where)
    return "\n".join(block["text"] for block in text)
