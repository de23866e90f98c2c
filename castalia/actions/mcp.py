"""The tools of any MCP server (Model Context Protocol) as actions, through the official SDK."""

import asyncio
import base64
import io
import json
import shlex
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image as pillow

from castalia.actions.action import Parameter, State, said
from castalia.document import Document, Image, Part
from castalia.errors import ActionError

MOST_TOOLS = 1_000
MOST_PICTURES = 4
MOST_PIXELS = 16_000_000
MOST_BYTES = 32 << 20
"""Of one answer as it comes over HTTP, pictures included."""

PICTURE_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


@dataclass(frozen=True)
class Tool:
    """One tool of a server as an action: what the model calls it, what the server calls it, and its arguments."""

    name: str
    about: str
    parameters: tuple[Parameter, ...]
    server: "ToolServer"
    tool: str

    def run(self, arguments: dict[str, Any], state: State) -> Future:
        """Return a future of what the server answers; its pictures become canvases. Raises ActionError if closed."""
        optional = {parameter.name for parameter in self.parameters if not parameter.required}
        given = {name: value for name, value in arguments.items() if value is not None or name not in optional}
        return self.server.call(self.tool, given, state)


class ToolServer:
    """A running MCP server, with its tools as `actions` by name; to be closed, or used in a ``with`` statement.

    `address` is an http:// or https:// URL, or a command that starts the server, which then talks over its standard
    input and output. A command's process gets few variables (PATH and HOME among them) besides `environment`; `headers`
    go with every HTTP request. `prefix` comes before every tool's name. An answer may take `seconds`, and `output`
    characters of it are kept, with at most `MOST_PICTURES` pictures.

    Raises ActionError if the SDK is not installed, or the server cannot be reached or does not answer.
    """

    def __init__(
        self,
        address: str | Sequence[str],
        *,
        prefix: str = "",
        headers: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        seconds: float = 30.0,
        output: int = 10_000,
    ) -> None:
        self.address = address if isinstance(address, str) else shlex.join(address)
        self.headers, self.environment = dict(headers or {}), dict(environment or {})
        self.seconds, self.output = seconds, output
        self._lock, self._closed = threading.Lock(), False
        opened: Future = Future()
        # All of the SDK lives on one loop in one task, as its cancel scopes must be left where they were entered.
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live(opened)), daemon=True)
        self._thread.start()
        try:
            tools = opened.result()
        except ImportError as error:
            raise ActionError("the MCP SDK is not installed: pip install 'castalia[mcp]'") from error
        except Exception as error:
            raise ActionError(f"no tools from {self.address}: {self._reason(error)}") from error
        self.actions = {action.name: action for action in (_action(tool, prefix, self) for tool in tools)}

    def call(self, tool: str, arguments: dict[str, Any], state: State) -> Future:
        """Return a future of what the server's `tool` answers. Raises ActionError if the server is closed."""
        with self._lock:
            if self._closed:
                raise ActionError(f"the tool server {self.address} is closed")
            return asyncio.run_coroutine_threadsafe(self._call(tool, arguments, state), self._loop)

    def close(self) -> None:
        """End the connection, and the process if it is a command; what is under way is cancelled."""
        with self._lock:
            if not self._closed:
                self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()

    def __enter__(self) -> "ToolServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _live(self, opened: Future) -> None:
        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(self.seconds):
                    self._client = await self._connect(stack)
                    tools = await self._list()
                opened.set_result(tools)
                await self._closing.wait()
        except BaseException as error:
            # Once it is open nobody waits for this: a server that died is noticed by the next call.
            if not opened.done():
                opened.set_exception(error)
        finally:
            with self._lock:
                self._closed = True
            # Calls handed over before now become tasks here, and are cancelled as the loop ends: none is left hanging.
            await asyncio.sleep(0)

    async def _connect(self, stack: AsyncExitStack) -> Any:
        from mcp import Client, StdioServerParameters
        from mcp.client.streamable_http import streamable_http_client

        if not self.address.startswith(("http://", "https://")):
            command, *arguments = shlex.split(self.address)
            parameters = StdioServerParameters(command=command, args=arguments, env=self.environment)
            return await stack.enter_async_context(Client(parameters))
        import httpx2

        # Reading waits longer than a call may take: a stream that servers talk on by themselves is quiet for long.
        timeout = httpx2.Timeout(self.seconds, read=self.seconds + 300)
        http = await stack.enter_async_context(httpx2.AsyncClient(headers=self.headers, timeout=timeout))
        transport = streamable_http_client(self.address, http_client=http, max_sse_event_size=MOST_BYTES)
        return await stack.enter_async_context(Client(transport))

    async def _list(self) -> list[Any]:
        tools: list[Any] = []
        cursor = None
        while len(tools) < MOST_TOOLS:
            page = await self._client.list_tools(cursor=cursor)
            tools += page.tools
            cursor = page.next_cursor
            if cursor is None:
                break
        return tools[:MOST_TOOLS]

    async def _call(self, tool: str, arguments: dict[str, Any], state: State) -> Document:
        try:
            async with asyncio.timeout(self.seconds):
                result = await self._client.call_tool(tool, arguments)
                document = await asyncio.to_thread(perceived, result, self.output)
        except Exception as error:
            raise ActionError(f"{tool} failed: {self._reason(error)}") from error
        # The reply that called waits for this, so nobody else is at its state now.
        images = [part.content for part in document if isinstance(part.content, Image)]
        state.originals += images
        state.canvases += images
        return document

    def _reason(self, error: BaseException) -> str:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, TimeoutError):
            return f"no answer within {self.seconds:g} seconds"
        return str(error) or type(error).__name__


def _action(tool: Any, prefix: str, server: ToolServer) -> Tool:
    # A call's name ends at the first space.
    name = "_".join(f"{prefix}{tool.name}".split())
    about = " ".join((tool.description or tool.title or tool.name).split())
    return Tool(name, about[:500], parameters_of(tool.input_schema), server, tool.name)


def parameters_of(schema: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """Return the properties of a tool's JSON schema as parameters, those that must be given first.

    What need not be given has the default the schema states, else None, which is not sent. Definitions that properties
    refer to are put into each, so that every parameter's schema stands by itself.
    """
    properties, required = schema.get("properties", {}), schema.get("required", [])
    definitions = {name: schema[name] for name in ("$defs", "definitions") if name in schema}
    parameters = []
    for name, values in properties.items():
        values = values if isinstance(values, dict) else {}
        default = ... if name in required else values.get("default")
        parameters.append(Parameter(name, {**values, **definitions}, default))
    return tuple(sorted(parameters, key=lambda parameter: not parameter.required))


def perceived(result: Any, limit: int) -> Document:
    """Return a tool's result (the SDK's `CallToolResult`) as a document: `limit` characters of text, and pictures.

    What is neither is named in words. A result without content is its structured content as JSON.
    """
    contents: list[str | Image] = ["error:"] if result.is_error else []
    pictures = 0
    for content in result.content:
        pictures += content.type == "image"
        seen = content.type == "image" and pictures <= MOST_PICTURES
        contents.append(_picture(content.data) if seen else _text(content))
    if not result.content and result.structured_content is not None:
        contents.append(json.dumps(result.structured_content, ensure_ascii=False))
    document = Document()
    for content in contents:
        if isinstance(content, Image):
            document += Document((Part(content, "tool"),))
        elif limit > 0:
            document += said(content, limit)
            limit -= len(content)
    return document if document.parts else said("")


def _text(content: Any) -> str:
    if content.type == "text":
        return content.text
    if content.type == "resource_link":
        return f"({content.name}: {content.uri})"
    if content.type == "resource":
        return getattr(content.resource, "text", f"({content.resource.uri}, which is no text)")
    return f"({content.type} left out)"


def _picture(data: str) -> Image | str:
    """Decode a picture; what is wrong with it is returned as text."""
    try:
        with pillow.open(io.BytesIO(base64.b64decode(data)), formats=PICTURE_FORMATS) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                return f"(a picture of {picture.width} × {picture.height} pixels left out)"
            # What is transparent is laid on white, as everywhere pictures are read.
            layers = picture.convert("RGBA")
            white = pillow.new("RGBA", layers.size, "white")
            return Image(np.array(pillow.alpha_composite(white, layers).convert("RGB")))
    except Exception:  # decoders raise whatever a damaged file makes them hit
        return "(a picture that cannot be read left out)"
