"""Small runs fit their budget, and stay what they are when they are gone on with."""

from dataclasses import replace
from pathlib import Path

import pytest

from castalia.errors import RecipeError
from castalia.forecast import before
from castalia.forecast.before import halvings, in_steps, seconds_to_train, settle
from castalia.forecast.ladder import sized
from castalia.recipes import load_recipe

LADDER, POCKET = load_recipe("ladder"), load_recipe("pocket")
RUNS = [(share, 2.0) for share in halvings(3)]
PEAK = 1e11


@pytest.fixture(autouse=True)
def peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(before, "measure_peak_flops", lambda: PEAK)


@pytest.mark.parametrize("minutes", [2.0, 20.0])
def test_small_runs_take_their_budget(tmp_path: Path, minutes: float) -> None:
    small, size = settle(LADDER, tmp_path, minutes, RUNS)
    seconds = sum(count * seconds_to_train(sized(small, size * share), PEAK) for share, count in RUNS)
    assert seconds == pytest.approx(60 * minutes, rel=0.1)


def test_what_was_settled_holds_however_quick_the_machine_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = settle(POCKET, tmp_path, 2, RUNS)
    monkeypatch.setattr(before, "measure_peak_flops", lambda: PEAK / 3)
    assert settle(POCKET, tmp_path, 2, RUNS) == first
    assert settle(POCKET, tmp_path, 4, RUNS) != first


def test_a_budget_for_no_more_than_a_few_steps_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="9 s are too few for 6 small runs"):
        settle(LADDER, tmp_path, 0.15, RUNS)


def test_minutes_become_the_steps_that_they_hold() -> None:
    quick, slow = in_steps(POCKET, PEAK), in_steps(POCKET, PEAK / 2)
    assert quick.training.steps == pytest.approx(2 * (slow.training.steps or 0), abs=2)
    assert in_steps(LADDER, PEAK) == LADDER


def test_no_rung_is_larger_than_is_said_and_short_ones_are_not_compiled(tmp_path: Path) -> None:
    small, size = settle(LADDER, tmp_path / "long", 1e6, RUNS, most=1 / 8)
    assert size == 1 / 8 and small.training.compile
    small, _ = settle(LADDER, tmp_path / "short", 1, RUNS)
    assert not small.training.compile
    never = replace(LADDER, training=replace(LADDER.training, compile=False))
    assert not settle(never, tmp_path / "never", 1e6, RUNS)[0].training.compile
