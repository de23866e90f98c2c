"""Documents as messages in OpenAI's chat format, and actions as tools, for models that are not ours."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from castalia.actions.action import Action
from castalia.document import Call, Content, Document, Image, Speech
from castalia.serve.api.asking import picture_url
from castalia.serve.service.functions import Function

POOLED = "Several agents have worked on this. What they concluded, after how many concluded it: {}. \
Decide what is right, which need not be what most of them say, and answer the question."


def as_messages(document: Document) -> list[dict[str, Any]]:
    """Return a document as messages; what agents have concluded (said by no tool that was called) is explained."""
    messages: list[dict[str, Any]] = []
    waiting: list[str] = []
    for number, part in enumerate(document):
        content = part.content
        if isinstance(content, Call):
            call = {"name": content.name, "arguments": content.arguments}
            made = {"id": f"call_{number}", "type": "function", "function": call}
            if messages and messages[-1].get("tool_calls") and len(waiting) > 0:
                messages[-1]["tool_calls"].append(made)
            else:
                messages.append({"role": "assistant", "content": None, "tool_calls": [made]})
            waiting.append(made["id"])
        elif part.author == "tool" and waiting:
            messages += observed(waiting.pop(0), Document((part,)))
        elif part.author == "tool":
            messages.append({"role": "user", "content": POOLED.format(content)})
        elif part.thought:
            continue  # thoughts of other turns are not sent back
        else:
            _say(messages, part.author, _part(content))
    return messages


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


def observed(call_id: str, seen: Document) -> list[dict[str, Any]]:
    """Return what a call has returned: its words as the tool's, its pictures as a message after it."""
    texts = [part.content for part in seen if isinstance(part.content, str)]
    images = [part.content for part in seen if isinstance(part.content, Image)]
    said = " ".join(texts) or ("the picture follows" if images else "done")
    messages: list[dict[str, Any]] = [{"role": "tool", "tool_call_id": call_id, "content": said}]
    if images:
        messages.append({"role": "user", "content": [_part(image) for image in images]})
    return messages


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
