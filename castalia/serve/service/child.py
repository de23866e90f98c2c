"""The engine's process from within: it makes the service, answers what is asked of it, and ends with whoever asks."""

import asyncio
import contextlib
import os
import pickle
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import uvloop

from castalia.errors import CastaliaError, EngineError
from castalia.serve.service.job import Job
from castalia.serve.service.local import LocalService
from castalia.serve.service.process import Ask, Ended, Hello, Stop, Told, freeze
from castalia.serve.service.work import BREATH


def main() -> None:
    """Be the process: make the service, answer what is asked of it, and end with whoever asks."""
    os.set_inheritable(number := int(sys.argv[1]), False)
    connection = Connection(number)
    try:
        asked = connection.recv()
    except EOFError:
        return
    service, hello = _made(*asked)
    with contextlib.suppress(OSError):  # who would be told has gone
        connection.send(hello)
    if service is None:
        return
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_Answering(service, connection).answer())


def _made(path: Path, name: str) -> tuple[LocalService | None, Hello | Exception]:
    try:
        service = LocalService.load(path, name, threaded=False)
    except Exception as error:
        return None, _portable(error)
    freeze()
    return service, Hello(service.models, {name: about for name, (about, _) in service.gauges.items()})


class _Answering:
    """The process's side: a task for everything that is asked, and one message for what happens at the same time."""

    def __init__(self, service: LocalService, connection: Connection) -> None:
        self.service, self.connection = service, connection
        self.tasks: dict[int, asyncio.Task] = {}
        self.always: list[asyncio.Task] = []
        self.news: list[tuple[int, Any]] = []
        self.is_news, self.ended = asyncio.Event(), asyncio.Event()

    async def answer(self) -> None:
        """Answer until whoever asks has gone."""
        self.loop = asyncio.get_running_loop()
        threading.Thread(target=self._listen, name="parent", daemon=True).start()
        for work in (self._tell(), self.service.shared.drive()):
            self.always.append(asyncio.create_task(work))
        self.always.append(asyncio.create_task(self.ended.wait()))
        await asyncio.wait(self.always, return_when=asyncio.FIRST_COMPLETED)
        for task in (*self.tasks.values(), *self.always):
            task.cancel()
        for ended in await asyncio.gather(*self.tasks.values(), *self.always, return_exceptions=True):
            if isinstance(ended, Exception):
                traceback.print_exception(ended, file=sys.stderr)

    def _listen(self) -> None:
        try:
            while True:
                self.loop.call_soon_threadsafe(self._take, self.connection.recv())
        except (EOFError, OSError):
            self.loop.call_soon_threadsafe(self.ended.set)

    def _take(self, message: Ask | Stop) -> None:
        if isinstance(message, Ask):
            task = self.tasks[message.number] = asyncio.create_task(self._work(*message))
            task.add_done_callback(lambda task: self._end(message, task))
        elif (task := self.tasks.get(message.number)) is not None:
            task.cancel()

    async def _work(self, number: int, what: str, job: Job) -> int | None:
        if what == "count":
            return await self.service.count(job)
        async with contextlib.aclosing(self.service.updates(job)) as updates:
            async for some in updates:
                self._put(number, some)
        return None

    def _end(self, asked: Ask, task: asyncio.Task) -> None:
        del self.tasks[asked.number]
        error = None if task.cancelled() else task.exception()
        result = None if task.cancelled() or error else task.result()
        self._put(asked.number, Ended(result, _portable(error) if error else None, asked.job.stopped))

    def _put(self, number: int, some: Any) -> None:
        self.news.append((number, some))
        self.is_news.set()

    async def _tell(self) -> None:
        """Say what is new, and what the gauges show whenever it changes."""
        shown: dict[str, float] = {}
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.is_news.wait(), 0.1)
            self.is_news.clear()
            news, self.news = self.news, []
            before, shown = shown, {name: read() for name, (_, read) in self.service.gauges.items()}
            if news or shown != before:
                try:
                    self.connection.send(Told(news, shown))
                except OSError:
                    return
            if news:
                await asyncio.sleep(BREATH)


def _portable(error: BaseException) -> Exception:
    """Return an error that can be told: a user's as it is, a defect by its name, after its trace was printed here."""
    if isinstance(error, CastaliaError):
        try:
            pickle.loads(pickle.dumps(error))
            return error
        except Exception:
            return EngineError(str(error))
    traceback.print_exception(error, file=sys.stderr)
    return RuntimeError(f"{type(error).__name__} in the engine's process: {error}")
