"""The tools of any MCP server (Model Context Protocol) as actions, through the official SDK."""

import asyncio
import base64
import io
import json
import shlex
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image as pillow

from castalia.actions.action import Parameter, State, said
from castalia.actions.canvas import LONGEST_SIDE
from castalia.document import Document, Image, Part
from castalia.errors import ActionError

MOST_TOOLS = 1_000
MOST_PICTURES = 4
MOST_PIXELS = 16_000_000
"""Of one answer's pictures together."""
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
        # Half a surrogate pair cannot be sent; the SDK would find out too late, and end the connection of all.
        sendable = json.loads(json.dumps(given, ensure_ascii=False).encode("utf-8", "replace"))
        return self.server.call(self.tool, sendable, state)


class ToolServer:
    """A running MCP server, with its tools as `actions` by name; to be closed, or used in a ``with`` statement.

    `address` is an http:// or https:// URL, or a command that starts the server, which then talks over its standard
    input and output. A command's process gets few variables (PATH and HOME among them) besides `environment`; `headers`
    go with every HTTP request. `prefix` comes before every tool's name. An answer may take `seconds`, and `output`
    characters of it are kept, with at most `MOST_PICTURES` pictures. If a call fails, and the server does not then list
    its tools within a second, it is given up: the next call connects anew, and starts the command again.

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
        if not self.address.strip():
            raise ActionError("a tool server is given by a URL, or by a command that starts it")
        self.headers, self.environment = dict(headers or {}), dict(environment or {})
        self.seconds, self.output = seconds, output
        self._loop = asyncio.new_event_loop()
        self._lock, self._closed = threading.Lock(), False
        self._connection: asyncio.Future[Any] | None = None
        self._changed = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        try:
            tools = asyncio.run_coroutine_threadsafe(self._list(), self._loop).result()
            self.actions = {action.name: action for action in (_action(tool, prefix, self) for tool in tools)}
        except ImportError as error:
            self.close()
            raise ActionError("the MCP SDK is not installed: pip install 'castalia[mcp]'") from error
        except Exception as error:
            self.close()
            raise ActionError(f"no tools from {self.address}: {self._reason(error)}") from error

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
                self._closed = True
                self._loop.call_soon_threadsafe(self._changed.set)
        self._thread.join()

    def __enter__(self) -> "ToolServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._live())

    async def _live(self) -> None:
        # All of the SDK lives on one loop in one task, as its cancel scopes must be left where they were entered.
        while not self._closed:
            await self._changed.wait()
            self._changed.clear()
            connection = self._connection
            if connection is None or self._closed:
                continue
            try:
                async with AsyncExitStack() as stack:
                    async with asyncio.timeout(self.seconds):
                        client = await self._connect(stack)
                    connection.set_result(client)
                    await self._changed.wait()
            except BaseException as error:  # cancellation too: the SDK cancels its own tasks as a server dies
                # What goes wrong with a connection in use is what its calls are told of.
                if not connection.done():
                    self._connection = None
                    connection.set_exception(error)
                    connection.exception()  # whoever waited for it may have left

    async def _connected(self) -> Any:
        """Return the SDK's client; if the server was lost, of a new connection (to a new process)."""
        if self._connection is None:
            self._connection = self._loop.create_future()
            self._changed.set()
        return await asyncio.shield(self._connection)

    async def _check(self, client: Any) -> None:
        """Give up the connection if the server does not answer: it has died, or is stuck, or talks without end."""
        try:
            async with asyncio.timeout(min(1.0, self.seconds)):
                await client.session.list_tools()
        except Exception:
            if self._connection is not None and self._connection.done() and self._connection.result() is client:
                self._connection = None
                self._changed.set()

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
        headers = {"Accept-Encoding": "identity", **self.headers}
        client = httpx2.AsyncClient(headers=headers, timeout=timeout, event_hooks={"response": [_bound]})
        http = await stack.enter_async_context(client)
        transport = streamable_http_client(self.address, http_client=http, max_sse_event_size=MOST_BYTES)
        return await stack.enter_async_context(Client(transport))

    async def _list(self) -> list[Any]:
        tools: list[Any] = []
        cursor = None
        async with asyncio.timeout(self.seconds):
            client = await self._connected()
            while len(tools) < MOST_TOOLS:
                page = await client.list_tools(cursor=cursor)
                tools += page.tools
                cursor = page.next_cursor
                if cursor is None:
                    break
        return tools[:MOST_TOOLS]

    async def _call(self, tool: str, arguments: dict[str, Any], state: State) -> Document:
        client = None
        try:
            async with asyncio.timeout(self.seconds):
                client = await self._connected()
                result = await client.call_tool(tool, arguments)
                document = await asyncio.to_thread(perceived, result, self.output)
        except Exception as error:
            if client is not None:
                await self._check(client)
            raise ActionError(f"{tool} failed: {self._reason(error)}") from error
        # The reply that called waits for this, so nobody else is at its state now.
        state.keep([part.content for part in document if isinstance(part.content, Image)])
        return document

    def _reason(self, error: BaseException) -> str:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, TimeoutError):
            return f"no answer within {self.seconds:g} seconds"
        return str(error) or type(error).__name__


async def _bound(response: Any) -> None:
    """Let no answer over HTTP exceed `MOST_BYTES`. Streams of events go on and on; the SDK bounds each event."""
    import httpx2

    class Bounded(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for chunk in body:
                size += len(chunk)
                if size > MOST_BYTES:
                    raise httpx2.StreamError(f"the answer has more than {MOST_BYTES:,} bytes")
                yield chunk

        async def aclose(self) -> None:
            await body.aclose()

    # What is packed, though nobody asked for that, could unpack to any size: it stays as it is, and is no JSON then.
    response.headers.pop("content-encoding", None)
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        body, response.stream = response.stream, Bounded()


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
    properties, required = schema.get("properties") or {}, schema.get("required") or []
    definitions = {name: schema[name] for name in ("$defs", "definitions") if name in schema}
    parameters = []
    for name, values in properties.items():
        values = values if isinstance(values, dict) else {}  # `true` is a schema too
        default = ... if name in required else values.get("default")
        parameters.append(Parameter(name, {**values, **definitions}, default))
    return tuple(sorted(parameters, key=lambda parameter: not parameter.required))


def perceived(result: Any, limit: int) -> Document:
    """Return a tool's result (the SDK's `CallToolResult`) as a document: `limit` characters of text, and pictures.

    What is neither is named in words. A result without content is its structured content as JSON.
    """
    contents: list[str | Image] = ["error:"] if result.is_error else []
    pictures, room = 0, MOST_PIXELS
    for content in result.content:
        pictures += content.type == "image"
        seen = content.type == "image" and pictures <= MOST_PICTURES
        contents.append(_picture(content.data, room) if seen else _text(content))
        if isinstance(contents[-1], Image):
            room -= contents[-1].height * contents[-1].width
    if not result.content and result.structured_content is not None:
        contents.append(json.dumps(result.structured_content, ensure_ascii=False))
    document = Document()
    for content in contents:
        if isinstance(content, Image):
            document += Document((Part(content, "tool"),))
        elif content and limit > 0:
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


def _picture(data: str, room: int) -> Image | str:
    """Decode a picture of at most `room` pixels; what is wrong with it is returned as text."""
    try:
        with pillow.open(io.BytesIO(base64.b64decode(data)), formats=PICTURE_FORMATS) as picture:
            if picture.width * picture.height > room or max(picture.size) > LONGEST_SIDE:
                return f"(a picture of {picture.width} × {picture.height} pixels left out)"
            # What is transparent is laid on white, as everywhere pictures are read.
            if not picture.has_transparency_data:
                return Image(np.array(picture.convert("RGB")))
            layers = picture.convert("RGBA")
            flat = pillow.new("RGB", layers.size, "white")
            flat.paste(layers, mask=layers)
            return Image(np.array(flat))
    except Exception:  # decoders raise whatever a damaged file makes them hit
        return "(a picture that cannot be read left out)"
