"""Questions at work: let in by the gate, answered by the service, settled however they end, and stopped."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field

from castalia.document import Document
from castalia.errors import AccessError
from castalia.serve.api.answering import House
from castalia.serve.api.asking import noted
from castalia.serve.page.turn import Turn
from castalia.serve.service.usage import Usage

TICK = 0.1
"""Seconds between two looks at what was written: the page moves ten times a second at most."""
ENDPOINT = "/"
KEYLESS = "this server needs a key: put yours into the field above"


@dataclass
class Desk:
    """What is being worked on, by the session that asked for it."""

    house: House
    at_work: dict[str, set[asyncio.Task[None]]] = field(default_factory=dict)

    def is_busy(self, session: str) -> bool:
        """Return whether something of this session is being worked on."""
        return bool(self.at_work.get(session))

    def stop(self, session: str) -> None:
        """Cancel all that is being worked on for a session."""
        for task in self.at_work.get(session, ()):
            task.cancel()

    async def work(
        self, session: str, secret: str | None, model: str, asked: Iterable[tuple[Turn, Document]]
    ) -> AsyncGenerator[None]:
        """Answer questions side by side; yields whenever there may be something new, and once at the end.

        Whoever stops listening cancels what is left.
        """
        tasks = {asyncio.create_task(self._answer(turn, prompt, secret, model)) for turn, prompt in asked}
        self.at_work.setdefault(session, set()).update(tasks)
        try:
            waiting = tasks
            while waiting:
                _, waiting = await asyncio.wait(waiting, timeout=TICK)
                yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.at_work[session] -= tasks
            if not self.at_work[session]:
                del self.at_work[session]

    async def _answer(self, turn: Turn, prompt: Document, secret: str | None, model: str) -> None:
        """Let the service answer one question into `turn`; what goes wrong is said there."""
        grant, status, job = None, 200, turn.manner.job(prompt)
        metrics = self.house.metrics
        metrics.active.inc()
        try:
            grant = await self.house.enter(secret, self.house.known(model))
            updates = self.house.service.updates(job)
            async with contextlib.aclosing(updates):
                async for some in updates:
                    is_first = turn.version == 0
                    turn.take(some)
                    if is_first:
                        metrics.first.observe(turn.seconds)
            turn.end("done")
        except asyncio.CancelledError:
            status = 499
            turn.end("stopped")
            raise
        except Exception as error:
            said = noted(error)
            status = said.status
            turn.end("failed", KEYLESS if isinstance(error, AccessError) and not secret else said.message)
        finally:
            metrics.active.dec()
            metrics.seconds.labels(ENDPOINT).observe(turn.seconds)
            # What agents have cost that were stopped has all of them, also those that were done before.
            usage = sum(job.stopped, Usage() if job.stopped and turn.manner.agents else turn.usage)
            metrics.count(usage)
            if grant is not None:
                grant.settle(ENDPOINT, usage, turn.seconds, status)
