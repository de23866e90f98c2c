"""Thinking-time penalty: longer replies earn less than shorter ones to the same prompt. When it is on is the arm."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from castalia.settings import require

MEMORY = 0.8
"""How much of the accuracy so far is kept when the next step's is measured."""


@dataclass(frozen=True)
class PenaltyConfig:
    """Arms: ``none``, ``constant``, ``gated`` (while accuracy is near its best), ``alternating`` with free phases."""

    arm: Literal["none", "constant", "gated", "alternating"] = "none"
    weight: float = 0.4
    """Reward between the shortest and the longest reply to a prompt."""
    begins: int = 0
    """Step from which on it may be on."""
    phase: int = 40
    """Steps of every phase of ``alternating``; the first has the penalty."""
    margin: float = 0.05
    """How far ``gated`` lets accuracy fall below its best (Short-RL, arXiv 2505.12284)."""

    def __post_init__(self) -> None:
        require(self, 1, "phase")


class Penalty:
    """Shapes the rewards of groups by length, step after step."""

    def __init__(self, config: PenaltyConfig, state: dict[str, float] | None = None) -> None:
        self.config = config
        self.accuracy: float | None = (state or {}).get("accuracy")
        self.best: float = (state or {}).get("best", 0.0)

    def state(self) -> dict[str, Any]:
        """Return what must be kept to go on."""
        return {"best": self.best} | ({} if self.accuracy is None else {"accuracy": self.accuracy})

    def weight(self, step: int) -> float:
        """Return how much length counts in the step after `step` steps."""
        config, since = self.config, step - self.config.begins
        if config.arm == "none" or since < 0:
            return 0.0
        if config.arm == "gated":
            is_on = self.accuracy is not None and self.accuracy >= self.best - config.margin
        else:
            is_on = config.arm == "constant" or since // config.phase % 2 == 0
        return config.weight if is_on else 0.0

    def observe(self, accuracy: float) -> None:
        """Take note of the share of rollouts of one step that were right."""
        self.accuracy = accuracy if self.accuracy is None else MEMORY * self.accuracy + (1 - MEMORY) * accuracy
        self.best = max(self.best, self.accuracy)


def shaped(values_G: np.ndarray, lengths_G: np.ndarray, weight: float) -> np.ndarray:
    """Return the rewards of one prompt's rollouts: the shorter the more, but what is wrong never earns by it.

    λ = 1/2 - (length - shortest) / (longest - shortest), or min(0, λ) if wrong (Kimi k1.5, arXiv 2501.12599). Where no
    reply is right length has no price: a model that fails would learn to give up sooner, until it only guesses.
    """
    shortest, longest = lengths_G.min(), lengths_G.max()
    if weight == 0 or shortest == longest or values_G.max() < 1:
        return values_G
    bonus_G = 0.5 - (lengths_G - shortest) / (longest - shortest)
    return values_G + weight * np.where(values_G == 1, bonus_G, np.minimum(0, bonus_G))
