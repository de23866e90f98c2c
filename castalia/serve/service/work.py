"""How a job is worked on beside others: by one chain (or `n`), or by several agents that contemplate."""

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import Any, Protocol

from castalia.engine.engine import Event
from castalia.reasoning.contemplate import Contemplate
from castalia.reasoning.effort import Thinking
from castalia.serve.service.job import Job, Update
from castalia.serve.service.pieces import Done, Piece, Words
from castalia.serve.service.usage import Usage, together

BREATH = 0.02
"""Seconds between two pieces of one stream when it is alone: what was written meanwhile goes together."""
SHARE = 0.003
"""Seconds that every other stream adds: many are told less often, so that telling never keeps the engine waiting."""
MOST_BREATH = 0.25
TEMPERATURE = 0.5
"""At which agents draw their tokens, if nothing else is said."""


class Transcriber(Protocol):
    """Takes the events of one request; returns what has become certain by them."""

    def take(self, events: list[Event]) -> list[Piece]:
        """Return the next pieces."""
        ...


class Worker(ABC):
    """A `Service` in terms of seats: places that requests are submitted at, and that tell what happens to them.

    A seat is an `engine.shared.Seat`, or has the same methods.
    """

    briefs: tuple[str, ...] = ()
    """What agents are told."""
    streams: int = 0
    """How many jobs are worked on."""

    @abstractmethod
    def seat(self, job: Job, ready: Callable[[], None]) -> Any:
        """Return a place to ask from; `ready` is called in any thread when there are events after none."""

    @abstractmethod
    def submit(self, seat: Any, job: Job) -> list[Any]:
        """Submit one request for each choice. Raises CastaliaError if that cannot be."""

    @abstractmethod
    def transcriber(self, job: Job) -> Transcriber:
        """Return a transcriber of one request of a job."""

    @abstractmethod
    def spent(self, request: Any) -> Usage:
        """Return what a request has cost so far."""

    @abstractmethod
    def thinking(self, job: Job) -> Thinking:
        """Return how a job is thought about."""

    async def updates(self, job: Job) -> AsyncGenerator[list[Update]]:
        """Yield what happens until all choices are done; whoever stops listening cancels the rest."""
        loop, ready = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(ready.set)

        if job.contemplate is not None and job.contemplate.agents > 1:
            work: _Chains | _Contemplation = _Contemplation(self, job, wake)
        else:
            work = _Chains(self, job, wake) if job.is_light else await self._beside(job, wake)
        self.streams += 1
        try:
            while not work.done:
                await ready.wait()
                ready.clear()
                if updates := work.take():
                    yield updates
                    if not work.done:
                        await asyncio.sleep(min(BREATH + SHARE * (self.streams - 1), MOST_BREATH))
        finally:
            self.streams -= 1
            job.stopped.extend(work.stop())

    async def _beside(self, job: Job, wake: Callable[[], None]) -> "_Chains":
        """Submit what takes its time in another thread; if nobody waits for it any longer, it is stopped there."""
        making = asyncio.ensure_future(asyncio.to_thread(_Chains, self, job, wake))
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(_stop)
            raise


def _stop(making: "asyncio.Future[_Chains]") -> None:
    if not making.cancelled() and making.exception() is None:
        making.result().stop()


def _by_request(events: list[Event]) -> dict[Any, list[Event]]:
    of: dict[Any, list[Event]] = {}
    for event in events:
        of.setdefault(event.request, []).append(event)
    return of


class _Chains:
    """A job answered by `n` replies, each with its transcriber."""

    def __init__(self, worker: Worker, job: Job, wake: Callable[[], None]) -> None:
        self.worker, self.seat = worker, worker.seat(job, wake)
        self.choices = {request: (choice, worker.transcriber(job))
                        for choice, request in enumerate(worker.submit(self.seat, job))}  # fmt: skip
        self.told: set[Any] = set()
        """Requests whose end was told."""

    @property
    def done(self) -> bool:
        return len(self.told) == len(self.choices)

    def take(self) -> list[Update]:
        updates = []
        for request, events in _by_request(self.seat.take()).items():
            if request in self.choices:  # and not an agent that it has sent out
                choice, transcriber = self.choices[request]
                pieces = transcriber.take(events)
                updates += [Update(choice, piece) for piece in pieces]
                if any(isinstance(piece, Done) for piece in pieces):
                    self.told.add(request)
        return updates

    def stop(self) -> list[Usage]:
        """Stop what is not done; return what those have cost whose end was not told."""
        left = [request for request in self.choices if request not in self.told]
        if not left:
            return []
        self.seat.leave(left)
        spent = together([self.worker.spent(request) for request in left])
        return [replace(spent, prompt=0, cached=0) if self.told else spent]  # the prompt is read once


class _StoppedError(Exception):
    """Nobody listens any more."""


class _Contemplation:
    """A job answered by several agents, in a thread of their strategy."""

    def __init__(self, worker: Worker, job: Job, wake: Callable[[], None]) -> None:
        self.worker, self.job, self.wake = worker, job, wake
        self.rounds: list[dict[Any, Transcriber]] = []
        self.events: list[Event] = []
        self.answer: str | None = None
        self.usage, self.error = Usage(), None
        self.done = self.stopped = False
        self.lock = threading.Lock()
        threading.Thread(target=self._run, name="contemplation", daemon=True).start()

    def _run(self) -> None:
        job = self.job
        assert job.contemplate is not None
        agents, temperature = job.contemplate.agents, job.sampling.temperature or TEMPERATURE
        answer, error = None, None
        try:
            thinking, seat = self.worker.thinking(job), self.worker.seat(job, lambda: None)
            strategy = Contemplate(agents, thinking, temperature, self._watch, briefs=self.worker.briefs)
            answer = strategy.answer(seat, [job.prompt], job.sampling.seed)[0].answer
        except Exception as raised:
            error = raised
        with self.lock:
            self.answer, self.error = answer, error
        self.wake()

    def _watch(self, event: Event) -> None:
        if self.stopped:
            raise _StoppedError
        with self.lock:
            is_news = not self.events
            self.events.append(event)
        if is_news:
            self.wake()

    def take(self) -> list[Update]:
        with self.lock:
            events, self.events = self.events, []
            answer, error = self.answer, self.error
        updates: list[Update] = []
        for request, its in _by_request([event for event in events if not event.request.depth]).items():
            number = self._round(request)
            pieces = self.rounds[number][request].take(its)
            updates += [Update(0, piece, request.index, number) for piece in pieces]
        self.usage = sum((update.piece.usage for update in updates if isinstance(update.piece, Done)), self.usage)
        self.done = error is not None or answer is not None
        if error is not None:
            raise error
        if answer is not None:
            stopped = "end" if answer else "length"
            updates += [Update(0, Words("answer", answer)), Update(0, Done(stopped, answer, self.usage))]
        return updates

    def _round(self, request: Any) -> int:
        """Return the round that a request belongs to: whoever comes a second time begins the next."""
        known = next((number for number, requests in enumerate(self.rounds) if request in requests), None)
        if known is None:
            if not self.rounds or request.index in {other.index for other in self.rounds[-1]}:
                self.rounds.append({})
            known = len(self.rounds) - 1
            self.rounds[known][request] = self.worker.transcriber(self.job)
        return known

    def stop(self) -> list[Usage]:
        """Stop what is not done; return what agents have cost, if there is no answer that says it."""
        self.stopped = True
        agents = [request for requests in self.rounds for request in requests]
        return [] if self.done else [self.worker.spent(request) for request in agents]
