"""Limits on what comes in, before anybody reads it: how large a body may be, and how long it may take to arrive."""

import asyncio

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from castalia.serve.errors import ApiError
from castalia.serve.wire import Json

MOST_BYTES, MOST_SECONDS = 64 << 20, 60.0


class _RefusedError(HTTPException):
    """The body is too large, or has not arrived in time: an error that FastAPI passes on while it reads a body."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message, {"Connection": "close"})


class BodyLimit:
    """Answers 413 to bodies of more than `most` bytes and 408 to those that take longer than `seconds` to arrive."""

    def __init__(self, app: ASGIApp, most: int = MOST_BYTES, seconds: float = MOST_SECONDS) -> None:
        self.app, self.most, self.seconds = app, most, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, as long as its body keeps within the limits."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length) > self.most:
            await _refuse(self._large(), scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        deadline, got, whole, began = loop.time() + self.seconds, 0, False, False

        async def counted() -> Message:
            nonlocal got, whole
            if whole:  # what follows the body is the end of the connection, which may take as long as it likes
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError as error:
                late = f"the request has not arrived within {self.seconds:.0f} s"
                raise _RefusedError(408, late) from error
            got += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if got > self.most:
                raise self._large()
            return message

        async def noted(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            await self.app(scope, counted, noted)
        except _RefusedError as error:
            if not began:
                await _refuse(error, scope, receive, send)

    def _large(self) -> _RefusedError:
        return _RefusedError(413, f"the request is larger than the {self.most:,} bytes that are accepted")


async def _refuse(error: _RefusedError, scope: Scope, receive: Receive, send: Send) -> None:
    said = ApiError(error.detail, error.status_code)
    number = scope.get("state", {}).get("id", "")
    body = said.anthropic(number) if scope["path"].startswith("/v1/messages") else said.openai()
    await Json(body, said.status, error.headers)(scope, receive, send)
