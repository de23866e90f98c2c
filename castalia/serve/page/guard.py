"""What stands between the page and the world: which paths are the page's, who may send files, what it may load."""

import asyncio
from http.cookies import SimpleCookie
from urllib.parse import unquote

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from castalia.errors import AccessError
from castalia.serve.api.answering import House
from castalia.serve.page.page import COOKIE

API = "/v1"
UPLOAD = "/gradio_api/upload"
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; frame-ancestors 'self'; base-uri 'self'; form-action 'self'"
)
"""Everything comes from here; Gradio makes functions of its templates, hence 'unsafe-eval'."""


class Rest(Mount):
    """All paths but the API's: what is wrong there is answered in the API's own way."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match whatever is not below `API`."""
        path = scope.get("path", "")
        return (Match.NONE, {}) if path == API or path.startswith(f"{API}/") else super().matches(scope)


class Guard:
    """Asks for a key before files are taken, and tells the browser to load nothing from elsewhere."""

    def __init__(self, app: ASGIApp, house: House) -> None:
        self.app, self.house = app, house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, unless it brings a file and no key."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["path"].rstrip("/").endswith(UPLOAD) and not await self._is_known(Headers(scope=scope)):
            await JSONResponse({"detail": "files are taken only with a key"}, 401)(scope, receive, send)
            return

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", POLICY)
                headers.setdefault("Referrer-Policy", "no-referrer")
                headers.setdefault("X-Content-Type-Options", "nosniff")
            await send(message)

        await self.app(scope, receive, noted)

    async def _is_known(self, headers: Headers) -> bool:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        try:
            await asyncio.to_thread(self.house.gate.known, unquote(cookie.value) if cookie else None)
        except AccessError:
            return False
        return True


def guarded(app: FastAPI, house: House) -> FastAPI:
    """Put the guard before the page, which was mounted last."""
    routes = app.router.routes
    mounted = routes.pop()
    assert isinstance(mounted, Mount)
    routes.append(Rest("/", Guard(mounted.app, house), name="page"))
    return app
