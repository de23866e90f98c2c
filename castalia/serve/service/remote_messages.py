"""Documents as messages in OpenAI's chat format, and actions as tools, for models that are not ours."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from castalia.actions.action import Action
from castalia.document import Call, Content, Document, Image, Part, Speech
from castalia.serve.api.asking import picture_url
from castalia.serve.service.functions import Function

POOLED = "Several agents have worked on this. What they concluded, after how many concluded it: {}. \
Decide what is right, which need not be what most of them say, and answer the question."


def as_messages(document: Document) -> list[dict[str, Any]]:
    """Return a document of `parse_messages` as messages.

    Results stand right after the turn that called for them, as endpoints want it. What agents have concluded (said by
    a tool that nobody called) is explained.
    """
    messages: list[dict[str, Any]] = []
    results: dict[int, list[Part]] = {}
    for part in document:
        if part.author == "tool" and part.call is not None:
            results.setdefault(part.call, []).append(part)
    calls: list[Part] = []
    for part in document:
        if isinstance(part.content, Call):
            calls.append(part)
        elif part.thought or (part.author == "tool" and part.call is not None):
            continue  # thoughts of other turns are not sent back
        else:
            messages += _called(calls, results)
            calls = []
            if part.author == "tool":
                messages.append({"role": "user", "content": POOLED.format(part.content)})
            else:
                _say(messages, part.author, _part(part.content))
    return messages + _called(calls, results)


def _called(calls: list[Part], results: dict[int, list[Part]]) -> list[dict[str, Any]]:
    """Return the calls of one turn and their results."""
    made, seen = [], []
    for part in calls:
        assert isinstance(part.content, Call) and part.call is not None
        function = {"name": part.content.name, "arguments": part.content.arguments}
        made.append({"id": f"call_{part.call}", "type": "function", "function": function})
        result = results.get(part.call) or [Part("no result", "tool")]
        seen.append((f"call_{part.call}", Document(tuple(result))))
    return [{"role": "assistant", "content": None, "tool_calls": made}, *observed(seen)] if made else []


def _say(messages: list[dict[str, Any]], role: str, part: dict[str, Any]) -> None:
    """Add a part to the last message of the same author's, or begin one."""
    if messages and messages[-1]["role"] == role and messages[-1].get("content"):
        last = messages[-1]
        before = last["content"] if isinstance(last["content"], list) else [{"type": "text", "text": last["content"]}]
        last["content"] = [*before, part]
    else:
        messages.append({"role": role, "content": part["text"] if part["type"] == "text" else [part]})


def _part(content: Content) -> dict[str, Any]:
    if isinstance(content, Image):
        return {"type": "image_url", "image_url": {"url": picture_url(content)}}
    if isinstance(content, Speech):
        sound = {"data": base64.b64encode(content.wav()).decode(), "format": "wav"}
        return {"type": "input_audio", "input_audio": sound}
    return {"type": "text", "text": str(content)}


def observed(results: list[tuple[str, Document]]) -> list[dict[str, Any]]:
    """Return what the calls of one turn have returned, by their ids: words as the tools', then pictures as the user's.

    Endpoints take nothing between the results of one turn.
    """
    messages: list[dict[str, Any]] = []
    pictures: list[dict[str, Any]] = []
    for call_id, seen in results:
        images = [_part(part.content) for part in seen if isinstance(part.content, Image)]
        texts = [part.content for part in seen if isinstance(part.content, str)]
        said = " ".join(texts) or ("the picture follows" if images else "done")
        messages.append({"role": "tool", "tool_call_id": call_id, "content": said})
        pictures += images
    return [*messages, {"role": "user", "content": pictures}] if pictures else messages


def as_tools(acts: Mapping[str, Action], functions: tuple[Function, ...]) -> list[dict[str, Any]]:
    """Return actions, and the client's functions, as tools."""
    tools = [_tool(action.name, action.about, _schema(action)) for action in acts.values()]
    return tools + [_tool(f.name, f.description, f.parameters) for f in functions]


def _tool(name: str, description: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def _schema(action: Action) -> dict[str, Any]:
    properties = {parameter.name: parameter.schema for parameter in action.parameters}
    required = [parameter.name for parameter in action.parameters if parameter.required]
    return json.loads(json.dumps({"type": "object", "properties": properties, "required": required}))
