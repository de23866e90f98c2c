"""Guards: a run that collapses is stopped at once, goes back to its last good checkpoint, and says why."""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

from castalia.errors import CastaliaError
from castalia.rl.rollouts import Group

PIECE = 4
"""Tokens of a piece that may repeat."""


class CollapseError(CastaliaError):
    """A run has collapsed. `good` is the last step at which all was well."""

    def __init__(self, message: str, good: int) -> None:
        super().__init__(message)
        self.good = good

    def __reduce__(self) -> tuple[type, tuple[str, int]]:
        """Let it be sent to other processes as it is."""
        return type(self), (str(self), self.good)


@dataclass(frozen=True)
class GuardConfig:
    """Bounds that a healthy run keeps; a run is stopped that breaks one of them for `patience` steps on end."""

    patience: int = 5
    least_entropy: float = 0.001
    """Nats a token: below it every prompt has one reply, and there is nothing to choose from."""
    most_entropy: float = 2.5
    """Above it replies are noise."""
    most_repetition: float = 0.5
    """Share of a reply that is said a third time or more."""
    most_limited: float = 0.7
    """Share of replies that come to no end."""
    most_gap: float = 0.02
    """Mean distance, in nats, of the sampler's log-probabilities from the trainer's: they must be the same model's."""
    least_share_of_best: float = 0.4
    """Of the best accuracy so far (means of ten steps)."""


class Guards:
    """Looks at every step's metrics; raises CollapseError."""

    def __init__(self, config: GuardConfig, state: dict[str, Any] | None = None) -> None:
        state = state or {}
        self.config = config
        self.broken: dict[str, int] = state.get("broken", {})
        self.recent: list[float] = state.get("recent", [])
        self.best: float = state.get("best", 0.0)
        self.good: int = state.get("good", 0)

    def state(self) -> dict[str, Any]:
        """Return what must be kept to go on."""
        return {"broken": self.broken, "recent": self.recent, "best": self.best, "good": self.good}

    def look(self, step: int, metrics: dict[str, Any]) -> None:
        """Take note of one step's metrics. Raises CollapseError if something has been wrong for too long."""
        looked_at = ("accuracy", "entropy", "repetition", "limited", "sampler_gap")
        broken = [name for name in looked_at if not math.isfinite(metrics.get(name, 0.0))]
        wrong = [f"{name} is not finite" for name in broken] or self._wrong(metrics)
        self.broken = {what: self.broken.get(what, 0) + 1 for what in wrong}
        if not wrong:
            self.good = step
        for what, steps in self.broken.items():
            if steps >= self.config.patience:
                raise CollapseError(f"stopped at step {step}: {what} for {steps} steps on end", self.good)

    def _wrong(self, metrics: dict[str, Any]) -> list[str]:
        config = self.config
        self.recent = [*self.recent[-9:], metrics["accuracy"]]
        accuracy = sum(self.recent) / len(self.recent)
        if len(self.recent) == 10:
            self.best = max(self.best, accuracy)
        checks = {
            f"entropy is below {config.least_entropy:g} nats": metrics["entropy"] < config.least_entropy,
            f"entropy is above {config.most_entropy:g} nats": metrics["entropy"] > config.most_entropy,
            f"more than {config.most_repetition:.0%} of what is said repeats":
                metrics["repetition"] > config.most_repetition,
            f"more than {config.most_limited:.0%} of replies come to no end": metrics["limited"] > config.most_limited,
            f"sampler and trainer differ by more than {config.most_gap:g} nats":
                metrics.get("sampler_gap", 0.0) > config.most_gap,
            f"accuracy is below {config.least_share_of_best:.0%} of its best":
                accuracy < config.least_share_of_best * self.best,
        }  # fmt: skip
        return [what for what, is_so in checks.items() if is_so]


def vital_signs(groups: list[Group]) -> dict[str, float]:
    """Return what the guards look at; entropy is estimated by what was drawn, in nats a token."""
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    logprobs = [logprob for rollout in rollouts for logprob in rollout.reply.logprobs]
    return {
        "accuracy": sum(rollout.value for rollout in rollouts) / len(rollouts),
        "length": sum(rollout.length for rollout in rollouts) / len(rollouts),
        "entropy": -sum(logprobs) / max(1, len(logprobs)),
        "repetition": sum(repetition(rollout.reply.tokens) for rollout in rollouts) / len(rollouts),
        "limited": sum(not rollout.ended for rollout in rollouts) / len(rollouts),
    }


def repetition(tokens: list[int]) -> float:
    """Return the share of pieces of four tokens that come for the third time or more."""
    pieces = Counter(tuple(tokens[start : start + PIECE]) for start in range(len(tokens) - PIECE + 1))
    return sum(max(0, count - 2) for count in pieces.values()) / max(1, pieces.total())
