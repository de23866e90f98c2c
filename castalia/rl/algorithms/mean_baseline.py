"""Policy gradient with the group's mean as its baseline (Dr. GRPO, arXiv 2503.20783; RLOO but for a factor)."""

import numpy as np

from castalia.rl.algorithms.algorithm import Algorithm


class MeanBaseline(Algorithm):
    """What is better than the mean of its group is learned, the rest unlearned, as far as it is from the mean."""

    def advantages(self, rewards_G: np.ndarray) -> np.ndarray:
        """Return r - mean(r)."""
        return rewards_G - rewards_G.mean()
