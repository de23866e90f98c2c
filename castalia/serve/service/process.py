"""A model in a process of its own, so that whoever speaks HTTP never keeps waiting whoever makes tokens."""

import asyncio
import contextlib
import gc
import itertools
import os
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import anyio

from castalia.errors import EngineError
from castalia.serve.errors import ApiError
from castalia.serve.service.job import Job, Update
from castalia.serve.service.pieces import Done
from castalia.serve.service.usage import Usage

CHILD = "from castalia.serve.service.child import main; main()"
PATIENCE = 10.0
"""Seconds that the process has to end by itself."""
SPINNING = "3000"
"""How often a thread of the engine's that waits for another looks (OpenMP's GOMP_SPINCOUNT, for processors) before it
leaves its core to whoever speaks HTTP: by itself it would look for milliseconds, longer than a step takes."""


class Ask(NamedTuple):
    """A job, or a question about one (``count``)."""

    number: int
    what: str
    job: Job


class Stop(NamedTuple):
    """Nobody waits any longer for what was asked with this number."""

    number: int


class Hello(NamedTuple):
    """What a service says of itself once it is there: its models, and what its gauges are about."""

    models: tuple[str, ...]
    gauges: dict[str, str]


class Told(NamedTuple):
    """What has happened since the last time: to each number in turn, and what the gauges show now."""

    news: list[tuple[int, Any]]
    gauges: dict[str, float]


class Ended(NamedTuple):
    """The last that is said to a number: what it returned or raised, and what was spent on what nobody waited for."""

    result: Any
    error: Exception | None
    stopped: list


class ProcessService:
    """A `LocalService` of the run at `path`, called `name`, in a process of its own.

    It starts at once; whoever asks waits until it is there, and is told what went wrong in the making.
    """

    def __init__(self, path: Path, name: str) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            # In a session of its own: Ctrl-C is for the server, which ends its process in order. With modules from the
            # same places: -c alone would look into the working directory first.
            command = [sys.executable, "-P", "-c", CHILD, str(theirs.fileno())]
            places = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
            environment = {"GOMP_SPINCOUNT": SPINNING} | os.environ | places
            self.process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], start_new_session=True, env=environment
            )
        self._socket, self._connection = ours, Connection(ours.dup().detach())
        self._connection.send((path, name))
        self._numbers = itertools.count()
        self._waiting: dict[int, tuple[asyncio.AbstractEventLoop, asyncio.Queue]] = {}
        self._shown: dict[str, float] = {}
        self._lock, self._sending = threading.Lock(), threading.Lock()
        self._line, self._queued = ThreadPoolExecutor(1, "to the engine"), 0
        self._has_ended = False

    @cached_property
    def _hello(self) -> Hello:
        try:
            hello = self._connection.recv()
        except (EOFError, OSError):
            raise EngineError("the engine's process has ended before it was ready") from None
        if isinstance(hello, Exception):
            raise hello
        threading.Thread(target=self._listen, name="engine's process", daemon=True).start()
        return hello

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models that can be asked."""
        return self._hello.models

    @property
    def gauges(self) -> dict[str, tuple[str, Callable[[], float]]]:
        """What can be read of it, as it was a moment ago."""
        return {name: (about, lambda name=name: self._shown.get(name, 0.0))
                for name, about in self._hello.gauges.items()}  # fmt: skip

    @property
    def is_alive(self) -> bool:
        """Whether it can still be asked."""
        return not self._has_ended

    async def updates(self, job: Job) -> AsyncGenerator[list[Update]]:
        """Yield what happens until all choices are done; whoever stops listening cancels the rest."""
        number, news = self._ask("updates", job)
        ended: Ended | None = None
        try:
            while not isinstance(some := await news.get(), Ended):
                yield some
            ended = some
        finally:
            if ended is None:
                self._send(Stop(number), job)
                ended = await _the_end(news)
            job.stopped.extend(ended.stopped)
        if ended.error is not None:
            raise ended.error

    async def count(self, job: Job) -> int:
        """Return how many positions the prompt of a job takes."""
        ended = await self._ask("count", job)[1].get()
        if ended.error is not None:
            raise ended.error
        return ended.result

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(OSError):  # it has ended already
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._line.shutdown(wait=False)
        if "_hello" not in self.__dict__:  # it is still being made
            self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _ask(self, what: str, job: Job) -> tuple[int, asyncio.Queue]:
        _ = self._hello  # nobody listens before
        number, news = next(self._numbers), asyncio.Queue()
        with self._lock:
            self._waiting[number] = asyncio.get_running_loop(), news
        self._send(Ask(number, what, job), job)
        return number, news

    def _send(self, message: Ask | Stop, job: Job) -> None:
        """Send a message about a job; what is large, and all that comes while it is sent, in a thread of its own."""
        with self._lock:
            is_next = job.is_light and not self._queued
            self._queued += not is_next
        if is_next:
            self._write(message)
        else:
            self._line.submit(self._write_queued, message)

    def _write_queued(self, message: Ask | Stop) -> None:
        self._write(message)
        with self._lock:
            self._queued -= 1

    def _write(self, message: Ask | Stop) -> None:
        try:
            with self._sending:
                self._connection.send(message)
        except OSError:
            self._give_up()
        except Exception as error:  # it cannot be pickled
            self._hand_out([(message.number, Ended(None, error, []))])

    def _listen(self) -> None:
        """Hand out what comes, in a thread of its own, until the process ends."""
        try:
            while True:
                told: Told = self._connection.recv()
                self._shown = told.gauges
                self._hand_out(told.news)
        except (EOFError, OSError):
            pass
        finally:
            self._give_up()

    def _hand_out(self, news: list[tuple[int, Any]]) -> None:
        of: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Queue, Any]]] = {}
        with self._lock:
            for number, some in news:
                known = self._waiting.pop if isinstance(some, Ended) else self._waiting.get
                if (waiting := known(number, None)) is not None:
                    of.setdefault(waiting[0], []).append((waiting[1], some))
        for loop, its in of.items():
            with contextlib.suppress(RuntimeError):  # a loop that has ended waits for nothing
                loop.call_soon_threadsafe(_put, its)

    def _give_up(self) -> None:
        self._has_ended = True
        error = ApiError("the engine's process has ended: the server must be started again", 503)
        with self._lock:
            numbers = list(self._waiting)
        self._hand_out([(number, Ended(None, error, [])) for number in numbers])


def _put(news: list[tuple[asyncio.Queue, Any]]) -> None:
    for queue, some in news:
        queue.put_nowait(some)


async def _the_end(news: asyncio.Queue) -> Ended:
    """Return the last that is said to who listens no longer, with the cost of replies that came to an end meanwhile."""
    ended, over = None, list[Usage]()
    with anyio.CancelScope(shield=True):
        while ended is None:
            # Also as the server ends, and cancels what it has cancelled before: the engine says it at once.
            with contextlib.suppress(asyncio.CancelledError):
                some = await news.get()
                if isinstance(some, Ended):
                    ended = some
                else:
                    over += [u.piece.usage for u in some if isinstance(u.piece, Done) and u.agent is None]
    assert ended is not None
    return ended._replace(stopped=[*ended.stopped, *over])


def freeze() -> None:
    """Let the garbage collector forget all that is there now: it will stay, and to look through it takes 100 ms."""
    gc.collect()
    gc.freeze()
