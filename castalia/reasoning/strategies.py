"""Ways to spend computation on questions, behind one interface: one chain, several voices, contemplating."""

import math
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from castalia.document import Document
from castalia.engine.engine import Event
from castalia.engine.request import Reply, Request, Sampling
from castalia.engine.shared import AnyEngine
from castalia.reasoning.effort import Thinking
from castalia.tasks.steps import NOTHING

ENDED = ("end", "stop")
"""Why replies stopped that came to an answer."""


@dataclass(frozen=True)
class Verdict:
    """An answer, the replies that it was made of, round by round, and the wall clock that it took.

    Questions that were answered together took the same `seconds`.
    """

    answer: str
    rounds: tuple[tuple[Reply, ...], ...]
    seconds: float

    @property
    def replies(self) -> list[Reply]:
        """All replies."""
        return [reply for replies in self.rounds for reply in replies]

    @property
    def tokens(self) -> int:
        """Tokens written by all."""
        return sum(len(reply.tokens) for reply in self.replies)

    @property
    def critical_tokens(self) -> int:
        """Tokens on the longest path, as if agents side by side were free."""
        return sum(max((len(reply.tokens) for reply in replies), default=0) for replies in self.rounds)


class Strategy(Protocol):
    """A way to answer questions with one engine."""

    def answer(self, engine: AnyEngine, prompts: list[Document], seed: int = 0) -> list[Verdict]:
        """Answer every prompt, all at once."""
        ...


@dataclass(frozen=True)
class Voices:
    """What all strategies with several voices have.

    How many `agents` a question has, how they think, how their tokens are drawn, and who watches what happens.
    """

    agents: int = 8
    thinking: Thinking = field(default_factory=Thinking)
    temperature: float = 0.5
    watch: Callable[[Event], None] = lambda event: None

    def ask(
        self,
        engine: AnyEngine,
        groups: list[list[Document]],
        seed: int,
        enough: int | None = None,
        counts: Callable[[Reply], bool] = lambda reply: True,
    ) -> list[list[Reply]]:
        """Let all prompts of all groups be answered at once; with `enough`, end a group when so many `count`.

        Those not waited for have a reply, too: what they had written by then. The draws of a prompt depend on the seed
        and its place in its group, not on other groups.
        """
        sampling = Sampling(self.temperature, seed=seed)
        group_of: dict[Request, int] = {}
        replies: list[dict[int, Reply]] = [{} for _ in groups]
        try:
            for number, prompts in enumerate(groups):
                for index, prompt in enumerate(prompts):
                    actor = self.thinking.actor(prompt, engine.perception)
                    told = self.thinking.told(prompt)
                    group_of[engine.submit(told, sampling, self.thinking.budget, actor, index)] = number
            waiting = set(group_of)
            while waiting:
                for event in engine.step():
                    self.watch(event)
                    if event.reply is None or event.request not in group_of:
                        continue
                    waiting.discard(event.request)
                    number = group_of[event.request]
                    replies[number][event.request.index] = event.reply
                    if enough and sum(map(counts, replies[number].values())) >= enough:
                        for request in [request for request, its in group_of.items() if its == number]:
                            if written := engine.cancel(request):
                                waiting.discard(request)
                                replies[number][request.index] = written
        finally:
            for request in group_of:
                engine.cancel(request)
        return [[reply for _, reply in sorted(group.items(), key=lambda item: item[0])] for group in replies]


@dataclass(frozen=True)
class OneChain(Voices):
    """One reply, as long as its effort lets it think."""

    agents: int = 1
    temperature: float = 0.0

    def answer(self, engine: AnyEngine, prompts: list[Document], seed: int = 0) -> list[Verdict]:
        """Answer with the only reply."""
        return _decide(self, engine, prompts, seed, lambda replies: replies[0].answer)


@dataclass(frozen=True)
class Majority(Voices):
    """The commonest answer (self-consistency, arXiv 2203.11171); `weighted` by how sure each reply was."""

    weighted: bool = False

    def answer(self, engine: AnyEngine, prompts: list[Document], seed: int = 0) -> list[Verdict]:
        """Answer with the majority."""
        return _decide(self, engine, prompts, seed, lambda replies: vote(replies, self.weighted))


@dataclass(frozen=True)
class FirstToFinish(Voices):
    """The majority of the first `enough` replies to finish (short-m@k, arXiv 2505.17813)."""

    enough: int = 3

    def answer(self, engine: AnyEngine, prompts: list[Document], seed: int = 0) -> list[Verdict]:
        """Answer with the majority of those that were quickest."""
        return _decide(self, engine, prompts, seed, vote, min(self.enough, self.agents))


@dataclass(frozen=True)
class BestOf(Voices):
    """The reply to a prompt that a verifier scores highest; of equals the first."""

    score: Callable[[Document, str], float] = lambda prompt, answer: 0.0

    def answer(self, engine: AnyEngine, prompts: list[Document], seed: int = 0) -> list[Verdict]:
        """Answer with the best."""
        verdicts = _decide(self, engine, prompts, seed, vote)
        return [
            replace(
                verdict, answer=max((r.answer for r in verdict.replies), key=lambda answer: self.score(prompt, answer))
            )
            for prompt, verdict in zip(prompts, verdicts, strict=True)
        ]


def _decide(
    voices: Voices,
    engine: AnyEngine,
    prompts: list[Document],
    seed: int,
    choose: Callable[[list[Reply]], str],
    enough: int | None = None,
) -> list[Verdict]:
    """Let all voices answer once and choose."""
    started = time.perf_counter()
    groups = voices.ask(engine, [[prompt] * voices.agents for prompt in prompts], seed, enough)
    seconds = time.perf_counter() - started
    return [Verdict(choose(replies), (tuple(replies),), seconds) for replies in groups]


def vote(replies: list[Reply], weighted: bool = False) -> str:
    """Return the commonest answer among replies that found one, of equals the first; "" if none did.

    Weighted, a reply counts by the geometric mean of its tokens' probabilities.
    """
    counts: dict[str, float] = defaultdict(float)
    spelled: dict[str, str] = {}
    for reply in replies:
        if found(reply):
            same = reply.answer.strip().rstrip(".").lower()
            spelled.setdefault(same, reply.answer)
            counts[same] += math.exp(sum(reply.logprobs) / max(1, len(reply.logprobs))) if weighted else 1
    return spelled[max(counts, key=counts.__getitem__)] if counts else ""


def found(reply: Reply) -> bool:
    """Say whether a reply came to an answer that says something."""
    return reply.stopped in ENDED and reply.answer not in ("", NOTHING)


def conclusions(replies: list[Reply]) -> list[str]:
    """Return what agents concluded: the answers of those that came to one."""
    return [reply.answer for reply in replies if reply.stopped in ENDED and reply.answer]
