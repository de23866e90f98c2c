"""How pass@k grows while a model practises: log-linearly, or towards an end; and what a beginning says of the end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.optimize import least_squares

from castalia.forecast.fits import Fit, Form, Values, fit


@dataclass(frozen=True)
class LogLinear:
    """R(C) = a + b · log C."""

    name: ClassVar[str] = "log-linear"
    parameters: ClassVar[tuple[str, ...]] = ("a", "b")
    in_logs: ClassVar[bool] = False

    def at(self, parameters_P: Values, x: Values) -> Values:
        """Return the accuracy at each compute, [N]."""
        a, b = parameters_P
        return a + b * np.log(x)

    def solve(self, x: Values, y_N: Values, near_P: Values | None = None) -> Values:
        """Return a and b, by least squares."""
        return np.linalg.lstsq(np.stack([np.ones_like(x), np.log(x)], 1), y_N, rcond=None)[0]


@dataclass(frozen=True)
class Saturating:
    """R(C) = R0 + (A - R0) / (1 + (C_mid / C)^B) (ScaleRL, arXiv 2510.13786); `start` is R0, what there was before."""

    start: float = 0.0
    name: ClassVar[str] = "saturating"
    parameters: ClassVar[tuple[str, ...]] = ("A", "log_C_mid", "B")
    in_logs: ClassVar[bool] = False

    def at(self, parameters_P: Values, x: Values) -> Values:
        """Return the accuracy at each compute, [N]."""
        end, middle, steepness = parameters_P
        return self.start + (end - self.start) / (1 + np.exp(steepness * (middle - np.log(x))))

    def solve(self, x: Values, y_N: Values, near_P: Values | None = None) -> Values:
        """Return A, log C_mid and B, by least squares from several beginnings."""
        low, high = np.log(x.min()), np.log(x.max())
        bounds = [self.start, low - 3, 0.1], [max(1.0, self.start + 1e-3), high + 3, 5.0]
        top = float(np.clip(y_N.max(), self.start + 1e-3, 1.0))
        starts = [[top, middle, steepness] for middle in (low, (low + high) / 2, high) for steepness in (0.5, 1.5)]
        if near_P is not None:
            starts = [list(near_P), starts[0], starts[-1]]
        tries = [least_squares(lambda p_P: self.at(p_P, x) - y_N, np.clip(s, *bounds), bounds=bounds) for s in starts]
        return min(tries, key=lambda found: found.cost).x


def foretell(
    compute: Sequence[float], accuracy: Sequence[float], form: Form, *, known: float = 0.25
) -> tuple[Fit, float]:
    """Fit the first `known` share of a run by compute; return the fit, and its mean error on the last `known` share.

    The error is that of its mean there, in points of accuracy (100 = all).
    """
    compute_N, accuracy_N = np.asarray(compute, float), np.asarray(accuracy, float)
    first_N = compute_N <= known * compute_N.max()
    last_N = compute_N > (1 - known) * compute_N.max()
    found = fit(form, compute_N[first_N], accuracy_N[first_N])
    return found, 100 * float(found.at(compute_N[last_N]).mean() - accuracy_N[last_N].mean())


def earliest(points: Sequence[tuple[float, float]], start: float, *, known: float = 0.25) -> tuple[Fit, float]:
    """Do as `foretell` does, of (compute, accuracy), with the form that fits the known share better.

    Better is by R², adjusted for how many parameters a form has. Of the forms only those are tried that leave points
    to judge them by; `start` is the accuracy before.
    """
    compute, accuracy = zip(*points, strict=True)
    count = sum(x <= known * max(compute) for x in compute)
    forms = [form for form in (LogLinear(), Saturating(start)) if count > len(form.parameters)]
    foretold = [foretell(compute, accuracy, form, known=known) for form in forms]
    return max(foretold, key=lambda found: (found[0].r_squared - 1) / (count - len(found[0].form.parameters)))
