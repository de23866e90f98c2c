"""Contemplating: several agents propose, refine what all have found, and one of them writes the answer."""

import time
from dataclasses import dataclass, replace

from castalia.document import Document, Part
from castalia.engine.engine import Engine
from castalia.engine.request import Budget, Reply
from castalia.reasoning.strategies import Verdict, Voices, conclusions, vote

BRIEFS = ("solve", "check", "refute", "another way")
"""Another dimension of the problem for each agent, in turn; the first is to solve it plainly."""


@dataclass(frozen=True)
class Contemplate(Voices):
    """Propose, refine, synthesise.

    `agents` start from one shared prefix, each with its brief (none where the model knows no briefs); in every one of
    `refinements` each reads what all have concluded and concludes anew; then one reply is written from the
    conclusions. With `seconds` whatever is ready when four fifths of them are over is merged.
    """

    refinements: int = 0
    briefs: tuple[str, ...] = ()
    seconds: float | None = None

    def answer(self, engine: Engine, prompt: Document, seed: int = 0) -> Verdict:
        """Answer with the synthesis; if it comes to no end, with the majority."""
        started = time.perf_counter()
        proposing = self._limited(started, self.refinements + 1)
        prompts = [self._brief(prompt, index) for index in range(self.agents)]
        rounds = [proposing.ask(engine, prompts, seed)]
        for _ in range(self.refinements):
            pooled = prompt + conclusions(rounds[-1])
            if self._late(started):
                break
            refining = self._limited(started, 1)
            rounds.append(refining.ask(engine, [pooled] * self.agents, seed + 1))
        final = replace(self, temperature=0.0, budget=self._left(started))
        synthesis = final.ask(engine, [prompt + conclusions(rounds[-1])], seed)
        written = synthesis[0].answer if synthesis and synthesis[0].stopped in ("end", "stop") else ""
        return self.verdict(written or vote(_all(rounds)), [*rounds, synthesis], started)

    def _brief(self, prompt: Document, index: int) -> Document:
        if not self.briefs:
            return prompt
        return prompt + Document((Part(self.briefs[index % len(self.briefs)], "user"),))

    def _late(self, started: float) -> bool:
        return self.seconds is not None and time.perf_counter() - started >= 0.8 * self.seconds

    def _limited(self, started: float, rounds: int) -> "Contemplate":
        """Give a round its share of the time up to four fifths of the deadline."""
        if self.seconds is None:
            return self
        left = max(0.01, 0.8 * self.seconds - (time.perf_counter() - started))
        return replace(self, budget=replace(self.budget, seconds=left / rounds))

    def _left(self, started: float) -> Budget:
        if self.seconds is None:
            return self.budget
        return replace(self.budget, seconds=max(0.01, self.seconds - (time.perf_counter() - started)))


def _all(rounds: list[list[Reply]]) -> list[Reply]:
    return [reply for replies in rounds for reply in replies]
