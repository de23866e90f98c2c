"""The server: one FastAPI application with every API, its errors in each API's own shape, health and metrics."""

import secrets
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, Response
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from castalia.errors import CastaliaError, nearest
from castalia.serve.api import chat_completions, messages, responses, transcriptions
from castalia.serve.api.answering import House, secret_of
from castalia.serve.api.asking import noted
from castalia.serve.api.limits import BodyLimit
from castalia.serve.errors import ApiError
from castalia.serve.wire import Json

VERSION = version("castalia")
ROUTERS = (chat_completions.router, responses.router, messages.router, transcriptions.router)


def build_app(house: House, *, page: bool = False, run: Path | None = None) -> FastAPI:
    """Return the application, with its page if wanted (`run` is what is served)."""
    app = FastAPI(title="Castalia", version=VERSION)
    app.state.house = house
    for router in ROUTERS:
        app.include_router(router)
    app.add_exception_handler(CastaliaError, _user_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)

    app.add_middleware(BodyLimit)
    app.add_middleware(_Numbered, house=house)  # around all others: what is added last is asked first

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Say that the server is there, and can answer. Raises ApiError (503) if it no longer can."""
        if not house.service.is_alive:
            raise ApiError("nothing answers any more: the server must be started again", 503)
        return {"status": "ok", "version": VERSION}

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Return what is counted, for Prometheus."""
        return PlainTextResponse(house.metrics.text(), media_type="text/plain; version=0.0.4")

    @app.get("/v1/models")
    async def models(request: Request) -> dict[str, Any]:
        """List the models."""
        house.gate.known(secret_of(request))
        return {"object": "list", "data": [_model(house, name) for name in house.service.models]}

    @app.get("/v1/models/{model:path}")
    async def model(model: str, request: Request) -> dict[str, Any]:
        """Describe one model."""
        house.gate.known(secret_of(request))
        return _model(house, house.known(model))

    if page:
        from castalia.serve.page import mount

        app = mount(app, house, run)
    house.metrics.watch(house.service.gauges)  # last of all: it waits until the model is there
    return app


class _Numbered:
    """Gives every request its number, which its response says, counts it, answers defects, keeps strangers out."""

    def __init__(self, app: ASGIApp, house: House) -> None:
        self.app, self.house = app, house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        number, begun = f"req_{secrets.token_hex(12)}", False
        request.state.id = number

        async def numbered(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                MutableHeaders(scope=message).update({"x-request-id": number, "request-id": number})
                path = getattr(scope.get("route"), "path", "other")
                self.house.metrics.requests.labels(path, message["status"]).inc()
            await send(message)

        if self.house.is_local and (stranger := _stranger(request)):
            error = ApiError(f"without keys this server answers its own machine alone, not {stranger[:80]}", 403)
            await _answer(request, error)(scope, receive, numbered)
            return
        try:
            await self.app(scope, receive, numbered)
        except Exception as error:
            if begun:
                raise
            await _answer(request, noted(error))(scope, receive, numbered)


LOOPBACK = ("127.0.0.1", "::1", "localhost")


def _stranger(request: Request) -> str | None:
    """Return the name by which a page or program of somebody else's has come here, which a browser would let it."""
    named = [f"//{request.headers.get('host', '')}", request.headers.get("origin", "//localhost")]
    return next((name for name in named if _host(name) not in LOOPBACK), None)


def _host(name: str) -> str | None:
    try:
        return urlsplit(name).hostname
    except ValueError:  # as of "//["
        return None


def _model(house: House, name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": house.began, "owned_by": "castalia", "type": "model",
            "display_name": name, "created_at": datetime.fromtimestamp(house.began, UTC).isoformat()}  # fmt: skip


def _answer(request: Request, error: ApiError) -> Response:
    is_anthropic = request.url.path.startswith("/v1/messages")
    body = error.anthropic(request.state.id) if is_anthropic else error.openai()
    return Json(body, error.status, error.headers)


async def _user_error(request: Request, error: Exception) -> Response:
    return _answer(request, noted(error))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    there = request.app.openapi()["paths"]
    message = {
        404: f"there is nothing at {request.url.path[:80]}: {nearest(request.url.path[:80], there)}",
        405: f"{request.url.path[:80]} does not take {request.method}",
    }.get(error.status_code, str(error.detail))
    return _answer(request, ApiError(message, error.status_code, headers=dict(error.headers or {})))


async def _invalid(request: Request, error: Exception) -> Response:
    """Name what is wrong in a request, and what would be right."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = ".".join(_path(first["loc"][1:], error.body)) if first["loc"][:1] == ("body",) else str(first["loc"][-1])
    if isinstance(error.body, bytes):
        return _answer(request, ApiError("the body is taken as JSON alone: send Content-Type: application/json"))
    if first["type"] == "json_invalid":
        return _answer(request, ApiError(f"the body is not JSON: {first.get('ctx', {}).get('error', '')}"))
    if first["type"] == "extra_forbidden":
        message, code = f"unknown parameter {name[:80]!r}", "unknown_parameter"
    elif first["type"] == "none_required":
        message, code = f"{name} is not supported: leave it out", "unsupported_parameter"
    elif first["type"] == "union_tag_invalid":
        message, code = f"{name}: type {str(first['ctx']['tag'])[:40]!r} is not supported", "invalid_value"
    elif first["type"] == "missing":
        message, code = f"{name or 'the body'} is missing", "missing_required_parameter"
    else:
        message, code = f"{name or 'the body'}: {first['msg']}", "invalid_value"
    return _answer(request, ApiError(message, 400, code, name or None))


def _path(loc: tuple[str | int, ...], body: Any) -> list[str]:
    """Return the steps of a place that are the client's: names of what a value could have been are none of them."""
    path = []
    for number, step in enumerate(loc):
        is_key = isinstance(body, dict) and step in body
        if is_key or (isinstance(body, list) and isinstance(step, int) and step < len(body)):
            body = body[step]
        elif number < len(loc) - 1 or not isinstance(body, dict):
            continue
        path.append(str(step))
    return path
