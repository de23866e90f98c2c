"""An MCP server for the tests, a program of its own: over stdio, or with ``--http`` on a port that it prints."""

import asyncio
import base64
import io
import os
import socket
import sys

import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import (
    AudioContent,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)
from PIL import Image as pillow
from pydantic import BaseModel

server = MCPServer("shelf")


class Place(BaseModel):
    row: int
    column: int


def png(width: int, height: int, colour: str) -> ImageContent:
    buffer = io.BytesIO()
    pillow.new("RGBA", (width, height), colour).save(buffer, "PNG")
    return ImageContent(type="image", mime_type="image/png", data=base64.b64encode(buffer.getvalue()).decode())


@server.tool()
def add(a: int, b: int = 1, note: str | None = "none") -> str:
    """Add two numbers.

    The second is one if it is not given.
    """
    return f"{a + b} ({note})"


@server.tool()
def at(place: Place) -> str:
    """Say a place."""
    return f"{place.row}, {place.column}"


@server.tool(structured_output=False)
def draw(width: int, height: int, colour: str = "red", count: int = 1) -> list[ImageContent | TextContent]:
    """Draw pictures of one colour."""
    return [TextContent(type="text", text="drawn:"), *[png(width, height, colour)] * count]


@server.tool(structured_output=False)
def spoiled() -> list[ImageContent]:
    """Return what claims to be pictures: noise, one that starts a program elsewhere, one that unpacks to gigabytes."""
    bomb = bytearray(base64.b64decode(png(1, 1, "red").data))
    bomb[16:24] = (50_000).to_bytes(4, "big") * 2
    files = (b"no picture", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", bytes(bomb))
    return [ImageContent(type="image", mime_type="image/png", data=base64.b64encode(f).decode()) for f in files]


@server.tool()
def mixed() -> CallToolResult:
    """Return what is neither text nor picture."""
    text = TextResourceContents(uri="file:///a.txt", text="inside")
    return CallToolResult(
        content=[
            AudioContent(type="audio", mime_type="audio/wav", data="AAAA"),
            ResourceLink(type="resource_link", name="book", uri="file:///b.txt"),
            EmbeddedResource(type="resource", resource=text),
        ]
    )


@server.tool()
def structured() -> CallToolResult:
    """Return structured content alone."""
    return CallToolResult(content=[], structured_content={"größe": [1, 2]})


@server.tool()
def flood(characters: int, parts: int = 1) -> CallToolResult:
    """Say very much."""
    return CallToolResult(content=[TextContent(type="text", text="x" * characters)] * parts)


@server.tool()
def broken() -> str:
    """Fail."""
    raise ToolError("the shelf is empty")


@server.tool()
async def slow(seconds: float, path: str = "") -> str:
    """Wait; leave a file at `path` if cancelled."""
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        if path:
            with open(path, "w") as file:
                file.write("cancelled")
        raise
    return "done"


@server.tool()
def pid() -> str:
    """Say which process the server is."""
    return str(os.getpid())


@server.tool()
def die() -> str:
    """End the server."""
    os._exit(1)


@server.tool()
def variables() -> str:
    """Say which variables the server sees."""
    return " ".join(sorted(name for name in os.environ if name.startswith("CASTALIA")))


@server.tool()
def header(context: Context) -> str:
    """Say what a header of the request was."""
    return str((context.headers or {}).get("authorization"))


@server.tool(name="two words")
def two_words() -> str:
    """Have a name that is no word."""
    return "found"


def main() -> None:
    if "--http" not in sys.argv:
        server.run()
        return
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(server.streamable_http_app(), log_level="error")).run(sockets=[listener])


if __name__ == "__main__":
    main()
