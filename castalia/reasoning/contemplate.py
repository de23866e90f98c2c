"""Contemplating: several agents propose, refine what all have found, and one of them writes the answer."""

import time
from collections import Counter
from dataclasses import dataclass, replace

from castalia.document import Document, Part
from castalia.engine.request import Reply
from castalia.engine.shared import AnyEngine
from castalia.reasoning.strategies import ENDED, Verdict, Voices, conclusions, found, vote
from castalia.tasks.merging import BRIEFS, pool
from castalia.tasks.steps import NOTHING

MOST_AGENTS = 64
"""Agents that people may have think about one question."""


@dataclass(frozen=True)
class Contemplate(Voices):
    """Propose, refine, synthesise.

    `agents` start from one shared prefix, each with another of the `briefs` (none where the model knows no briefs); in
    every one of `refinements` each reads what all have concluded and concludes anew; then one reply is written from
    the conclusions. When `enough` agents have found something the others are not waited for. With a limit of seconds
    in `thinking`, whatever is ready when four fifths of them are over is merged. Where a share of `quorum` of those who
    found something agree there is nothing to merge.
    """

    refinements: int = 0
    enough: int | None = None
    quorum: float = 1.0
    briefs: tuple[str, ...] = BRIEFS

    def answer(self, engine: AnyEngine, prompts: list[Document], seed: int = 0) -> list[Verdict]:
        """Answer with the synthesis; where it comes to no end, with the majority."""
        started = time.perf_counter()
        briefed = [self._briefed(prompt) for prompt in prompts]
        rounds = [self._within(started, 0.8).ask(engine, briefed, seed, self.enough, found)]
        latest = rounds[-1]
        for _ in range(self.refinements):
            refining = self._within(started, 0.8)
            again = [[prompt + pooled] * self.agents for prompt, pooled in _pooled(prompts, latest)]
            rounds.append(refining.ask(engine, again, seed + len(rounds)))
            # Whoever had no time left to conclude anew stands by what was found before.
            latest = [new if conclusions(new) else old for new, old in zip(rounds[-1], latest, strict=True)]
        final = replace(self._within(started, 1.0), temperature=0.0)
        merging = [[prompt + pooled] for prompt, pooled in _pooled(prompts, latest)]
        unsettled = [m if self._differ(replies) else [] for m, replies in zip(merging, latest, strict=True)]
        syntheses = final.ask(engine, unsettled, seed)
        seconds = time.perf_counter() - started
        return [
            Verdict(_written(synthesis) or vote(list(proposals)), (*history, tuple(synthesis)), seconds)
            for synthesis, proposals, *history in zip(syntheses, latest, *_as_tuples(rounds), strict=True)
        ]

    def _differ(self, replies: list[Reply]) -> bool:
        """Return whether too few of those who found something agree."""
        counts = Counter(answer for answer in conclusions(replies) if answer != NOTHING)
        return not counts or max(counts.values()) < self.quorum * counts.total()

    def _briefed(self, prompt: Document) -> list[Document]:
        if not self.briefs:
            return [prompt] * self.agents
        return [prompt + Document((Part(self.briefs[i % len(self.briefs)], "user"),)) for i in range(self.agents)]

    def _within(self, started: float, share: float) -> "Contemplate":
        """Limit a round to what is left of `share` of the time."""
        if self.thinking.seconds is None:
            return self
        left = max(0.001, share * self.thinking.seconds - (time.perf_counter() - started))
        return replace(self, thinking=replace(self.thinking, seconds=left))


def _pooled(prompts: list[Document], groups: list[list[Reply]]) -> list[tuple[Document, Document]]:
    return [(prompt, pool(conclusions(replies))) for prompt, replies in zip(prompts, groups, strict=True)]


def _as_tuples(rounds: list[list[list[Reply]]]) -> list[list[tuple[Reply, ...]]]:
    return [[tuple(replies) for replies in groups] for groups in rounds]


def _written(synthesis: list[Reply]) -> str:
    return synthesis[0].answer if synthesis and synthesis[0].stopped in ENDED else ""
