"""MaxRL: towards maximum likelihood of success, so that what rarely succeeds counts for more."""

from dataclasses import dataclass

import numpy as np

from castalia.rl.algorithms.algorithm import Algorithm


@dataclass(frozen=True)
class MaxRL(Algorithm):
    """The gradient of log p(success) instead of p(success): a group's signal grows as its mean reward falls."""

    least: float = 1e-4

    def advantages(self, rewards_G: np.ndarray) -> np.ndarray:
        """Return (r - mean(r)) / mean(r); 0 where nothing was rewarded."""
        mean = rewards_G.mean()
        return (rewards_G - mean) / mean if mean > self.least else np.zeros_like(rewards_G)
