"""Curves that are fitted: what a form is, how it is fitted, and how sure one can be of where it leads."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

Values = np.ndarray
RESAMPLES = 200
"""Resamples of an interval."""


class Curve(Protocol):
    """A family of curves y = f(x). `x` has N places: [N], or [N, K] where a curve is over several things."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of its parameters, P of them."""
        ...

    @property
    def in_logs(self) -> bool:
        """Whether errors are of ratios (as of losses) or of differences (as of accuracies)."""
        ...

    def at(self, parameters_P: Values, x: Values) -> Values:
        """Return y at every place, [N]."""
        ...


class Form(Curve, Protocol):
    """A family of curves that can be fitted to points."""

    def solve(self, x: Values, y_N: Values, near_P: Values | None = None) -> Values:
        """Return the parameters, [P], that fit best; `near_P` are some that are known to be good."""
        ...


@runtime_checkable
class Held(Protocol):
    """A form of which something is held to be likely before there are points: that is uncertain, too."""

    @property
    def free(self) -> int:
        """How many of its parameters points alone decide."""
        ...

    def redrawn(self, parameters_P: Values, rng: np.random.Generator) -> Form:
        """Return the form for a resample, in which what is held is drawn anew about `parameters_P`, [P]."""
        ...


@dataclass(frozen=True)
class Fit:
    """A fitted curve, and R resamples of it: what it might as well have been, and how far points lie from each."""

    form: Curve
    parameters_P: Values
    resampled_RP: Values
    spread_R: Values
    r_squared: float

    def at(self, x: Values) -> Values:
        """Return y at every place, [N]."""
        return self.form.at(self.parameters_P, np.asarray(x, float))

    def sample(self, x: Values, *, of_runs: bool = False) -> Values:
        """Return what y might be at every place, by every resample, [R, N].

        With `of_runs` it is what a run would measure there: the curve is never measured without noise.
        """
        y_RN = np.stack([self.form.at(row, np.asarray(x, float)) for row in self.resampled_RP])
        if not of_runs:
            return y_RN
        noise_R1 = (self.spread_R * np.random.default_rng(0).standard_normal(len(y_RN)))[:, None]
        return y_RN * np.exp(noise_R1) if self.form.in_logs else y_RN + noise_R1

    def interval(self, x: Values, share: float = 0.9, *, of_runs: bool = False) -> tuple[Values, Values]:
        """Return the lower and upper end, [N] each, that hold what `sample` returns with probability `share`."""
        low_N, high_N = np.quantile(self.sample(x, of_runs=of_runs), [(1 - share) / 2, (1 + share) / 2], axis=0)
        return low_N, high_N


def fit(form: Form, x: Values, y: Values, *, resamples: int = RESAMPLES, seed: int = 0) -> Fit:
    """Fit a form to N points, and again to resamples of them. Raises ValueError for too few points.

    A resample has the curve's values with normal noise. How large the noise is is known no better than so few points
    tell, so it is drawn too: s² (N - P) / χ², as in Student's t; and so is what a form is `Held` to. Fits to the same N
    points with the same seed are drawn together: where their residuals go together, as those of two families of which
    one run knew more, so do resamples.
    """
    x, y_N = np.asarray(x, float), np.asarray(y, float)
    if len(y_N) < enough_for(form):
        raise ValueError(f"a {form.name} fit needs {enough_for(form)} points or more, not {len(y_N)}")
    freedom = freedom_of(form, len(y_N))
    parameters_P = form.solve(x, y_N)
    fitted_N = form.at(parameters_P, x)
    residuals_N = np.log(y_N / fitted_N) if form.in_logs else y_N - fitted_N
    rng = np.random.default_rng(seed)
    noise_RN = rng.standard_normal((resamples, len(y_N), len(y_N))) @ residuals_N
    noise_RN /= np.sqrt(chi_squared_R := rng.chisquare(freedom, resamples))[:, None]
    spread_R = np.sqrt((residuals_N**2).sum() / chi_squared_R)
    drawn_RN = fitted_N * np.exp(noise_RN) if form.in_logs else fitted_N + noise_RN
    forms = [form.redrawn(parameters_P, rng) if isinstance(form, Held) else form for _ in drawn_RN]
    resampled_RP = np.stack([one.solve(x, drawn_N, parameters_P) for one, drawn_N in zip(forms, drawn_RN, strict=True)])
    return Fit(form, parameters_P, resampled_RP, spread_R, r_squared(y_N, fitted_N))


def freedom_of(form: Curve, points: int) -> int:
    """Return how many points there are beyond those that the parameters of a form take."""
    return points - (form.free if isinstance(form, Held) else len(form.parameters))


def enough_for(form: Curve) -> int:
    """Return how many points a fit needs: one more than it has parameters, two more than it has free ones."""
    return form.free + 2 if isinstance(form, Held) else len(form.parameters) + 1


def r_squared(y_N: Values, fitted_N: Values) -> float:
    """Return the share of the variance that a curve explains."""
    spread = float(((y_N - y_N.mean()) ** 2).sum())
    return 1 - float(((y_N - fitted_N) ** 2).sum()) / spread if spread else 0.0
