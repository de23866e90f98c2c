"""One engine, asked by many at once: one thread steps it, and every caller sees what is its own."""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar
from weakref import WeakSet

from castalia.document import Document
from castalia.engine.engine import Engine, Event
from castalia.engine.request import Actor, Budget, Reply, Request, Sampling
from castalia.errors import EngineError

T = TypeVar("T")
WAITING = 0.005
"""Seconds between two looks whether an action has come back."""
PATIENCE = 0.5
"""Seconds after which whoever waits looks whether there is still somebody to wait for."""


class SharedEngine:
    """Steps `engine` for as long as there is anything to do, in a thread of its own; ends with `close`.

    Where it is not `threaded`, an event loop steps it, once `drive` is called: what is then told to that loop is told
    by the thread that steps, and neither waits for the other's turn. Nobody else may use `engine` meanwhile. If a step
    fails, whoever is being answered is told, and others are served.
    """

    def __init__(self, engine: Engine, *, threaded: bool = True) -> None:
        self.engine = engine
        self.written = 0
        """Tokens written so far."""
        self.is_alive = True
        """Whether it can be asked."""
        self._todo: deque[Callable[[], object]] = deque()
        self._changed = threading.Condition()
        self._wake: Callable[[], object] = lambda: None
        self._seats: WeakSet[Seat] = WeakSet()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True) if threaded else None
        if self._thread:
            self._thread.start()

    def seat(self, ready: Callable[[], None] = lambda: None) -> "Seat":
        """Return a place to ask from. `ready` is called, in the engine's thread, when there are events after none."""
        seat = Seat(self, ready)
        self._seats.add(seat)
        return seat

    async def drive(self) -> None:
        """Step the engine in the running event loop until it is closed; between two steps others have their turn."""
        loop, awake = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it all that was to be done
                loop.call_soon_threadsafe(awake.set)

        self._wake = wake
        self.engine.patience = 0.0
        try:
            while self.is_alive:
                if self._is_idle:
                    await awake.wait()
                awake.clear()
                self._turn()
                await asyncio.sleep(WAITING if self.engine.only_waits else 0)
        finally:
            self._end()

    def close(self) -> None:
        """Cancel what is left and end."""
        with self._changed:
            self.is_alive = False
            self._changed.notify()
        if self._thread:
            self._thread.join()
        else:
            self._wake()

    def do(self, work: Callable[[], object]) -> None:
        """Have `work`, which raises nothing, done between two steps. Raises EngineError if the engine is closed."""
        with self._changed:
            if not self.is_alive:
                raise EngineError("the engine is closed")
            self._todo.append(work)
            self._changed.notify()
        self._wake()

    def ask(self, work: Callable[[], T]) -> T:
        """Return what `work`, done between two steps, returns. Raises what it raises, and as `do`.

        It waits: not for whoever runs in the event loop that steps.
        """
        answer: Future[T] = Future()

        def settle() -> None:
            try:
                answer.set_result(work())
            except Exception as error:
                answer.set_exception(error)

        self.do(settle)
        return answer.result()

    @property
    def _is_idle(self) -> bool:
        return self.engine.idle and not self._todo

    def _run(self) -> None:
        try:
            while self.is_alive:
                with self._changed:
                    while self._is_idle and self.is_alive:
                        self._changed.wait()
                self._turn()
        finally:
            self._end()

    def _turn(self) -> None:
        """Do what is to be done between two steps, take a step, and tell everybody what has happened."""
        try:
            while self._todo:
                self._todo.popleft()()
            events = self.engine.step()
        except Exception as error:  # a defect must not end the service of others
            self._fail(error)
            return
        of: dict[Seat, list[Event]] = {}
        for event in events:
            self.written += event.token is not None
            if isinstance(event.request.asker, Seat):
                of.setdefault(event.request.asker, []).append(event)
        for seat, its in of.items():
            seat.open.difference_update(event.request for event in its if event.reply is not None)
            seat.give(its)

    def _end(self) -> None:
        with self._changed:
            self.is_alive = False
        while self._todo:
            self._todo.popleft()()
        self._fail(EngineError("the engine is closed"))

    def _fail(self, error: Exception) -> None:
        for request in [*self.engine.scheduler.running, *self.engine.scheduler.waiting, *self.engine.parked]:
            self.engine.cancel(request)
        for seat in list(self._seats):
            if seat.open:  # also whoever was done in the step that has failed, and was not told
                seat.open.clear()
                seat.give([], error)


class Mailbox(Generic[T]):
    """What happens to one caller's requests, put in by whoever steps and taken out by whoever has asked.

    `step` waits for what happens next, as strategies want it; whoever must not wait asks for `take` once `ready` is
    called. Nobody waits for longer than there is somebody who can put something in.
    """

    def __init__(self, ready: Callable[[], None], is_served: Callable[[], bool]) -> None:
        self.ready, self.is_served = ready, is_served
        self._events: list[T] = []
        self._error: Exception | None = None
        self._changed = threading.Condition()

    def step(self) -> list[T]:
        """Wait until something happens, and return it. Raises what has gone wrong, EngineError if all is closed."""
        with self._changed:
            while not self._changed.wait_for(lambda: self._events or self._error, timeout=PATIENCE):
                if not self.is_served():
                    raise EngineError("the engine is closed")
        return self.take()

    def take(self) -> list[T]:
        """Return what has happened since the last time; then, once, raise what has gone wrong."""
        with self._changed:
            events, self._events = self._events, []
            if self._error is not None and not events:
                error, self._error = self._error, None
                raise error
            is_more = self._error is not None
        if is_more:
            self.ready()
        return events

    def give(self, events: list[T], error: Exception | None = None) -> None:
        """Put in what has happened, or what has gone wrong."""
        with self._changed:
            is_news = not self._events and self._error is None
            self._events += events
            self._error = error or self._error
            self._changed.notify()
        if is_news:
            self.ready()


class Seat(Mailbox[Event]):
    """An `Engine` as one caller sees it: `submit`, `step` and `cancel` are its own requests' alone."""

    def __init__(self, shared: SharedEngine, ready: Callable[[], None]) -> None:
        super().__init__(ready, lambda: shared.is_alive)
        self.shared = shared
        self.perception, self.reader = shared.engine.perception, shared.engine.reader
        self.open: set[Request] = set()
        """Requests whose end it has not been told."""

    def submit(
        self,
        prompt: Document,
        sampling: Sampling | None = None,
        budget: Budget | None = None,
        actor: Actor | None = None,
        index: int = 0,
    ) -> Request:
        """Take in one prompt for one reply, as `Engine.submit`; it is perceived in the caller's thread."""
        request = self.shared.engine.prepare(prompt, sampling, budget, actor, index)
        request.asker = self
        self.open.add(request)
        self.shared.do(lambda: self.shared.engine.admit(request))
        return request

    def cancel(self, request: Request) -> Reply | None:
        """Stop a request, as `Engine.cancel`; None if it is done or the engine is closed."""
        self.open.discard(request)
        if request.stopped is not None or not self.shared.is_alive:
            return None
        return self.shared.ask(lambda: self.shared.engine.cancel(request))

    def leave(self, requests: list[Request]) -> None:
        """Stop requests without waiting for it."""
        self.open.difference_update(requests)
        if self.shared.is_alive:
            for request in requests:
                self.shared.do(lambda request=request: self.shared.engine.cancel(request))


AnyEngine = Engine | Seat
"""Whoever answers: an engine of one's own, or a seat at one that is shared."""
