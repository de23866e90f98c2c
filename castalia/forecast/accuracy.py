"""Accuracy: what a family of tasks makes of a loss, and how it grows with compute, agents or time."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.optimize import least_squares

from castalia.forecast.fits import Values


def risen(chance: float, how_far: Values) -> Values:
    """Return how often is right who has come so far from guessing to all right: half-way at 0."""
    return chance + (1 - chance) / (1 + np.exp(-np.clip(how_far, -50, 50)))


@dataclass(frozen=True)
class Sigmoid:
    """R(L) = chance + (1 - chance) / (1 + (L / L0)^k): a sigmoid of the logarithm of the loss.

    Of the loss itself (as in the OLMo ladder, arXiv 2412.04403) it would say that no loss, however small, makes all
    answers right; without any loss they are.
    """

    chance: float = 0.0
    name: ClassVar[str] = "sigmoid of log loss"
    parameters: ClassVar[tuple[str, ...]] = ("log_L0", "log_k")
    in_logs: ClassVar[bool] = False

    def at(self, parameters_P: Values, x: Values) -> Values:
        """Return the accuracy at every loss, [N]."""
        middle, log_steepness = parameters_P
        return risen(self.chance, np.exp(log_steepness) * (middle - np.log(x)))

    def solve(self, x: Values, y_N: Values, near_P: Values | None = None) -> Values:
        """Return log L0 and log k, by least squares from several beginnings; k is from 0.1 to 20."""
        logs = np.log(x)
        bounds = [logs.min() - 5, np.log(0.1)], [logs.max() + 5, np.log(20.0)]
        starts = [[middle, np.log(k)] for middle in (logs.min() - 1, logs.min(), logs.mean()) for k in (0.5, 2.0, 8.0)]
        chosen = starts if near_P is None else [list(np.clip(near_P, *bounds))]
        tries = [least_squares(lambda p_P: self.at(p_P, x) - y_N, start, bounds=bounds) for start in chosen]
        return min(tries, key=lambda found: found.cost).x


@dataclass(frozen=True)
class Growth:
    """R(C) = chance + (1 - chance) / (1 + (C_half / C)^k): accuracy by compute, by agents, by seconds."""

    chance: float = 0.0
    name: ClassVar[str] = "growth"
    parameters: ClassVar[tuple[str, ...]] = ("log_C_half", "k")
    in_logs: ClassVar[bool] = False

    def at(self, parameters_P: Values, x: Values) -> Values:
        """Return the accuracy at each compute, [N]."""
        half, k = parameters_P
        return risen(self.chance, k * (np.log(x) - half))

    def solve(self, x: Values, y_N: Values, near_P: Values | None = None) -> Values:
        """Return log C_half and k, by least squares; k is above 0.05."""
        logs = np.log(x)
        starts = [[h, k] for h in (logs.min(), logs.mean(), logs.max() + 2) for k in (0.3, 1.0)]
        bounds = [logs.min() - 20, 0.05], [logs.max() + 20, 5.0]
        chosen = starts if near_P is None else [list(np.clip(near_P, *bounds))]
        tries = [least_squares(lambda p_P: self.at(p_P, x) - y_N, start, bounds=bounds) for start in chosen]
        return min(tries, key=lambda found: found.cost).x

    def compute_for(self, accuracy: float, parameters_P: Values) -> float:
        """Return the compute that gives an accuracy between chance and 1."""
        half, k = parameters_P
        return float(np.exp(half + np.log((accuracy - self.chance) / (1 - accuracy)) / k))
