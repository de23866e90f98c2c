"""JSON as it goes over the wire."""

import json
import math
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import JSONResponse, Response


def dumped(value: Any) -> str:
    """Return JSON that can be sent: half a character, which JSON can name and UTF-8 cannot hold, becomes a ``?``."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if text.isascii() else text.encode(errors="replace").decode()


class Json(JSONResponse):
    """A response of JSON."""

    def render(self, content: Any) -> bytes:
        """Return the body."""
        return dumped(content).encode()


class JsonRoute(APIRoute):
    """A route that takes JSON as its standard has it: without NaN, and without numbers that are infinite here."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what handles a request."""
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handle(_JsonRequest(request.scope, request.receive))

        return strict


class _JsonRequest(Request):
    async def json(self) -> Any:
        return json.loads(await self.body(), parse_constant=_finite, parse_float=_finite)


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise json.JSONDecodeError(f"{number[:40]} is not a finite number", number, 0)
    return value
