"""How loss falls with compute: over parameters and data, or along a ladder on which both grow together."""

from dataclasses import dataclass, replace
from itertools import product
from typing import ClassVar

import numpy as np
from scipy.optimize import minimize, nnls

from castalia.forecast.fits import Values

HUBER = 1e-3
"""Errors of log loss beyond this count linearly (Hoffmann et al., arXiv 2203.15556)."""
EXPONENTS = np.linspace(0.05, 1.25, 13)
"""Where exponents are looked for first: with them given, all else is linear (arXiv 2603.22339)."""
POLISHED = 3
"""How many of the best of these are polished."""
BEND = 0.05
"""How much ladders bend: the standard deviation of β, by the first ladders that were checked (docs/log.md)."""
ONWARD = 0.75
"""Share of resamples in which a bend downwards goes on: of simulated ladders 78 to 95 % then lie in intervals of 90."""


@dataclass(frozen=True)
class BentPower:
    """log L = log A - α x + β x², x = log(C / reach): along a ladder, a power law that may bend.

    A floor bends it upwards, a family that is just being learned downwards. Four sizes hardly tell which, so a bend is
    held to be small, as likely either way, until points say otherwise (ridge: β ~ N(0, `BEND`²) beside their noise).
    `reach` is the largest compute that is fitted. Beyond it γ stands in place of β: a floor stays and bends on, but who
    has been learning faster and faster is expected to go on as fast (a damped trend; Gardner & McKenzie 1985), γ = 0.
    Where the law would turn upwards it stays as low as it was.
    """

    reach: float = 1.0
    held: float = 0.0
    """What β is held to be."""
    onward: float = 0.0
    """The share of a bend downwards that goes on beyond `reach`."""
    name: ClassVar[str] = "power law that may bend"
    parameters: ClassVar[tuple[str, ...]] = ("log_A", "alpha", "beta", "gamma")
    free: ClassVar[int] = 2
    in_logs: ClassVar[bool] = True

    def at(self, parameters_P: Values, x: Values) -> Values:
        """Return the loss at every compute, [N]."""
        log_amount, alpha, beta, gamma = parameters_P
        logs = np.log(x / self.reach)
        if gamma > 0:
            logs = np.minimum(logs, max(0.0, alpha) / (2 * gamma))
        return np.exp(log_amount - alpha * logs + np.where(logs < 0, beta, gamma) * logs**2)

    def solve(self, x: Values, y_N: Values, near_P: Values | None = None) -> Values:
        """Return the parameters."""
        logs = np.log(x / self.reach)
        rows_NP = np.stack([np.ones_like(logs), -logs, logs**2], 1)
        straight, *_ = np.linalg.lstsq(rows_NP[:, :2], np.log(y_N))
        noise = np.sqrt(((rows_NP[:, :2] @ straight - np.log(y_N)) ** 2).sum() / max(1, len(y_N) - 2))
        prior = [0.0, 0.0, noise / BEND]
        found, *_ = np.linalg.lstsq(np.vstack([rows_NP, prior]), np.append(np.log(y_N), self.held * noise / BEND))
        return np.append(found, found[2] * (1.0 if found[2] > 0 else self.onward))

    def redrawn(self, parameters_P: Values, rng: np.random.Generator) -> "BentPower":
        """Return the form for a resample: β is held to be about what was found, give or take `BEND`.

        In most it bends on, downwards too: so intervals hold laws that do and such that do not.
        """
        held = float(parameters_P[2] + BEND * rng.standard_normal())
        return replace(self, held=held, onward=float(rng.random() < ONWARD))


@dataclass(frozen=True)
class LossLaw:
    """L(N, D) = E + A / N^α + B / D^β, of parameters and positions: `x` is [N, K], K = 2.

    Fitted to log losses with Huber's loss; exponents on a grid, the rest by non-negative least squares, then all
    together from the best. E may be as good as 0.
    """

    name: ClassVar[str] = "E + A/N^α + B/D^β"
    parameters: ClassVar[tuple[str, ...]] = ("log_E", "log_A", "alpha", "log_B", "beta")
    in_logs: ClassVar[bool] = True

    def at(self, parameters_P: Values, x: Values) -> Values:
        """Return the loss at every place, [N]."""
        logs_K, alphas_K = parameters_P[1::2], parameters_P[2::2]
        return np.exp(parameters_P[0]) + np.exp(logs_K - alphas_K * np.log(x)).sum(-1)

    def solve(self, x: Values, y_N: Values, near_P: Values | None = None) -> Values:
        """Return the parameters."""
        middle_K = np.exp(np.log(x).mean(0))  # numbers near 1 are solved for best
        scaled_NK = x / middle_K
        starts = self._starts(scaled_NK, y_N) if near_P is None else self._near(near_P, -np.log(middle_K), y_N)
        logs_NK, log_y_N = np.log(scaled_NK), np.log(y_N)
        slopes_NP = np.empty((len(y_N), len(self.parameters)))

        def cost(parameters_P: Values) -> tuple[float, Values]:
            """Return Huber's loss of the errors of log loss, and its slopes."""
            terms_NK = np.exp(parameters_P[1::2] - parameters_P[2::2] * logs_NK)
            whole_N = np.exp(parameters_P[0]) + terms_NK.sum(1)
            slopes_NP[:, 0] = np.exp(parameters_P[0]) / whole_N
            slopes_NP[:, 1::2] = terms_NK / whole_N[:, None]
            slopes_NP[:, 2::2] = -slopes_NP[:, 1::2] * logs_NK
            errors_N = (np.log(whole_N) - log_y_N) / HUBER
            capped_N = errors_N.clip(-1, 1)
            return float(capped_N @ (errors_N - capped_N / 2)), capped_N @ slopes_NP / HUBER

        bounds = [(-20.0, 10.0), *[(-20.0, 20.0), (0.01, 3.0)] * 2]
        tries = [minimize(cost, start, jac=True, method="L-BFGS-B", bounds=bounds) for start in starts]
        return self._moved(min(tries, key=lambda found: found.fun).x, np.log(middle_K))

    def _starts(self, scaled_NK: Values, y_N: Values) -> list[Values]:
        """Return the best parameters with exponents on the grid."""
        found = []
        for alphas in product(EXPONENTS, repeat=2):
            # Errors of ratios: every row is divided by its loss.
            rows_NP = np.concatenate([np.ones((len(y_N), 1)), scaled_NK ** -np.array(alphas)], 1) / y_N[:, None]
            amounts_P, cost = nnls(rows_NP, np.ones(len(y_N)))
            logs_P = np.log(np.maximum(amounts_P, 1e-8))
            found.append(
                (cost, np.array([logs_P[0], *(v for pair in zip(logs_P[1:], alphas, strict=True) for v in pair)]))
            )
        return [parameters_P for _, parameters_P in sorted(found, key=lambda pair: pair[0])[:POLISHED]]

    def _near(self, near_P: Values, logs_K: Values, y_N: Values) -> list[Values]:
        """Return the given parameters; where E is next to nothing, which nothing then moves, with some E, too."""
        moved_P, some = self._moved(near_P, logs_K), float(np.log(y_N.min() / 10))
        return [moved_P] if moved_P[0] > some - 3 else [moved_P, np.array([some, *moved_P[1:]])]

    def _moved(self, parameters_P: Values, logs_K: Values) -> Values:
        """Return the parameters of the same curve over x · exp(`logs_K`)."""
        moved_P = np.array(parameters_P, float)
        moved_P[1::2] += moved_P[2::2] * logs_K
        return moved_P
