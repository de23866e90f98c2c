"""pass@k beyond what was tried, and accuracy from loss, are foretold from what made them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from castalia.forecast.accuracy import Sigmoid
from castalia.forecast.coverage import fit_coverage
from castalia.forecast.fits import fit


@settings(max_examples=8, deadline=None)
@given(st.floats(0.3, 2.0), st.floats(0.5, 4.0), st.integers(0, 1000))
def test_ten_times_the_attempts_are_foretold_well(a: float, b: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rates_N = rng.beta(a, b, 1000)
    found = fit_coverage(rng.binomial(16, rates_N).tolist(), 16, resamples=20)
    there = (1 - (1 - rates_N) ** 160).mean()
    assert found.at(np.array([160.0]))[0] == pytest.approx(there, abs=0.04)


def test_the_interval_of_coverage_holds_it_as_often_as_claimed() -> None:
    inside, trials = 0, 40
    for seed in range(trials):
        rng = np.random.default_rng(seed)
        found = fit_coverage(rng.binomial(8, rng.beta(0.5, 2.0, 200)).tolist(), 8, resamples=60, seed=seed)
        low, high = found.interval(np.array([80.0]))
        inside += low[0] <= _coverage(0.5, 2.0, 80) <= high[0]
    assert inside >= 0.75 * trials


def _coverage(a: float, b: float, k: int) -> float:
    """Return 1 - E[(1 - p)^k] of Beta(a, b): a product of k ratios."""
    i = np.arange(k)
    return 1 - float(np.prod((b + i) / (a + b + i)))


def test_how_well_it_fits_is_measured() -> None:
    rng = np.random.default_rng(0)
    smooth = fit_coverage(rng.binomial(16, rng.beta(0.5, 2.0, 200)).tolist(), 16, resamples=2)
    mixed = fit_coverage([1] * 50 + [12] * 50, 16, resamples=2)
    assert mixed.r_squared < smooth.r_squared < 1 and smooth.r_squared > 0.99


def test_too_few_problems_are_refused() -> None:
    with pytest.raises(ValueError, match="10 problems or more"):
        fit_coverage([1, 2, 3], 4)


@settings(max_examples=10, deadline=None)
@given(st.floats(0.3, 0.8), st.floats(5.0, 30.0), st.floats(0.0, 0.4))
def test_accuracy_at_a_lower_loss_is_foretold_from_higher_ones(middle: float, steepness: float, chance: float) -> None:
    form = Sigmoid(chance)
    losses_N = np.linspace(middle - 0.02, middle + 0.3, 8)
    found = fit(form, losses_N, form.at(np.array([middle, np.log(steepness)]), losses_N), resamples=5)
    truth = form.at(np.array([middle, np.log(steepness)]), np.array([middle - 0.1]))
    assert found.at(np.array([middle - 0.1])) == pytest.approx(truth, abs=0.01)
