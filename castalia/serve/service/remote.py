"""Any model behind an OpenAI-compatible endpoint, served with our reasoning: contemplating, tools and canvas."""

import asyncio
import threading
from collections.abc import Callable
from functools import cached_property
from typing import Any

import httpx

from castalia.actions.action import Session, State
from castalia.actions.catalog import build_actions
from castalia.document import Document
from castalia.engine.request import Actor
from castalia.reasoning.effort import Thinking
from castalia.serve.errors import ApiError
from castalia.serve.service.job import Job
from castalia.serve.service.pieces import Piece
from castalia.serve.service.remote_seat import RemoteRequest, RemoteSeat
from castalia.serve.service.usage import Usage
from castalia.serve.service.work import Worker

BRIEFS = (
    "Solve it step by step.",
    "Work backwards from what is asked.",
    "Find a different way from the obvious one.",
    "Try the first idea that comes to mind, then look for an error in it.",
    "Check every number and every name in the question before you answer.",
    "Split the question into parts and solve each.",
    "Assume that the obvious answer is wrong, and find out why.",
    "Estimate the answer first, then compute it.",
)
MOST_SECONDS = 600.0


class RemoteThinking(Thinking):
    """A way to think of a model that knows nothing of our efforts: the endpoint is told instead."""

    def told(self, prompt: Document) -> Document:
        """Return the prompt as it is."""
        return prompt

    def actor(self, prompt: Document, perception: object) -> Actor | None:
        """Return whoever carries out the calls of one reply to `prompt`; None if it may not act."""
        return Session(self.actions, State.of(prompt)) if self.acts and self.actions else None


class Passing:
    """A transcriber of events that are pieces already."""

    def take(self, events: list[Any]) -> list[Piece]:
        """Return the pieces."""
        return [event.piece for event in events]


class RemoteService(Worker):
    """A model called `model` behind the endpoint `url` (…/v1)."""

    briefs = BRIEFS

    def __init__(self, url: str, model: str, key: str | None = None) -> None:
        self.url, self.model = url.rstrip("/"), model
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, name="endpoint", daemon=True).start()

    @cached_property
    def client(self) -> httpx.AsyncClient:
        """The connection to the endpoint, made in its thread's loop."""
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        timeout = httpx.Timeout(MOST_SECONDS, connect=10.0)
        return httpx.AsyncClient(headers=self.headers, limits=limits, timeout=timeout, trust_env=False)

    @property
    def models(self) -> tuple[str, ...]:
        """The one model's name."""
        return (self.model,)

    @property
    def is_alive(self) -> bool:
        """Whether the thread that asks the endpoint runs; of the endpoint, only asking can tell."""
        return self.loop.is_running()

    @property
    def gauges(self) -> dict[str, tuple[str, Callable[[], float]]]:
        """Nothing: what the endpoint does is its own."""
        return {}

    def close(self) -> None:
        """Close connections and end the thread."""
        asyncio.run_coroutine_threadsafe(self.client.aclose(), self.loop).result(5)
        self.loop.call_soon_threadsafe(self.loop.stop)

    async def count(self, job: Job) -> int:
        """Raise ApiError: only the endpoint's own tokenizer could tell."""
        raise ApiError("tokens of a model behind an endpoint cannot be counted before they are read", 501)

    def thinking(self, job: Job) -> RemoteThinking:
        """Return how a job is thought about; to act it must be asked to."""
        names = job.actions if job.actions is not None else ()
        seconds = job.contemplate.seconds if job.contemplate else None
        effort = "high" if job.effort in ("none", "minimal") and names else job.effort
        return RemoteThinking(effort, build_actions(names), seconds, job.max_tokens)

    def transcriber(self, job: Job) -> Passing:
        """Return a transcriber that has nothing to do."""
        return Passing()

    def spent(self, request: RemoteRequest) -> Usage:
        """Return what a request has cost so far, as far as the endpoint has said it."""
        return request.usage

    def seat(self, job: Job, ready: Callable[[], None]) -> RemoteSeat:
        """Return a place to ask from."""
        return RemoteSeat(self, job, ready)

    def submit(self, seat: RemoteSeat, job: Job) -> list[RemoteRequest]:
        """Submit a request for each choice."""
        thinking = self.thinking(job)
        return [
            seat.submit(job.prompt, job.sampling, thinking.budget, thinking.actor(job.prompt, None), n)
            for n in range(job.sampling.n)
        ]
