"""A forecast is kept as it was written, is checked against what was measured, and is drawn."""

from pathlib import Path

import numpy as np
import pytest

from castalia.errors import DataError, RecipeError
from castalia.forecast.forecast import Forecast, read_forecasts, write_forecasts
from castalia.forecast.ladder import Rung
from castalia.forecast.predict import foresee

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


def test_three_runs_are_too_few() -> None:
    with pytest.raises(RecipeError, match="needs 4 runs"):
        foresee(rungs(seeds=1)[:3], 8e11)


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
