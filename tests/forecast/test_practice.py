"""Fits find what curves were made of, say how sure they are, and foretell a run's end from its beginning."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from castalia.forecast.fits import fit
from castalia.forecast.practice import LogLinear, Saturating, earliest, foretell

COMPUTE_N = np.arange(1.0, 61.0)


@given(st.floats(0.1, 0.4), st.floats(0.02, 0.12))
def test_a_line_in_log_compute_is_found_exactly(a: float, b: float) -> None:
    curve = fit(LogLinear(), COMPUTE_N, LogLinear().at(np.array([a, b]), COMPUTE_N))
    assert curve.parameters_P == pytest.approx((a, b), abs=1e-9) and curve.r_squared == pytest.approx(1)


@settings(max_examples=10, deadline=None)
@given(st.floats(0.6, 0.95), st.floats(1.5, 3.0), st.floats(0.8, 2.0), st.integers(0, 1000))
def test_the_end_of_a_saturating_curve_is_inside_its_interval(
    end: float, middle: float, steepness: float, seed: int
) -> None:
    form, truth = Saturating(0.3), np.array([end, middle, steepness])
    noisy_N = form.at(truth, COMPUTE_N) + np.random.default_rng(seed).normal(0, 0.005, len(COMPUTE_N))
    curve = fit(form, COMPUTE_N, noisy_N, resamples=100)
    assert curve.r_squared > 0.95
    low, high = curve.interval(np.array([30.0]), share=0.999)
    assert low[0] - 0.01 <= form.at(truth, np.array([30.0]))[0] <= high[0] + 0.01


def test_intervals_cover_what_they_claim() -> None:
    covered = 0
    for seed in range(200):
        noise_N = np.random.default_rng(seed).normal(0, 0.02, len(COMPUTE_N))
        low, high = fit(LogLinear(), COMPUTE_N, 0.2 + 0.1 * np.log(COMPUTE_N) + noise_N).interval(np.array([240.0]))
        covered += low[0] <= 0.2 + 0.1 * np.log(240.0) <= high[0]
    assert 0.82 < covered / 200 < 0.97


def test_the_last_quarter_is_foretold_from_the_first() -> None:
    _, error = foretell(COMPUTE_N, 0.2 + 0.1 * np.log(COMPUTE_N), LogLinear())
    assert abs(error) < 0.01
    _, error = foretell(COMPUTE_N, np.minimum(0.2 + 0.1 * np.log(COMPUTE_N), 0.45), LogLinear())
    assert error > 5, "what bends is foretold too high"


def test_the_form_that_fits_the_beginning_better_is_taken() -> None:
    form, truth = Saturating(0.1), np.array([0.6, np.log(10.0), 2.0])
    bent = list(zip(COMPUTE_N.tolist(), form.at(truth, COMPUTE_N).tolist(), strict=True))
    found, error = earliest(bent, 0.1)
    assert isinstance(found.form, Saturating) and abs(error) < 1
    found, _ = earliest(bent[::5], 0.1)
    assert isinstance(found.form, LogLinear), "three points of a beginning are too few for three parameters"


def test_too_few_points_are_refused() -> None:
    with pytest.raises(ValueError, match="needs 4 points or more, not 3"):
        fit(Saturating(), np.arange(1.0, 4.0), np.array([0.1, 0.2, 0.3]))
