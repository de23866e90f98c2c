"""An MCP server that misbehaves, a program of its own: it speaks the protocol by hand, so that nothing holds it back.

``python mcp_rogue.py MODE [FILE]``; its process id is left in FILE.
"""

import json
import os
import signal
import sys
import time
from typing import Any

TOOL = {"name": "go", "inputSchema": {"type": "object"}}
ODD = {
    "null": {"type": "object", "properties": None, "required": None},
    "true": {"type": "object", "properties": {"a": True}},
    "bounds": {"type": "object", "properties": {"a": {"type": "integer", "minimum": "low", "maxLength": {}}}},
}


def write(message: dict[str, Any]) -> None:
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def call(mode: str) -> dict[str, Any]:
    if mode == "stuck":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(3600)
    if mode == "endless":
        while True:
            sys.stdout.write("x" * 65_536)
    if mode == "garbage":
        print("no JSON\n\n{}\n[]\n" + '{"jsonrpc": "2.0", "id": 999, "result": {}}', flush=True)
    if mode == "half":
        sys.stdout.write('{"jsonrpc": "2.0", "id"')
        sys.stdout.flush()
        os._exit(0)
    if mode == "shapeless":
        return {"content": "no list"}
    return {"content": [{"type": "text", "text": str(os.getpid())}]}


def main() -> None:
    mode = sys.argv[1]
    if sys.argv[2:]:
        with open(sys.argv[2], "w") as file:
            file.write(str(os.getpid()))
    if mode == "silent":
        time.sleep(3600)
    for line in sys.stdin:
        request = json.loads(line)
        if "id" not in request:
            continue
        if request["method"] == "initialize":
            version = request["params"]["protocolVersion"]
            about = {"name": "rogue", "version": "1"}
            write(
                {"id": request["id"], "result": {"protocolVersion": version, "capabilities": {}, "serverInfo": about}}
            )
        elif request["method"] == "tools/list":
            page = int((request.get("params") or {}).get("cursor") or 0)
            if mode == "pages":
                tools = [{**TOOL, "name": f"go_{page}_{index}"} for index in range(300)]
                write({"id": request["id"], "result": {"tools": tools, "nextCursor": str(page + 1)}})
            elif mode == "spoiled":
                write({"id": request["id"], "result": {"tools": [{"name": 5}]}})
            else:
                tools = [{**TOOL, "inputSchema": ODD.get(mode, TOOL["inputSchema"])}]
                write({"id": request["id"], "result": {"tools": tools}})
        elif request["method"] == "tools/call":
            write({"id": request["id"], "result": call(mode)})
        else:
            write({"id": request["id"], "error": {"code": -32601, "message": "unknown"}})


if __name__ == "__main__":
    main()
