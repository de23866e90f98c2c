"""A model of ours, served: one engine that all requests share."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from castalia.actions.catalog import build_actions
from castalia.assistant import Assistant
from castalia.engine.constraints import Constraints
from castalia.engine.request import Request
from castalia.engine.shared import Seat, SharedEngine
from castalia.reasoning.effort import Thinking
from castalia.serve.service.functions import Functions
from castalia.serve.service.job import Job
from castalia.serve.service.transcript import Transcript, usage_of
from castalia.serve.service.usage import Usage
from castalia.serve.service.work import Worker
from castalia.tasks.effort import THINKING

SPELLED = 512
"""Tokens that JSON or a call may take beyond the thoughts, where nothing else is said."""


class LocalService(Worker):
    """An `Assistant`, asked by many. Where it is not `threaded`, whoever makes it calls `shared.drive`."""

    def __init__(self, assistant: Assistant, name: str, *, threaded: bool = True) -> None:
        self.assistant, self.name = assistant, name
        self.shared = SharedEngine(assistant.engine, threaded=threaded)
        self.constraints = Constraints(assistant.engine.perception)
        self.briefs = assistant.briefs

    @classmethod
    def load(cls, run: Path, name: str, *, threaded: bool = True) -> "LocalService":
        """Return a service of the newest checkpoint of a run."""
        return cls(Assistant.load(run), name, threaded=threaded)

    @property
    def models(self) -> tuple[str, ...]:
        """The one model's name."""
        return (self.name,)

    @property
    def is_alive(self) -> bool:
        """Whether the engine can be asked."""
        return self.shared.is_alive

    @property
    def gauges(self) -> dict[str, tuple[str, Callable[[], float]]]:
        """Tokens that the engine has written, and pages of its cache that are in use."""
        pool = self.assistant.engine.pool
        return {
            "castalia_engine_tokens": ("Tokens the engine has written", lambda: self.shared.written),
            "castalia_cache_pages": ("Pages of the cache", lambda: len(pool.users)),
            "castalia_cache_pages_used": ("Pages of the cache in use", lambda: len(pool.users) - pool.free),
        }

    def close(self) -> None:
        """Cancel what is left; nothing can be asked any more."""
        self.shared.close()

    async def count(self, job: Job) -> int:
        """Return how many positions the prompt of a job takes."""
        functions = Functions(job.functions, job.tool_choice, job.parallel)
        prompt = self.thinking(job).told(functions.told(job.prompt))
        return len(await asyncio.to_thread(self.assistant.engine.perception, prompt, reply=True))

    def thinking(self, job: Job) -> Thinking:
        """Return how a job is thought about. With functions of the client's the model does only what is asked for."""
        learned = {} if job.functions else self.assistant.actions
        actions = learned if job.actions is None else build_actions(job.actions)
        room = THINKING[job.effort] + SPELLED if job.functions or job.schema is not None else None
        seconds = job.contemplate.seconds if job.contemplate else None
        return Thinking(job.effort, actions, seconds, job.max_tokens or room)

    def seat(self, job: Job, ready: Callable[[], None]) -> Seat:
        """Return a seat at the engine."""
        return self.shared.seat(ready)

    def transcriber(self, job: Job) -> Transcript:
        """Return a transcript of tokens."""
        return Transcript(self.assistant.engine.reader, job.logprobs)

    def spent(self, request: Request) -> Usage:
        """Return what a request has cost so far."""
        return usage_of(request)

    def submit(self, seat: Seat, job: Job) -> list[Request]:
        """Submit a request for each choice; they share their prompt's memory."""
        functions, thinking = Functions(job.functions, job.tool_choice, job.parallel), self.thinking(job)
        grammar = functions.grammar(self.constraints, job.schema, thinking.acts)
        sampling, prompt = replace(job.sampling, grammar=grammar), thinking.told(functions.told(job.prompt))
        actors = [functions.actor(thinking.actor(job.prompt, seat.perception)) for _ in range(sampling.n)]
        return [seat.submit(prompt, sampling, thinking.budget, actor, n) for n, actor in enumerate(actors)]
