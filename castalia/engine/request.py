"""What is asked of the engine, what it answers, and how far each request is."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from castalia.actions.action import Branches, Outcome
from castalia.document import Call, Document
from castalia.engine.context import Context
from castalia.perception.sequence import Sequence

Stopped = Literal["end", "length", "stop", "time", "cancelled"]


State = Literal["answering", "thinking", "calling"]


class Grammar(Protocol):
    """What may come next, for constrained output."""

    def mask(self, state: State) -> np.ndarray | None:
        """Return a boolean array [V] of the tokens that may come next, None for any."""
        ...

    def accept(self, token: int, state: State) -> bool:
        """Take note of the token that was written; return whether the text is complete and must end."""
        ...


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn.

    `temperature` 0 takes the likeliest token. `top_p` keeps the likeliest tokens that make up this probability,
    `min_p` those at least this share as likely as the likeliest, `top_k` so many (0: all). `seed` fixes the draw of
    each prompt, whatever else is decoded beside it. A reply ends before the first of the texts `stop`. `grammar`
    makes a fresh `Grammar` for a reply. `n` replies are made to every prompt, which the cache holds once. Of every
    token the `top_logprobs` likeliest others are kept as well. A reply that no grammar holds does not end by itself
    before it has `min_tokens`.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    min_p: float = 0.0
    top_k: int = 0
    seed: int = 0
    stop: tuple[str, ...] = ()
    grammar: Callable[[], Grammar] | None = None
    n: int = 1
    top_logprobs: int = 0
    min_tokens: int = 0

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"n must be 1 or more, got {self.n}")
        if self.temperature < 0:
            raise ValueError(f"temperature must be 0 or more, got {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1, got {self.top_p}")
        if not 0 <= self.min_p <= 1:
            raise ValueError(f"min_p must be from 0 to 1, got {self.min_p}")
        if self.top_k < 0:
            raise ValueError(f"top_k must be 0 or more, got {self.top_k}")
        if not all(self.stop):
            raise ValueError("a text to stop at must not be empty")


@dataclass(frozen=True)
class Budget:
    """What one reply may cost: tokens written in all, tokens of thought, seconds, and actions.

    At the limit of its thoughts the model is made to end them and answer; at the others the reply ends.
    """

    tokens: int = 256
    thinking: int | None = None
    seconds: float | None = None
    actions: int = 32


class Actor(Protocol):
    """Whoever carries out what the model writes, as `castalia.actions.action.Session`. The engine knows no action."""

    def act(self, call: Call) -> Outcome | None:
        """Carry out one call, or leave it to whoever asked (None). Never raises: what went wrong is said in it."""
        ...

    def fork(self) -> "Actor":
        """Return the actor of an agent that goes on from here on its own."""
        ...


@dataclass(frozen=True)
class Reply:
    """What the model wrote.

    Token ids with their log-probabilities at temperature 1 (forced ones too), why it stopped, how it reads, and the
    whole sequence, prompt and observations included, with weight 1 on what the model chose. `cached_tokens` of
    `prompt_tokens` were not computed anew. `document` holds thoughts, calls, what they returned, and the answer.
    """

    tokens: list[int]
    logprobs: list[float]
    stopped: Stopped
    thoughts: str
    answer: str
    document: Document
    sequence: Sequence
    prompt_tokens: int
    cached_tokens: int
    seconds: float
    met: str | None = None
    """The text to stop at that the answer ends before."""


@dataclass(eq=False)
class Request:
    """One reply in the making. ``computed`` positions of the context are in the cache, in ``pages``."""

    index: int
    context: Context
    sampling: Sampling
    budget: Budget
    actor: Actor | None = None
    depth: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    started: float = field(default_factory=time.perf_counter)
    computed: int = 0
    pages: list[int] = field(default_factory=list)
    parts: list[Document | list[int]] = field(default_factory=list)
    """What happened, in order: runs of written tokens and observations."""
    logprobs: list[float] = field(default_factory=list)
    tops: list[list[tuple[int, float]]] = field(default_factory=list)
    """The likeliest tokens wherever one was written, where they are wanted."""
    written: int = 0
    thought: int = 0
    acted: int = 0
    state: State = "answering"
    began_thinking: bool = False
    """Whether it goes on with thoughts that its parent opened."""
    calls_in_thought: bool = False
    grammar: Grammar | None = None
    waiting_for: Future | None = None
    agents: list["Request"] = field(default_factory=list)
    joined: int = 0
    """Tokens of agents whose findings have come back."""
    branches: Branches | None = None
    asker: object = None
    """Who asked, where the engine is shared."""
    stopped: Stopped | None = None

    def __post_init__(self) -> None:
        self.prompt_tokens = len(self.context)
        self.state = "thinking" if self.began_thinking else "answering"
        self.grammar = self.sampling.grammar() if self.sampling.grammar else None

    @property
    def run(self) -> list[int]:
        """The tokens written since the last observation."""
        if not self.parts or isinstance(self.parts[-1], Document):
            self.parts.append([])
        last = self.parts[-1]
        assert isinstance(last, list)
        return last

    @property
    def delegated(self) -> int:
        """Tokens that its agents, and theirs, have written so far."""
        return self.joined + sum(agent.written + agent.delegated for agent in self.agents)

    @property
    def in_thought(self) -> bool:
        """Whether what it writes now belongs to its thoughts."""
        return self.state == "thinking" or (self.state == "calling" and self.calls_in_thought)

    @property
    def seconds(self) -> float:
        """Seconds since it was asked."""
        return time.perf_counter() - self.started

    @property
    def tokens(self) -> list[int]:
        """All tokens written."""
        return [token for part in self.parts if isinstance(part, list) for token in part]
