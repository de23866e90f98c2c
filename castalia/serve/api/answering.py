"""From a checked request to its response: who may ask, the job, its updates whole or as a stream, what it cost."""

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from fastapi import Request
from fastapi.responses import PlainTextResponse, Response, StreamingResponse

from castalia.errors import nearest
from castalia.serve.access import Gate, Grant
from castalia.serve.api.addresses import opened
from castalia.serve.api.asking import as_api_error, noted, usage_of
from castalia.serve.database import Database
from castalia.serve.errors import ApiError
from castalia.serve.metrics import Metrics
from castalia.serve.service.job import LIGHT, Choice, Job, Service, Update
from castalia.serve.service.pieces import Done
from castalia.serve.service.usage import Usage
from castalia.serve.wire import Json


@dataclass
class House:
    """What all endpoints share."""

    service: Service
    gate: Gate
    database: Database
    open_urls: bool = False
    is_local: bool = False
    """Whether it answers this machine's own programs and pages alone: without keys, others' pages must not ask."""
    metrics: Metrics = field(default_factory=Metrics)
    began: int = field(default_factory=lambda: int(time.time()))

    def known(self, model: str) -> str:
        """Return a model's name. Raises ApiError if there is no such model."""
        if model not in self.service.models:
            hint = nearest(model[:80], self.service.models)
            raise ApiError(f"there is no model {model[:80]!r}: {hint}", 404, "model_not_found", "model")
        return model

    async def enter(self, secret: str | None, model: str) -> Grant:
        """Let a request in. Raises AccessError, as `Gate.enter`."""
        if Gate.is_key(secret):  # which has to be looked up
            return await asyncio.to_thread(self.gate.enter, secret, model)
        return self.gate.enter(secret, model)


class Answer(ABC):
    """An answer in the making, in one API's shape."""

    def __init__(self) -> None:
        self.done: list[Done] = []
        """Replies that are complete."""
        self.choices = [Choice()]
        """Replies as far as they have come."""

    def expect(self, job: Job) -> None:
        """Take note of what is asked, before anything has come back."""
        self.choices = [job.choice() for _ in range(job.sampling.n)]

    @property
    def choice(self) -> Choice:
        """The first reply, where there is no other."""
        return self.choices[0]

    @property
    def usage(self) -> Usage:
        """What it has cost so far."""
        return usage_of(self.done)

    def add(self, updates: list[Update]) -> None:
        """Take in what has happened."""
        for update in updates:
            self.take(update)

    async def finish(self) -> None:
        """Do what is to be done when all has happened: nothing, if nothing is kept."""
        return

    def begin(self) -> list[dict[str, Any]]:
        """Return what a stream begins with."""
        return []

    @abstractmethod
    def take(self, update: Update) -> list[dict[str, Any]]:
        """Take in one update; return what tells of it in a stream."""

    def end(self) -> list[dict[str, Any]]:
        """Return what a stream ends with, after `finish`."""
        return []

    @abstractmethod
    def whole(self) -> dict[str, Any] | str:
        """Return the whole answer, as JSON or as plain text."""

    def failed(self, error: ApiError) -> dict[str, Any]:
        """Return what a stream that has begun ends with if something goes wrong."""
        return error.openai()


class Asked(Protocol):
    """A checked request of one API."""

    model: str

    async def conversation(self, database: Database, key: int | None) -> list[dict[str, Any]]:
        """Return all that has been said, as messages in OpenAI's format. Raises ApiError if it cannot be found."""
        ...

    def job(self, messages: list[dict[str, Any]]) -> Job:
        """Return what is asked. Raises CastaliaError if it cannot be."""
        ...


def secret_of(request: Request) -> str | None:
    """Return the key that a request carries, as OpenAI's or as Anthropic's clients send it."""
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    return request.headers.get("x-api-key") or (bearer.strip() if scheme.lower() == "bearer" else None) or None


@dataclass
class Exchange:
    """One request: its grant, and what is recorded of it when it ends, however it ends."""

    house: House
    request: Request
    endpoint: str
    grant: Grant
    answer: Answer
    job: Job | None = None
    started: float = field(default_factory=time.perf_counter)
    status: int = 200

    async def whole(self, updates: AsyncGenerator[list[Update]]) -> Response:
        """Return the whole answer; a client that has gone away cancels it."""
        async with contextlib.aclosing(self._counted(updates)) as counted:
            gone = asyncio.create_task(_gone(self.request))
            collecting = asyncio.create_task(self._collected(counted))
            try:
                await asyncio.wait((gone, collecting), return_when=asyncio.FIRST_COMPLETED)
                if not collecting.done():
                    self.status = 499
                    return Response(status_code=499)
                collecting.result()
            finally:
                for task in (gone, collecting):
                    task.cancel()
                await asyncio.gather(gone, collecting, return_exceptions=True)
        whole = self.answer.whole()
        return (PlainTextResponse if isinstance(whole, str) else Json)(whole, headers=self.grant.headers())

    async def _collected(self, updates: AsyncGenerator[list[Update]]) -> None:
        async for some in updates:
            self.answer.add(some)
        await self.answer.finish()

    async def stream(
        self, updates: AsyncGenerator[list[Update]], frame: Callable[[dict[str, Any]], str], end: str
    ) -> Response:
        """Return the answer as server-sent events; what is wrong from the start is no stream but an error.

        What has happened at the same time is sent at once.
        """
        counted, answer = self._counted(updates), self.answer
        try:
            first = await anext(counted)
        except BaseException:
            await counted.aclose()
            raise

        def told(updates: list[Update]) -> str:
            return "".join(frame(chunk) for update in updates for chunk in answer.take(update))

        async def events() -> AsyncGenerator[str]:
            try:
                yield "".join(map(frame, answer.begin())) + told(first)
                async for some in counted:
                    if more := told(some):
                        yield more
                await answer.finish()
                yield "".join(map(frame, answer.end())) + end
            except Exception as error:
                said = noted(error)
                self.status = said.status
                yield frame(answer.failed(said))
            finally:
                await counted.aclose()

        headers = {**self.grant.headers(), "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        return StreamingResponse(events(), media_type="text/event-stream", headers=headers)

    async def _counted(self, updates: AsyncGenerator[list[Update]]) -> AsyncGenerator[list[Update]]:
        """Pass updates on; record what has been when they end."""
        metrics, first = self.house.metrics, True
        metrics.active.inc()
        try:
            async with contextlib.aclosing(updates):
                async for some in updates:
                    if first:
                        metrics.first.observe(time.perf_counter() - self.started)
                        first = False
                    yield some
        except (asyncio.CancelledError, GeneratorExit):
            if self.status == 200:  # and no error has come before
                self.status = 499
            raise
        except Exception as error:
            self.status = as_api_error(error).status
            raise
        finally:
            metrics.active.dec()
            self.settle()

    def failed(self, error: BaseException) -> None:
        """Record a request that comes to no answer."""
        self.status = as_api_error(error).status
        self.settle()

    def settle(self) -> None:
        """Record usage, once."""
        seconds, usage = time.perf_counter() - self.started, self.answer.usage
        for stopped in self.job.stopped if self.job else ():
            usage += stopped
        self.house.metrics.seconds.labels(self.endpoint).observe(seconds)
        self.house.metrics.count(usage)
        self.grant.settle(self.endpoint, usage, seconds, self.status)


async def answered(
    request: Request,
    body: Asked,
    answer: Answer,
    *,
    stream: bool,
    frame: Callable[[dict[str, Any]], str],
    end: str = "",
) -> Response:
    """Return the response to a checked request: a whole answer, or a stream of `frame`s that closes with `end`.

    Raises CastaliaError if whoever asks may not, or it cannot be done.
    """
    house: House = request.app.state.house
    grant = await house.enter(secret_of(request), body.model)
    exchange = Exchange(house, request, request.scope["route"].path, grant, answer)
    try:
        house.known(body.model)
        messages = await opened(await body.conversation(house.database, grant.key_id), house.open_urls)
        job = exchange.job = body.job(messages) if _is_light(messages) else await asyncio.to_thread(body.job, messages)
        answer.expect(job)
    except BaseException as error:
        exchange.failed(error)
        raise
    updates = house.service.updates(job)
    if stream:
        return await exchange.stream(updates, frame, end)
    return await exchange.whole(updates)


def _is_light(messages: list[dict[str, Any]]) -> bool:
    """Return whether messages are words alone, and few: understood sooner than a thread begins."""
    values = [value for message in messages for value in message.values() if value is not None]
    return 0 < sum(len(value) if isinstance(value, str) else LIGHT for value in values) < LIGHT


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
