"""How often one of k attempts is right: from how right each problem is alone, problem by problem."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.optimize import minimize
from scipy.special import betaln

from castalia.forecast.fits import RESAMPLES, Fit, Values, r_squared
from castalia.rl.measure import pass_at

LEAST_PROBLEMS = 10


@dataclass(frozen=True)
class BetaBinomial:
    """pass@k = 1 - B(a, b + k) / B(a, b): problems whose pass rates are Beta(a, b), each tried k times.

    The distribution of pass rates foretells k beyond the attempts that were made; a curve through pass@1, pass@2, …
    cannot, for it is those few problems that are nearly never solved that decide.
    """

    name: ClassVar[str] = "beta-binomial"
    parameters: ClassVar[tuple[str, ...]] = ("log_a", "log_b")
    in_logs: ClassVar[bool] = False

    def at(self, parameters_P: Values, x: Values) -> Values:
        """Return pass@k for every k, [N]."""
        a, b = np.exp(parameters_P)
        return 1 - np.exp(betaln(a, b + x) - betaln(a, b))

    def solve(self, x: Values, y_N: Values, near_P: Values | None = None) -> Values:
        """Return the likeliest log a and log b of problems tried `x` times and solved `y_N` times."""

        def unlikely(parameters_P: Values) -> float:
            a, b = np.exp(np.clip(parameters_P, -12, 12))
            return -float((betaln(a + y_N, b + x - y_N) - betaln(a, b)).sum())

        starts = [np.array([-1.0, 0.0]), np.array([0.0, 1.0])] if near_P is None else [near_P]
        tries = [minimize(unlikely, start, method="Nelder-Mead") for start in starts]
        return np.clip(min(tries, key=lambda found: found.fun).x, -12, 12)


def fit_coverage(solved: Sequence[int], attempts: int, *, resamples: int = RESAMPLES, seed: int = 0) -> Fit:
    """Fit problems of which each was tried `attempts` times and solved `solved` times. Intervals resample problems.

    R² is of pass@k up to so many attempts, at each number of them. Raises ValueError for fewer than `LEAST_PROBLEMS`.
    """
    solved_N = np.asarray(solved, float)
    if len(solved_N) < LEAST_PROBLEMS:
        raise ValueError(f"pass rates of {LEAST_PROBLEMS} problems or more are needed, not {len(solved_N)}")
    form, tried_N = BetaBinomial(), np.full(len(solved_N), float(attempts))
    parameters_P = form.solve(tried_N, solved_N)
    rng = np.random.default_rng(seed)
    drawn_RN = rng.choice(solved_N, (resamples, len(solved_N)))
    resampled_RP = np.stack([form.solve(tried_N, drawn_N, parameters_P) for drawn_N in drawn_RN])
    tries = np.arange(1, attempts + 1)
    measured = [np.mean([pass_at(int(k), attempts, int(count)) for count in solved_N]) for k in tries]
    explained = r_squared(np.array(measured), form.at(parameters_P, tries))
    return Fit(form, parameters_P, resampled_RP, np.zeros(resamples), explained)
