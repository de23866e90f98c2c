"""One engine, asked by many threads at once: a thread of its own steps it, and every caller sees what is its own."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from castalia.document import Document
from castalia.engine.engine import Engine, Event
from castalia.engine.request import Actor, Budget, Reply, Request, Sampling
from castalia.errors import EngineError

T = TypeVar("T")
PATIENCE = 0.5
"""Seconds after which whoever waits looks whether there is still somebody to wait for."""


class SharedEngine:
    """Steps `engine` in a thread for as long as there is anything to do; ends with `close`.

    Nobody else may use `engine` meanwhile. If a step fails, whoever is being answered is told, and others are served.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.written = 0
        """Tokens written so far."""
        self._todo: deque[Callable[[], object]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def seat(self, ready: Callable[[], None] = lambda: None) -> "Seat":
        """Return a place to ask from. `ready` is called, in the engine's thread, when there are events after none."""
        return Seat(self, ready)

    def close(self) -> None:
        """Cancel what is left and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def do(self, work: Callable[[], object]) -> None:
        """Have `work`, which raises nothing, done between two steps. Raises EngineError if the engine is closed."""
        with self._changed:
            if self._closed:
                raise EngineError("the engine is closed")
            self._todo.append(work)
            self._changed.notify()

    def ask(self, work: Callable[[], T]) -> T:
        """Return what `work`, done between two steps, returns. Raises what it raises, and as `do`."""
        answer: Future[T] = Future()

        def settle() -> None:
            try:
                answer.set_result(work())
            except Exception as error:
                answer.set_exception(error)

        self.do(settle)
        return answer.result()

    def _run(self) -> None:
        while not self._closed:
            with self._changed:
                while self.engine.idle and not (self._todo or self._closed):
                    self._changed.wait()
            try:
                while self._todo:
                    self._todo.popleft()()
                events = self.engine.step()
            except Exception as error:  # a defect must not end the service of others
                self._fail(error)
                continue
            of: dict[Seat, list[Event]] = {}
            for event in events:
                self.written += event.token is not None
                if isinstance(event.request.asker, Seat):
                    of.setdefault(event.request.asker, []).append(event)
            for seat, its in of.items():
                seat.give(its)
        while self._todo:
            self._todo.popleft()()
        self._fail(EngineError("the engine is closed"))

    def _fail(self, error: Exception) -> None:
        for request in [*self.engine.scheduler.running, *self.engine.scheduler.waiting, *self.engine.parked]:
            self.engine.cancel(request)
            if isinstance(request.asker, Seat):
                request.asker.give([], error)


class Mailbox(Generic[T]):
    """What happens to one caller's requests, put in by one thread and taken out by another.

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
        self.shared.do(lambda: self.shared.engine.admit(request))
        return request

    def cancel(self, request: Request) -> Reply | None:
        """Stop a request, as `Engine.cancel`; None if it is done or the engine is closed."""
        if request.stopped is not None or self.shared._closed:
            return None
        return self.shared.ask(lambda: self.shared.engine.cancel(request))

    def leave(self, requests: list[Request]) -> None:
        """Stop requests without waiting for it."""
        if not self.shared._closed:
            for request in requests:
                self.shared.do(lambda request=request: self.shared.engine.cancel(request))


AnyEngine = Engine | Seat
"""Whoever answers: an engine of one's own, or a seat at one that is shared."""
