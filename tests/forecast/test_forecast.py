"""A forecast is kept as it was written, is checked against what was measured, and is drawn."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from castalia.errors import DataError, RecipeError
from castalia.forecast.accuracy import Sigmoid
from castalia.forecast.fits import fit
from castalia.forecast.forecast import Forecast, read_forecasts, write_forecasts
from castalia.forecast.ladder import Rung
from castalia.forecast.loss import BEND, BentPower
from castalia.forecast.predict import foresee
from castalia.forecast.tables import unforetold

FLOPS_N = np.geomspace(1e10, 8e10, 4)


def rungs(seeds: int = 2, noise: float = 0.002) -> list[Rung]:
    """Return rungs of a made-up ladder: loss 0.2 + (C / 1e9)^-0.5, one family, whose accuracy follows from loss."""
    made = []
    for seed in range(seeds):
        for size, flops in zip((1, 2, 4, 8), FLOPS_N, strict=True):
            rng = np.random.default_rng(100 * seed + size)
            loss = float(truth(flops) * np.exp(rng.normal(0, noise)))
            made.append(
                Rung(size, seed, 1, 1, float(flops), loss, {"a": loss}, {"a": accuracy(loss)}, {"a": 0.2}, {"a": 1.0})
            )
    return made


def truth(flops: float) -> float:
    return 0.2 + (flops / 1e9) ** -0.5


def accuracy(loss: float) -> float:
    return 0.2 + 0.8 / (1 + np.exp(20 * (loss - 0.35)))


def test_loss_and_accuracy_of_ten_times_the_compute_are_foreseen_within_their_intervals() -> None:
    forecasts = {forecast.of: forecast for forecast in foresee(rungs(), 8e11)}
    assert set(forecasts) == {"loss", "loss a", "accuracy a"}
    (check,) = forecasts["loss"].check({8e11: truth(8e11)})
    assert check.inside and abs(check.error) < 3
    (check,) = forecasts["accuracy a"].check({8e11: accuracy(truth(8e11))})
    assert check.inside and abs(check.error) < 3


def test_what_is_off_is_said_to_be_off_in_per_cent_and_in_points() -> None:
    loss, _, share = foresee(rungs(), 8e11)
    (check,) = loss.check({8e11: loss.targets[0].value / 1.25})
    assert check.error == pytest.approx(25) and not check.inside
    (check,) = share.check({8e11: share.targets[0].value - 0.1})
    assert check.error == pytest.approx(10)
    with pytest.raises(DataError, match="was forecast for 1e"):
        loss.check({1.0: 0.5})


def test_a_run_of_another_length_than_planned_is_looked_up_on_the_curve() -> None:
    loss = foresee(rungs(), 8e11)[0]
    (check,) = loss.check({1e12: truth(1e12)})
    assert check.inside and check.expected.value < loss.targets[0].value


def test_forecasts_are_read_as_they_were_written(tmp_path: Path) -> None:
    written = foresee(rungs(), 8e11)
    write_forecasts(tmp_path / "run" / "forecast.json", written)
    assert read_forecasts(tmp_path / "run" / "forecast.json") == written
    assert read_forecasts(tmp_path / "none.json") == []


@pytest.mark.parametrize("text", ["{", "[{}]", '[{"of": "loss", "points": [[1]], "targets": [], "curve": []}]', "3"])
def test_what_is_no_forecast_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "forecast.json").write_text(text)
    with pytest.raises(DataError, match="forecast"):
        read_forecasts(tmp_path / "forecast.json")


def test_three_runs_are_too_few_and_so_are_runs_of_one_size() -> None:
    with pytest.raises(RecipeError, match="needs 4 runs"):
        foresee(rungs(seeds=1)[:3], 8e11)
    with pytest.raises(RecipeError, match="two sizes or more"):
        foresee([rung for rung in rungs(seeds=5) if rung.size == 1], 8e11)


@pytest.mark.parametrize("seed", range(8))
def test_four_runs_that_hardly_agree_give_wide_intervals_and_no_nonsense(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ladder = [
        replace(one, losses={"a": one.loss * float(np.exp(rng.normal(0, 0.5)))}) for one in rungs(seeds=1, noise=0.0)
    ]
    for forecast in foresee(ladder, 8e11):
        at = forecast.targets[0]
        assert 0 <= at.low <= at.value <= at.high < np.inf


def test_a_forecast_is_drawn_with_its_interval_and_what_was_measured() -> None:
    forecast = foresee(rungs(), 8e11)[0]
    html = forecast.plot([(7e11, 0.25), (8e11, 0.24)]).html()
    assert "band" in html and "measured" in html and "fitted to" in html
    assert isinstance(Forecast.from_json(forecast.to_json()), Forecast)


def test_the_loss_of_a_mixture_is_foreseen_by_its_families_where_it_bends() -> None:
    """Of a family that is soon learned and one that never is; the sum is no power law, and its tail is the second's."""

    def losses(flops: float) -> dict[str, float]:
        return {"soon": 4 * (flops / 1e9) ** -0.6, "slow": 3 * (flops / 1e9) ** -0.05}

    def mixed(flops: float) -> Rung:
        each, shares = losses(flops), {"soon": 0.7, "slow": 0.3}
        loss = sum(shares[family] * one for family, one in each.items())
        return Rung(1, 0, 1, 1, flops, loss, each, dict.fromkeys(each, 0.5), dict.fromkeys(each, 0.0), shares)

    loss = foresee([mixed(float(flops)) for flops in np.geomspace(1e9, 1e10, 6)], 1e12)[0]
    assert loss.of == "loss" and loss.targets[0].value == pytest.approx(mixed(1e12).loss, rel=0.02)


def test_a_share_of_few_questions_is_as_uncertain_as_these_are() -> None:
    ladder = [replace(one, accuracies={"a": 0.05}, chances={"a": 0.0}, asked=40) for one in rungs()]
    rare = {one.of: one for one in foresee(ladder, 8e11)}["accuracy a"].targets[0]
    assert rare.value < 0.08 and rare.high > 0.1, "two right of forty may be four"
    many = {one.of: one for one in foresee([replace(one, asked=40_000) for one in ladder], 8e11)}["accuracy a"]
    assert many.targets[0].high < 0.09


def test_one_right_answer_of_hundreds_is_no_answering() -> None:
    ladder = [replace(one, accuracies={"a": one.seed / 150}, chances={"a": 0.0}, asked=150) for one in rungs()]
    assert [one.of for one in foresee(ladder, 8e11)] == ["loss", "loss a"]
    guessed = [replace(one, accuracies={"a": 0.25 + 0.06 * (one.size == 1)}, chances={"a": 0.25}) for one in rungs()]
    assert [one.of for one in foresee(guessed, 8e11)] == ["loss", "loss a"], "the largest know most"


def test_of_a_family_that_no_run_answers_nothing_is_foretold() -> None:
    ladder = [replace(one, accuracies={"a": 0.2 + 0.01 * (one.seed - 0.5)}, chances={"a": 0.2}) for one in rungs()]
    forecasts = foresee(ladder, 8e11)
    assert [one.of for one in forecasts] == ["loss", "loss a"]
    assert unforetold(forecasts).endswith("nothing is foretold: a") and unforetold(foresee(rungs(), 8e11)) == ""


def test_what_a_run_is_lucky_with_in_loss_it_is_lucky_with_in_accuracy() -> None:
    """The noise of runs' losses widens the interval of accuracy, though accuracy follows loss without noise."""
    widths = []
    for noise in (0.002, 0.05):
        ladder = [replace(one, asked=100_000) for one in rungs(seeds=4, noise=noise)]
        at = {one.of: one for one in foresee(ladder, 4e11)}["accuracy a"].targets[0]
        widths.append(at.high - at.low)
    assert widths[1] > 4 * widths[0]


@pytest.mark.parametrize("bend", [-0.05, -0.03, 0.0, 0.03, None])
def test_power_laws_that_bend_either_way_are_inside_their_intervals_as_often_as_claimed(bend: float | None) -> None:
    form, compute_N, target = BentPower(1e12), np.repeat(np.geomspace(1e11, 1e12, 4), 3), np.array([1e13])
    inside = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        bent = rng.normal(0, BEND) if bend is None else bend
        truth = np.array([0.0, 0.3, bent, bent])
        found = fit(form, compute_N, form.at(truth, compute_N) * np.exp(rng.normal(0, 0.02, 12)), resamples=100)
        low, high = found.interval(target, of_runs=True)
        inside += low[0] <= form.at(truth, target)[0] * np.exp(rng.normal(0, 0.02)) <= high[0]
    assert inside >= 0.75 * 60, inside


def test_a_power_law_never_turns_upwards() -> None:
    form = BentPower(1.0)
    losses = form.at(np.array([0.0, 0.1, 0.05, 0.05]), np.geomspace(1, 1e6, 50))
    assert (np.diff(losses) <= 0).all() and losses[-1] == losses[-2]


def test_a_floor_stays_and_who_learned_faster_and_faster_is_expected_to_go_on_as_fast() -> None:
    compute_N, beyond_N = np.geomspace(1e10, 1e12, 8), np.array([1e13, 1e14])
    form, noise_N = BentPower(1e12), np.random.default_rng(0).normal(0, 0.001, 8)
    floor, faster = (np.array([0.0, 0.3, beta, beta]) for beta in (0.01, -0.03))
    found = fit(form, compute_N, form.at(floor, compute_N) * np.exp(noise_N))
    assert found.at(beyond_N) == pytest.approx(form.at(floor, beyond_N), rel=0.1)
    found = fit(form, compute_N, form.at(faster, compute_N) * np.exp(noise_N))
    assert found.at(beyond_N) == pytest.approx([10**-0.3, 100**-0.3], rel=0.1)
    low_N, high_N = found.interval(beyond_N)
    assert (low_N < form.at(faster, beyond_N)).all() and (found.at(beyond_N) < high_N).all(), "it may as well bend on"


def test_answers_are_right_where_there_is_no_loss() -> None:
    form, losses = Sigmoid(0.25), np.array([0.6, 0.5, 0.4, 0.3])
    accuracies = 0.25 + 0.75 / (1 + (losses / 0.1) ** 1.5)
    found = form.solve(losses, accuracies)
    assert form.at(found, np.array([0.05, 1e-6])) == pytest.approx([0.25 + 0.75 / (1 + 0.5**1.5), 1.0], abs=0.01)


def test_two_families_of_which_one_run_knew_more_are_drawn_together() -> None:
    compute_N, noise_N = np.geomspace(1e10, 1e12, 6), np.random.default_rng(0).normal(0, 0.05, 6)
    form = BentPower(1e12)
    losses_N = form.at(np.array([0.0, 0.3, 0.0, 0.0]), compute_N)
    same, opposite = (fit(form, compute_N, losses_N * np.exp(sign * noise_N)) for sign in (1, -1))
    levels = [one.resampled_RP[:, 0] - one.parameters_P[0] for one in (same, opposite)]
    assert np.corrcoef(*levels)[0, 1] < -0.9
