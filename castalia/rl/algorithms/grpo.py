"""GRPO (arXiv 2402.03300): advantages in deviations of the group, and PPO's clipped ratio (arXiv 1707.06347)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from castalia.rl.algorithms.algorithm import Algorithm


@dataclass(frozen=True)
class Grpo(Algorithm):
    """A position whose probability has moved by more than `clip`, in the wanted direction, is learned no further."""

    clip: float = 0.2
    least_deviation: float = 1e-4

    def advantages(self, rewards_G: np.ndarray) -> np.ndarray:
        """Return (r - mean(r)) / std(r)."""
        return (rewards_G - rewards_G.mean()) / (rewards_G.std() + self.least_deviation)

    def losses(self, nll_L: Tensor, advantages_L: Tensor, logprobs_L: Tensor) -> Tensor:
        """Return -min(ratio · A, clipped ratio · A); the ratio is that of now to when it was sampled."""
        ratio_L = torch.exp(-nll_L - logprobs_L)
        clipped_L = ratio_L.clamp(1 - self.clip, 1 + self.clip)
        return -torch.minimum(ratio_L * advantages_L, clipped_L * advantages_L)
