"""Best of k: how much better the best of k is with this reply among them, so that pass@k grows, not only pass@1."""

from dataclasses import dataclass
from math import comb

import numpy as np

from castalia.rl.algorithms.algorithm import Algorithm


@dataclass(frozen=True)
class BestOfK(Algorithm):
    """The gradient of the mean best of `k`, over all choices of k of a group (pass@k training, arXiv 2508.10751).

    In groups of fewer than 2 k replies, k is half of them: with all of them every choice would be the same.
    """

    k: int = 8

    def advantages(self, rewards_G: np.ndarray) -> np.ndarray:
        """Return mean(max of k, r among them) - mean(max of k)."""
        G, order = len(rewards_G), np.argsort(rewards_G)
        k = max(1, min(self.k, G // 2))
        sorted_G = rewards_G[order]
        # Of the choices of k that hold i: those in which i is the best, and those in which j, further up, is.
        best_G = np.array([comb(i, k - 1) for i in range(G)]) / comb(G - 1, k - 1)
        beaten_G = np.array([comb(j - 1, k - 2) if j and k > 1 else 0 for j in range(G)]) / comb(G - 1, k - 1)
        above_G = np.append(np.cumsum((sorted_G * beaten_G)[::-1])[::-1][1:], 0.0)
        with_G = sorted_G * best_G + above_G
        advantages_G = np.empty(G)
        advantages_G[order] = with_G - with_G.mean()
        return np.where(np.abs(advantages_G) < 1e-12, 0.0, advantages_G)
