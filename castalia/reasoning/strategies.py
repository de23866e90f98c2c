"""Ways to spend computation on one question, behind one interface: one chain, several voices, contemplating."""

import math
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from castalia.document import Document, Part
from castalia.engine.engine import Engine
from castalia.engine.request import Actor, Budget, Reply, Sampling

MakeActor = Callable[[Document], Actor | None]
"""Makes whoever carries out the calls of a reply to this prompt."""


@dataclass(frozen=True)
class Verdict:
    """An answer, every reply that it was made of, and what it cost.

    `tokens` are all tokens written; `critical_tokens` those on the longest path, as if agents were free; `seconds` of
    wall clock.
    """

    answer: str
    replies: tuple[Reply, ...]
    tokens: int
    critical_tokens: int
    seconds: float
    rounds: tuple[tuple[Reply, ...], ...] = field(default_factory=tuple)


class Strategy(Protocol):
    """A way to answer one question with one engine."""

    def answer(self, engine: Engine, prompt: Document, seed: int = 0) -> Verdict:
        """Answer `prompt`."""
        ...


@dataclass(frozen=True)
class Voices:
    """What all strategies with several voices have: how many, how each is drawn, what each may spend."""

    agents: int = 8
    budget: Budget = field(default_factory=Budget)
    temperature: float = 0.8
    actor: MakeActor = lambda prompt: None

    def ask(self, engine: Engine, prompts: list[Document], seed: int, enough: int | None = None) -> list[Reply]:
        """Let every prompt be answered at once; with `enough`, stop when so many are done."""
        sampling = Sampling(self.temperature, seed=seed)
        replies: dict[int, Reply] = {}
        for event in engine.stream(prompts, sampling, self.budget, [self.actor(prompt) for prompt in prompts]):
            if event.reply is not None and not event.request.depth:
                replies[event.request.index] = event.reply
                if enough and len(replies) >= enough:
                    break
        return [reply for _, reply in sorted(replies.items())]

    def verdict(self, answer: str, rounds: list[list[Reply]], started: float) -> Verdict:
        """Sum up what `rounds` of replies, one after the other, have cost."""
        replies = tuple(reply for replies in rounds for reply in replies)
        return Verdict(
            answer,
            replies,
            sum(len(reply.tokens) for reply in replies),
            sum(max((len(reply.tokens) for reply in replies), default=0) for replies in rounds),
            time.perf_counter() - started,
            tuple(tuple(replies) for replies in rounds),
        )


@dataclass(frozen=True)
class OneChain(Voices):
    """One reply, as long as its budget lets it think."""

    def answer(self, engine: Engine, prompt: Document, seed: int = 0) -> Verdict:
        """Answer with the only reply."""
        started = time.perf_counter()
        replies = self.ask(engine, [prompt], seed)
        return self.verdict(replies[0].answer, [replies], started)


@dataclass(frozen=True)
class Majority(Voices):
    """The commonest answer (self-consistency, arXiv 2203.11171); `weighted` by how sure each reply was."""

    weighted: bool = False

    def answer(self, engine: Engine, prompt: Document, seed: int = 0) -> Verdict:
        """Answer with the majority."""
        started = time.perf_counter()
        replies = self.ask(engine, [prompt] * self.agents, seed)
        return self.verdict(vote(replies, self.weighted), [replies], started)


@dataclass(frozen=True)
class FirstToFinish(Voices):
    """The majority of the first `enough` replies to finish (short-m@k, arXiv 2505.17813)."""

    enough: int = 3

    def answer(self, engine: Engine, prompt: Document, seed: int = 0) -> Verdict:
        """Answer with the majority of those that were quickest."""
        started = time.perf_counter()
        replies = self.ask(engine, [prompt] * self.agents, seed, min(self.enough, self.agents))
        return self.verdict(vote(replies), [replies], started)


@dataclass(frozen=True)
class BestOf(Voices):
    """The reply that a verifier scores highest; of equals the first."""

    score: Callable[[str], float] = lambda answer: 0.0

    def answer(self, engine: Engine, prompt: Document, seed: int = 0) -> Verdict:
        """Answer with the best."""
        started = time.perf_counter()
        replies = self.ask(engine, [prompt] * self.agents, seed)
        best = max(replies, key=lambda reply: self.score(reply.answer))
        return self.verdict(best.answer, [replies], started)


def vote(replies: list[Reply], weighted: bool = False) -> str:
    """Return the commonest answer among replies that came to one, of equals the first; "" if none did.

    Weighted, a reply counts by the geometric mean of its tokens' probabilities.
    """
    counts: dict[str, float] = defaultdict(float)
    spelled: dict[str, str] = {}
    for reply in replies:
        if reply.stopped in ("end", "stop") and reply.answer:
            same = reply.answer.strip().rstrip(".").lower()
            spelled.setdefault(same, reply.answer)
            counts[same] += math.exp(sum(reply.logprobs) / max(1, len(reply.logprobs))) if weighted else 1
    return spelled[max(counts, key=counts.__getitem__)] if counts else ""


def conclusions(replies: list[Reply]) -> Document:
    """Return what agents concluded, as the synthesiser reads it: their answers, without their thoughts."""
    answers = [reply.answer for reply in replies if reply.stopped in ("end", "stop") and reply.answer]
    return Document((Part("; ".join(answers), "tool"),))
