"""The scaling page: three kinds of curves, each with what was foretold and, once it is known, what was measured."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from castalia.cli import forecasting
from castalia.errors import CheckpointError
from castalia.forecast.forecast import FORECAST, write_forecasts
from castalia.forecast.ladder import RUNG, Rung
from castalia.forecast.outcome import checks_of, measure_outcome, read_outcome
from castalia.forecast.predict import foresee
from castalia.forecast.scaling import foretell_coverage, scaling_html, scaling_plots

FLOPS = 64e9


def rung(flops: float) -> Rung:
    """Return what a run of a ladder with known laws gives."""
    loss = 0.2 + (flops / 1e9) ** -0.5
    return Rung(1, 0, 1, 1, flops, loss, {"a": loss}, {"a": 1 / (1 + (loss / 0.5) ** 4)}, {"a": 0.0}, {"a": 1.0})


def practised(steps: int = 64) -> list[dict[str, Any]]:
    """Return metrics of homework that is right log-linearly more often, of 40 questions."""
    rng = np.random.default_rng(0)
    counts = rng.binomial(16, rng.beta(0.5, 1.5, 40)).tolist()
    lines: list[dict[str, Any]] = [
        {"step": step, "right_by_difficulty": {"countdown/1": share, "countdown/2": share - 0.1}}
        for step in range(1, steps + 1)
        for share in [0.2 + 0.05 * float(np.log(step))]
    ]
    lines[-1] |= {"right": {"held_out": {"countdown": counts}}, "samples": 16}
    return lines


def write(directory: Path, lines: list[dict[str, Any]]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return a run that was forecast, has ended and has done its homework."""
    write(tmp_path, [{"step": 9, "flops": FLOPS, "held_out_loss": 0.3}])
    write(tmp_path / "homework", practised())
    (tmp_path / "homework" / "homework.json").write_text(json.dumps({"training": {"steps": 64}}))
    write_forecasts(tmp_path / FORECAST, foresee([rung(flops) for flops in np.geomspace(1e9, 8e9, 6)], FLOPS))
    (tmp_path / RUNG).write_text(json.dumps(asdict(rung(FLOPS))))
    return tmp_path


def test_school_homework_and_attempts_are_drawn_with_what_was_measured(run: Path) -> None:
    plots = scaling_plots(run)
    assert {name: [plot.title for plot in its] for name, its in plots.items()} == {
        "School": ["loss", "loss a", "accuracy a"],
        "Homework": ["rollouts right"],
        "Attempts": ["pass@k, countdown"],
    }
    for plot in (plot for its in plots.values() for plot in its):
        lines = {line.name: line for line in plot.lines}
        assert set(lines) == {"forecast", "fitted to", "measured"} and plot.band
        ends = {name: max(x for x, _ in line.points) for name, line in lines.items()}
        assert ends["fitted to"] < ends["measured"] <= ends["forecast"]
    html = scaling_html(run)
    assert html.count("<figure") == 5 and "<h3>Homework</h3>" in html


def test_what_is_not_there_is_not_drawn(tmp_path: Path, run: Path) -> None:
    assert scaling_html(tmp_path / "nothing") == ""
    (run / RUNG).write_text("[")
    (run / "homework" / "homework.json").unlink()
    plots = scaling_plots(run)
    assert list(plots) == ["School"]
    assert all(line.name != "measured" for plot in plots["School"] for line in plot.lines)


def test_the_first_quarter_of_homework_foretells_a_curve_that_goes_on(run: Path) -> None:
    (plot,) = scaling_plots(run)["Homework"]
    lines = {line.name: line.points for line in plot.lines}
    step, rate = lines["measured"][-1]
    expected = np.interp(np.log(step), np.log([x for x, _ in lines["forecast"]]), [y for _, y in lines["forecast"]])
    assert rate == pytest.approx(expected, abs=0.01)


def test_what_is_foretold_of_homework_stays_what_it_is_while_the_run_goes_on(run: Path) -> None:
    def foretold() -> list[tuple[float, float]]:
        (plot,) = scaling_plots(run)["Homework"]
        return next(line.points for line in plot.lines if line.name == "forecast")

    whole = foretold()
    write(run / "homework", practised(24))
    assert foretold() == whole
    write(run / "homework", practised(16))
    assert "Homework" not in scaling_plots(run), "the first quarter has only just ended"
    timed = [line | {"clock": {"seconds": 6.0 * line["step"]}} for line in practised(40)]
    write(run / "homework", timed)
    (run / "homework" / "homework.json").write_text(json.dumps({"training": {"steps": None, "minutes": 6.4}}))
    assert foretold() == whole, "a step of six seconds: 64 in so many minutes"


def test_a_quarter_of_the_attempts_foretells_all() -> None:
    rng = np.random.default_rng(1)
    right = rng.binomial(160, rng.beta(0.4, 1.2, 300)).tolist()
    forecast, measured = foretell_coverage("countdown", 160, right, 16)
    assert [k for k, _ in measured] == [32, 64, 128, 160]
    for check in forecast.check(dict(measured)):
        assert abs(check.error) < 4 and check.inside


def test_an_outcome_that_is_known_is_not_measured_again(run: Path) -> None:
    assert measure_outcome(run) == read_outcome(run)
    checks = checks_of(foresee([rung(flops) for flops in np.geomspace(1e9, 8e9, 6)], FLOPS), read_outcome(run))
    assert set(checks) == {"loss", "loss a", "accuracy a"}
    assert all(abs(check.error) < 6 for check in checks.values())


def test_a_run_that_ended_where_nothing_was_foretold_is_said_to_have(run: Path) -> None:
    write_forecasts(run / FORECAST, foresee([rung(flops) for flops in np.geomspace(1e9, 8e9, 6)], 1e10))
    with pytest.raises(CheckpointError, match=r"ended at 6\.4e\+10 FLOPs.*nothing to compare"):
        forecasting.check(str(run))


def test_a_run_without_a_held_out_loss_has_no_outcome(tmp_path: Path) -> None:
    write(tmp_path, [{"step": 1, "flops": 1.0, "loss": 1.0}])
    with pytest.raises(CheckpointError):
        measure_outcome(tmp_path)
