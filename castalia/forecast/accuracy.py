"""From loss to accuracy: what a family of tasks makes of a loss, guessing at one end and all right at the other."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.optimize import least_squares

from castalia.forecast.fits import Values


@dataclass(frozen=True)
class Sigmoid:
    """R(L) = chance + (1 - chance) / (1 + exp(k (L - L0))) (as in the OLMo ladder, arXiv 2412.04403)."""

    chance: float = 0.0
    name: ClassVar[str] = "sigmoid of loss"
    parameters: ClassVar[tuple[str, ...]] = ("L0", "log_k")
    in_logs: ClassVar[bool] = False

    def at(self, parameters_P: Values, x: Values) -> Values:
        """Return the accuracy at every loss, [N]."""
        middle, log_steepness = parameters_P
        bent_N = np.clip(np.exp(log_steepness) * (x - middle), -50, 50)
        return self.chance + (1 - self.chance) / (1 + np.exp(bent_N))

    def solve(self, x: Values, y_N: Values, near_P: Values | None = None) -> Values:
        """Return L0 and log k, by least squares from several beginnings."""
        width = max(float(np.ptp(x)), 1e-6)
        middles = np.linspace(x.min() - width, x.max() + width, 7)
        starts = [[m, np.log(s / width)] for m in middles for s in (1, 4, 16)] if near_P is None else [near_P]
        tries = [least_squares(lambda p_P: self.at(p_P, x) - y_N, start) for start in starts]
        return min(tries, key=lambda found: found.cost).x
