"""MCP over HTTP: what a server packs, though nobody asked for that, is not unpacked."""

import contextlib
import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from castalia.actions.mcp import ToolServer
from castalia.errors import ActionError

pytest.importorskip("mcp")


class Small(BaseHTTPRequestHandler):
    """A server with no tools, by hand; `packed` it answers in gzip, though nobody asked for that."""

    packed = False

    def do_POST(self) -> None:
        """Answer one message."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        info = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "small", "version": "1"}}
        result = {"initialize": info, "tools/list": {"tools": []}}.get(asked["method"])
        body = json.dumps({"jsonrpc": "2.0", "id": asked.get("id"), "result": result}).encode() if result else b""
        self.send_response(200 if result else 202)
        self.send_header("content-type", "application/json")
        if self.packed and result:
            body = gzip.compress(body)
            self.send_header("content-encoding", "gzip")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize("packed", [False, True])
def test_what_is_packed_unasked_is_not_unpacked(packed: bool) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Small,), {"packed": packed})) as elsewhere:
        threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
        expected = pytest.raises(ActionError) if packed else contextlib.nullcontext()
        with expected, ToolServer(f"http://127.0.0.1:{elsewhere.server_port}/mcp", seconds=5) as server:
            assert not server.actions
        elsewhere.shutdown()
