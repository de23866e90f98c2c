"""How pass@k grows while a model practises: log-linearly, or towards an end; fitted, with intervals, and foretold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import least_squares

Values = Sequence[float] | np.ndarray
Form = Literal["log_linear", "saturating"]
RESAMPLES = 400
"""Bootstrap resamples of an interval."""


@dataclass(frozen=True)
class Curve:
    """A fitted curve of accuracy over compute (or steps): its `form`, parameters, R², and those of its resamples.

    - ``log_linear``: R(C) = a + b · log C
    - ``saturating``: R(C) = R0 + (A - R0) / (1 + (C_mid / C)^B) (ScaleRL, arXiv 2510.13786), with R0 given
    """

    form: Form
    parameters: tuple[float, ...]
    r_squared: float
    resampled: np.ndarray

    def at(self, compute_N: np.ndarray) -> np.ndarray:
        """Return the accuracy at each compute, [N]."""
        return FORMS[self.form](np.asarray(self.parameters), np.asarray(compute_N, float))

    def interval(self, compute_N: np.ndarray, share: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Return the lower and upper end, [N] each, that hold `share` of what resamples give."""
        drawn_RN = np.stack([FORMS[self.form](row, np.asarray(compute_N, float)) for row in self.resampled])
        low, high = np.quantile(drawn_RN, [(1 - share) / 2, (1 + share) / 2], axis=0)
        return low, high


def log_linear(parameters: np.ndarray, compute_N: np.ndarray) -> np.ndarray:
    """Return a + b · log C, [N]."""
    a, b = parameters
    return a + b * np.log(compute_N)


def saturating(parameters: np.ndarray, compute_N: np.ndarray) -> np.ndarray:
    """Return R0 + (A - R0) / (1 + (C_mid / C)^B), [N]; parameters are R0, A, log C_mid, B."""
    start, end, middle, steepness = parameters
    return start + (end - start) / (1 + np.exp(steepness * (middle - np.log(compute_N))))


FORMS: dict[Form, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "log_linear": log_linear,
    "saturating": saturating,
}


def fit(compute: Values, accuracy: Values, form: Form, *, start: float = 0.0, seed: int = 0) -> Curve:
    """Fit accuracies in [0, 1] at computes above 0, N of them; `start` is what there was before (R0 of ``saturating``).

    Intervals come from resampled residuals, added to the fit. Raises ValueError for fewer points than parameters.
    """
    compute_N, accuracy_N = np.asarray(compute, float), np.asarray(accuracy, float)
    needed = 2 if form == "log_linear" else 3
    if len(compute_N) < needed + 1:
        raise ValueError(f"a {form} fit needs {needed + 1} points or more, not {len(compute_N)}")
    solve = _solver(form, compute_N, start)
    parameters = solve(accuracy_N)
    fitted_N = FORMS[form](parameters, compute_N)
    residuals_N = accuracy_N - fitted_N
    spread = float(((accuracy_N - accuracy_N.mean()) ** 2).sum())
    r_squared = 1 - float((residuals_N**2).sum()) / spread if spread else 0.0
    rng = np.random.default_rng(seed)
    # Residuals of a fit are smaller than the noise was: it has bent towards them.
    widened_N = residuals_N * np.sqrt(len(residuals_N) / (len(residuals_N) - needed))
    resampled = np.stack([solve(fitted_N + rng.choice(widened_N, len(widened_N))) for _ in range(RESAMPLES)])
    return Curve(form, tuple(map(float, parameters)), r_squared, resampled)


def _solver(form: Form, compute_N: np.ndarray, start: float) -> Callable[[np.ndarray], np.ndarray]:
    if form == "log_linear":
        ones_N2 = np.stack([np.ones_like(compute_N), np.log(compute_N)], 1)
        return lambda accuracy_N: np.linalg.lstsq(ones_N2, accuracy_N, rcond=None)[0]
    low, high = np.log(compute_N.min()), np.log(compute_N.max())

    def solve(accuracy_N: np.ndarray) -> np.ndarray:
        def apart(free: np.ndarray) -> np.ndarray:
            return saturating(np.array([start, *free]), compute_N) - accuracy_N

        top = float(np.clip(accuracy_N.max(), start + 1e-3, 1.0))
        tries = [
            least_squares(apart, [top, middle, steepness], bounds=([start, low - 3, 0.1], [1.0, high + 3, 5.0]))
            for middle in (low, (low + high) / 2, high)
            for steepness in (0.5, 1.5)
        ]
        return np.array([start, *min(tries, key=lambda found: found.cost).x])

    return solve


def foretell(
    compute: Values, accuracy: Values, form: Form, *, known: float = 0.25, start: float = 0.0
) -> tuple[Curve, float]:
    """Fit the first `known` share of a run by compute; return the curve, and its mean error on the last `known` share.

    The error is that of its mean there, in points of accuracy (100 = all).
    """
    compute_N, accuracy_N = np.asarray(compute, float), np.asarray(accuracy, float)
    first = compute_N <= known * compute_N.max()
    last = compute_N > (1 - known) * compute_N.max()
    curve = fit(compute_N[first], accuracy_N[first], form, start=start)
    return curve, 100 * float(curve.at(compute_N[last]).mean() - accuracy_N[last].mean())
