"""CISPO (arXiv 2506.13585): policy gradient whose importance weights are capped, and never cut a gradient off."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from castalia.rl.algorithms.algorithm import Algorithm


@dataclass(frozen=True)
class Cispo(Algorithm):
    """Every position is learned, by how much likelier it has become since it was sampled, `most` at most."""

    most: float = 5.0

    def advantages(self, rewards_G: np.ndarray) -> np.ndarray:
        """Return r - mean(r)."""
        return rewards_G - rewards_G.mean()

    def losses(self, nll_L: Tensor, advantages_L: Tensor, logprobs_L: Tensor) -> Tensor:
        """Return -min(ratio, most) · A · log p, without a gradient through the ratio."""
        weights_L = torch.exp(-nll_L.detach() - logprobs_L).clamp(max=self.most)
        return nll_L * weights_L * advantages_L
