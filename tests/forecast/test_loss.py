"""Laws of loss: parameters that made a ladder are found again, and what a larger run gives is inside the interval."""

import csv
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from castalia.forecast.fits import fit
from castalia.forecast.loss import LossLaw

SIZES_N = np.repeat([1e5, 2e5, 4e5, 8e5, 1.6e6], 4)
DATA_N = np.tile([2e6, 4e6, 8e6, 1.6e7], 5)
LADDER_N2 = np.stack([SIZES_N, DATA_N], 1)


def law(floor: float, a: float, alpha: float, b: float, beta: float) -> np.ndarray:
    return np.array([np.log(floor), np.log(a), alpha, np.log(b), beta])


@settings(max_examples=8)
@given(st.floats(0.1, 2.0), st.floats(0.25, 0.6), st.floats(0.25, 0.6))
def test_a_ladder_without_noise_gives_back_its_parameters(floor: float, alpha: float, beta: float) -> None:
    truth = law(floor, 100.0, alpha, 300.0, beta)
    form = LossLaw()
    found = form.solve(LADDER_N2, form.at(truth, LADDER_N2))
    assert found[2::2] == pytest.approx([alpha, beta], abs=0.02)
    assert np.exp(found[0]) == pytest.approx(floor, rel=0.05)


def test_parameters_and_a_run_of_ten_times_the_compute_are_inside_their_intervals_as_often_as_claimed() -> None:
    truth, form = law(0.5, 100.0, 0.35, 300.0, 0.4), LossLaw()
    target_12 = np.array([[4e6, 6.4e7]])
    inside = {"E": 0, "alpha": 0, "loss": 0, "run": 0}
    trials = 30
    for seed in range(trials):
        rng = np.random.default_rng(seed)
        losses_N = form.at(truth, LADDER_N2) * np.exp(rng.normal(0, 0.003, len(LADDER_N2)))
        found = fit(form, LADDER_N2, losses_N, resamples=60, seed=seed)
        ends_2P = np.quantile(found.resampled_RP, [0.05, 0.95], axis=0)
        inside["E"] += ends_2P[0, 0] <= truth[0] <= ends_2P[1, 0]
        inside["alpha"] += ends_2P[0, 2] <= truth[2] <= ends_2P[1, 2]
        low, high = found.interval(target_12)
        there = form.at(truth, target_12)[0]
        inside["loss"] += low[0] <= there <= high[0]
        low, high = found.interval(target_12, of_runs=True)
        inside["run"] += low[0] <= there * np.exp(rng.normal(0, 0.003)) <= high[0]
    assert all(count >= 0.7 * trials for count in inside.values()), inside


@pytest.mark.skipif("CHINCHILLA_CSV" not in os.environ, reason="needs Epoch's points: svg_extracted_data.csv")
def test_the_points_of_the_chinchilla_replication_give_its_published_fit() -> None:
    """Besiroglu et al., arXiv 2404.10102: E 1.82, A 482, B 2085, α 0.348, β 0.366, without the five smallest."""
    with open(os.environ["CHINCHILLA_CSV"]) as file:
        rows = list(csv.DictReader(file))
    sizes, flops = (np.array([float(row[name]) for row in rows]) for name in ("Model Size", "Training FLOP"))
    x = np.stack([sizes, flops / (6 * sizes)], 1)
    losses = np.array([float(row["loss"]) for row in rows])
    kept = np.argsort(x[:, 1] / x[:, 0])[5:]
    found = LossLaw().solve(x[kept], losses[kept])
    assert np.exp(found[0]) == pytest.approx(1.82, abs=0.04)
    assert found[2::2] == pytest.approx([0.348, 0.366], abs=0.02)
