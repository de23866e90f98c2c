"""The contract of every algorithm: advantages out of a group's rewards, and a loss for every position."""

from abc import ABC, abstractmethod

import numpy as np
from torch import Tensor


class Algorithm(ABC):
    """Turns the rewards of one prompt's rollouts into advantages, and these into what the trainer learns."""

    @abstractmethod
    def advantages(self, rewards_G: np.ndarray) -> np.ndarray:
        """Return the advantage of every rollout of one prompt; all 0 where none is better than another."""

    def losses(self, nll_L: Tensor, advantages_L: Tensor, logprobs_L: Tensor) -> Tensor:
        """Return what each of L positions adds to the loss, by -log p, advantage and the sampler's log-probability.

        Here its policy gradient, for weights that have not changed since the rollouts were made (REINFORCE, Williams
        1992).
        """
        return nll_L * advantages_L
