"""What `/v1/responses` takes: items of a conversation, new ones after those of a previous response."""

import asyncio
import base64
import binascii
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, PrivateAttr, Tag

from castalia.data.messages import parse_messages
from castalia.serve.api.asking import (
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
    sampling,
    with_something,
)
from castalia.serve.database import Database, StoredResponse
from castalia.serve.errors import ApiError
from castalia.serve.service.job import Job

ENCODED = "castalia.1."
"""What begins reasoning that clients keep and send back."""
UNSAID = ("reasoning", "code_interpreter_call")
"""Items that are no messages: thoughts go with the answer after them, and what code found is among the thoughts."""


class ResponseTool(FunctionOptions):
    """A function of the client's."""

    type: Literal["function"]


class ServerTool(Strict):
    """A tool that runs here: Python in a sandbox."""

    type: Literal["code_interpreter"]
    container: dict[str, Any] | str | None = None


def _kind(tool: Any) -> str:
    """Return the name of a tool's class, or its type if it has none."""
    kind = tool.get("type") if isinstance(tool, dict) else getattr(tool, "type", None)
    return {"function": "ResponseTool", "code_interpreter": "ServerTool"}.get(str(kind), str(kind))


AnyTool = Annotated[
    Annotated[ResponseTool, Tag("ResponseTool")] | Annotated[ServerTool, Tag("ServerTool")], Discriminator(_kind)
]


class NamedTool(Strict):
    """The tool that must be called."""

    type: Literal["function"]
    name: str


class TextFormat(Strict):
    """What an answer is."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    name: str | None = None
    description: str | None = None
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None


class TextOptions(Strict):
    """What an answer is, and how long."""

    format: TextFormat = Field(default_factory=TextFormat)
    verbosity: str | None = None


class ReasoningOptions(Strict):
    """How much thought is wanted."""

    effort: AnyEffort | None = None
    summary: str | None = None
    generate_summary: str | None = None


class ResponsesRequest(Strict):
    """What to answer."""

    model: str
    input: str | list[dict[str, Any]]
    instructions: str | None = None
    previous_response_id: str | None = Field(default=None, max_length=200)
    store: bool | None = True
    include: list[str] | None = None
    stream: bool | None = False
    stream_options: dict[str, Any] | None = None
    max_output_tokens: int | None = Field(default=None, ge=1, le=MOST_TOKENS)
    temperature: Temperature | None = Field(default=0.0, description="0, the default, takes the likeliest tokens")
    top_p: Share | None = 1.0
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    seed: int | None = Field(default=0, ge=-(1 << 63), lt=1 << 63)
    reasoning: ReasoningOptions | None = None
    text: TextOptions | None = None
    tools: list[AnyTool] | None = Field(default=None, max_length=128)
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = True
    truncation: Literal["auto", "disabled"] | None = "disabled"
    background: Literal[False] | None = None
    contemplate: ContemplateOptions | None = None
    actions: list[str] | None = None
    visual_thoughts: bool | None = Field(default=False, description="pictures drawn in thought are in the reasoning")
    # Not supported; null is as if they were left out.
    context_management: None = None
    conversation_: None = Field(default=None, alias="conversation")
    prompt: None = None
    # Taken for the sake of clients that send them; none changes an answer.
    metadata: dict[str, str] | None = None
    user: str | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    max_tool_calls: int | None = None
    _said: list[dict[str, Any]] = PrivateAttr(default_factory=list)
    _places: list[str] = PrivateAttr(default_factory=list)

    @property
    def said(self) -> list[dict[str, Any]]:
        """The conversation, once it has been looked up."""
        return self._said

    @property
    def logprobs(self) -> bool:
        """Whether log-probabilities are wanted."""
        return "message.output_text.logprobs" in (self.include or ())

    async def conversation(self, database: Database, key: int | None) -> list[dict[str, Any]]:
        """Return what has been said before this and in it, as messages. Raises ApiError if it is not to be had."""
        before: list[dict[str, Any]] = []
        if self.previous_response_id:
            kept = await asyncio.to_thread(database.get, StoredResponse, self.previous_response_id, key)
            if kept is None:
                message = f"there is no response {self.previous_response_id[:80]!r}"
                raise ApiError(message, 404, "previous_response_not_found", "previous_response_id")
            before = kept.body["messages"]
        self._said = before + messages_of(self.input)
        self._places = [*["previous_response_id"] * len(before), *_places(self.input)]
        return self._said

    def job(self, messages: list[dict[str, Any]]) -> Job:
        """Return what is asked. Raises ApiError, or another CastaliaError about an item, if it cannot be."""
        instructed = [{"role": "system", "content": self.instructions}] if self.instructions else []
        places = [*["instructions"] * len(instructed), *self._places]
        functions = tuple(tool.made() for tool in self.tools or () if isinstance(tool, ResponseTool))
        actions = None if self.actions is None else tuple(self.actions)
        if any(isinstance(tool, ServerTool) for tool in self.tools or ()):
            actions = tuple(dict.fromkeys((*(actions or ()), "python")))
        named = self.tool_choice.name if isinstance(self.tool_choice, NamedTool) else None
        choice = self.tool_choice if isinstance(self.tool_choice, str) else None
        wanted = self.format
        if wanted.type == "json_schema" and wanted.schema_ is None:
            raise ApiError("text.format of type json_schema needs a schema", param="text.format.schema")
        asked = Job(
            prompt=with_something(parse_messages([*instructed, *messages], places=places)),
            effort=effort(self.reasoning.effort if self.reasoning else None),
            max_tokens=self.max_output_tokens,
            sampling=sampling(self.temperature, self.top_p, self.seed, None, top_logprobs=self.top_logprobs),
            contemplate=self.contemplate.made() if self.contemplate else None,
            actions=actions,
            functions=functions,
            tool_choice=chosen_tool(choice, named, functions),
            parallel=self.parallel_tool_calls is not False,
            logprobs=self.logprobs,
            schema={"text": None, "json_object": {}, "json_schema": wanted.schema_}[wanted.type],
        )
        return free_for_agents(asked)

    @property
    def format(self) -> TextFormat:
        """What the answer is."""
        return self.text.format if self.text else TextFormat()


def messages_of(items: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return items of a conversation as messages in OpenAI's chat format. Raises ApiError, naming the item."""
    if isinstance(items, str):
        return [{"role": "user", "content": items}]
    messages: list[dict[str, Any]] = []
    thought = ""
    for number, item in enumerate(items):
        kind = item.get("type", "message")
        if kind == "reasoning":
            thought = f"{thought} {reasoning_text(item)}".strip()
        if kind in UNSAID:
            continue
        message = _message(item, kind, f"input[{number}]")
        if thought and message["role"] == "assistant":
            message["reasoning_content"] = thought
        thought = ""  # thoughts of a turn that was cut off belong to no later one
        messages.append(message)
    return messages


def _places(items: str | list[dict[str, Any]]) -> list[str]:
    """Return where in what the client sent each of `messages_of` stands."""
    if isinstance(items, str):
        return ["input"]
    return [f"input[{number}]" for number, item in enumerate(items) if item.get("type", "message") not in UNSAID]


def _message(item: dict[str, Any], kind: Any, where: str) -> dict[str, Any]:
    if kind == "message":
        content = item.get("content")
        if isinstance(content, list):
            content = [_part(part, f"{where}.content[{n}]") for n, part in enumerate(content)]
        return {"role": item.get("role"), "content": content}
    if kind == "function_call":
        call = {"id": item.get("call_id"), "type": "function", "function": {"name": item.get("name")}}
        call["function"]["arguments"] = item.get("arguments", "{}")
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    if kind == "function_call_output":
        output = item.get("output")
        if isinstance(output, list):
            output = [_part(part, f"{where}.output[{n}]") for n, part in enumerate(output)]
        return {"role": "tool", "tool_call_id": item.get("call_id"), "content": output}
    raise ApiError(f"{where}: items of type {str(kind)[:40]!r} are not supported", param=where)


def _part(part: Any, where: str) -> Any:
    """Return a part of an item's content as one of a message's."""
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in ("input_text", "output_text", "text", "refusal"):
        return {"type": "text", "text": part.get("text", part.get("refusal"))}
    if kind == "input_image":
        if not part.get("image_url"):
            raise ApiError(f"{where}: a picture needs an image_url; files are not kept here", param=where)
        return {"type": "image_url", "image_url": {"url": part["image_url"]}}
    if kind == "input_audio":
        return {"type": "input_audio", "input_audio": part.get("input_audio")}
    raise ApiError(f"{where}: parts of type {str(kind)[:40]!r} are not supported", param=where)


def reasoning_text(item: dict[str, Any]) -> str:
    """Return the thoughts of a reasoning item that comes back, as text or encoded. Raises ApiError if it is broken."""
    content, encoded = item.get("content"), item.get("encrypted_content")
    if isinstance(content, list) and content:
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict)).strip()
    if not encoded:
        return ""
    try:
        if not isinstance(encoded, str) or not encoded.startswith(ENCODED):
            raise ValueError
        return base64.b64decode(encoded.removeprefix(ENCODED), validate=True).decode()
    except (ValueError, binascii.Error) as error:
        raise ApiError("the encrypted_content of a reasoning item is not one of ours") from error


def encoded_reasoning(text: str) -> str:
    """Return thoughts as clients keep them that store nothing here."""
    return ENCODED + base64.b64encode(text.encode()).decode()
