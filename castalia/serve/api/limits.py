"""Limits on what comes in, before anybody reads it: how large a body may be, and how long it may take to arrive."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from castalia.serve.errors import ApiError
from castalia.serve.wire import Json

MOST_BYTES, MOST_SECONDS = 64 << 20, 60.0


class _LateError(Exception):
    """The body has not arrived in time."""


class _LargeError(Exception):
    """The body is too large."""


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
            await self._refuse(413, scope, receive, send)
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
                raise _LateError from error
            got += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if got > self.most:
                raise _LargeError
            return message

        async def noted(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            await self.app(scope, counted, noted)
        except (_LateError, _LargeError) as error:
            if not began:
                await self._refuse(408 if isinstance(error, _LateError) else 413, scope, receive, send)

    async def _refuse(self, status: int, scope: Scope, receive: Receive, send: Send) -> None:
        message = (
            f"the request is larger than the {self.most:,} bytes that are accepted"
            if status == 413
            else f"the request has not arrived within {self.seconds:.0f} s"
        )
        error = ApiError(message, status)
        body = error.anthropic("") if scope["path"].startswith("/v1/messages") else error.openai()
        await Json(body, status, {"Connection": "close"})(scope, receive, send)
