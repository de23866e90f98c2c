"""Small runs fit their budget, and stay what they are when they are gone on with."""

from dataclasses import replace
from pathlib import Path

import pytest

from castalia.errors import RecipeError
from castalia.forecast import before
from castalia.forecast.before import (
    Climb,
    exam_seconds,
    forecast_from,
    forecast_run,
    in_steps,
    seconds_to_train,
    settle,
    shares_of,
)
from castalia.forecast.forecast import read_forecasts
from castalia.forecast.ladder import Rung, sized, write_ladder
from castalia.recipes import load_recipe

LADDER, POCKET = load_recipe("ladder"), load_recipe("pocket")
RUNS = [(share, 2.0) for share in shares_of(3)]
PEAK = 1e11


@pytest.fixture(autouse=True)
def peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(before, "measure_peak_flops", lambda: PEAK)


@pytest.mark.parametrize("minutes", [2.0, 20.0])
def test_small_runs_take_their_budget(tmp_path: Path, minutes: float) -> None:
    small, size = settle(LADDER, tmp_path, minutes, RUNS, questions=20)
    exam = exam_seconds(LADDER, 20)
    seconds = sum(count * (seconds_to_train(sized(small, size * share), PEAK) + exam) for share, count in RUNS)
    assert seconds == pytest.approx(60 * minutes, rel=0.1)


def test_what_was_settled_holds_however_quick_the_machine_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = settle(POCKET, tmp_path, 2, RUNS)
    monkeypatch.setattr(before, "measure_peak_flops", lambda: PEAK / 3)
    assert settle(POCKET, tmp_path, 2, RUNS) == first
    assert settle(POCKET, tmp_path, 4, RUNS) != first


def test_another_budget_makes_other_sizes_of_the_same_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, size = settle(POCKET, tmp_path, 2, RUNS)
    monkeypatch.setattr(before, "measure_peak_flops", lambda: PEAK / 3)
    second, other = settle(POCKET, tmp_path, 4, RUNS)
    assert second == first and other != size
    assert settle(POCKET, tmp_path, 4, RUNS) == (second, other)


def test_small_runs_of_another_recipe_are_not_gone_on_with(tmp_path: Path) -> None:
    settle(LADDER, tmp_path, 10, RUNS)
    longer = replace(LADDER, training=replace(LADDER.training, steps=40_000))
    assert settle(longer, tmp_path, 10, RUNS)[0].training.steps == 40_000, "nothing has begun yet"
    (tmp_path / "size-1-seed-0").mkdir()
    with pytest.raises(RecipeError, match="holds a ladder of another recipe"):
        settle(LADDER, tmp_path, 10, RUNS)


@pytest.mark.parametrize(("sizes", "seeds"), [(1, 8), (3, 1), (4, 0)])
def test_a_ladder_that_can_say_nothing_is_refused_before_it_is_climbed(tmp_path: Path, sizes: int, seeds: int) -> None:
    with pytest.raises(RecipeError, match="a ladder has 2 sizes"):
        forecast_run(LADDER, tmp_path / "run", 10, Climb(sizes, seeds))
    assert not list(tmp_path.iterdir())


def test_small_runs_come_as_near_as_is_asked_for_and_never_are_the_whole(tmp_path: Path) -> None:
    sizes = [settle(POCKET, tmp_path, 600, RUNS, most=most)[1] for most in (1 / 8, 1 / 4)]
    assert sizes == [1 / 8, 1 / 4]
    with pytest.raises(RecipeError, match="--largest is a share"):
        Climb(largest=1.0)
    with pytest.raises(RecipeError, match="--apart is how many times"):
        Climb(apart=1.0)


def test_a_recipe_of_another_length_is_forecast_from_the_same_ladder(tmp_path: Path) -> None:
    rungs = [
        Rung(size, 0, 1, 1, 1e13 * size, size**-0.1, {"digits": size**-0.1}, {}, {}, {"digits": 1.0})
        for size in (1 / 64, 1 / 32, 1 / 16, 1 / 8)
    ]
    write_ladder(tmp_path / "ladder.json", LADDER, rungs)
    half = replace(LADDER, training=replace(LADDER.training, steps=5_000))
    loss = forecast_from(tmp_path / "ladder.json", half, tmp_path / "run")[0]
    assert loss.targets[0].x == pytest.approx(5e12) and loss.targets[0].value == pytest.approx(0.5**-0.1, rel=0.01)
    assert read_forecasts(tmp_path / "run/forecast.json")[0] == loss
    for other, said in (
        (POCKET, "data.mixture"),
        (LADDER.override({"training.optimizer": "adamw"}), "optimizer=adamw"),
    ):
        with pytest.raises(RecipeError, match=rf"ladder of another recipe.*{said}"):
            forecast_from(tmp_path / "ladder.json", other, tmp_path / "other")


def test_a_run_that_is_much_longer_than_its_size_is_by_the_rules_is_said_to_be(tmp_path: Path) -> None:
    rungs = [
        Rung(size, 0, 1, 1, 1e13 * size, size**-0.1, {"digits": size**-0.1}, {}, {}, {"digits": 1.0})
        for size in (1 / 64, 1 / 32, 1 / 16, 1 / 8)
    ]
    write_ladder(tmp_path / "ladder.json", LADDER, rungs)
    said: list[str] = []
    for steps in (10_000, 20_000, 40_000):
        longer = LADDER.override({"training.steps": str(steps)})
        forecast_from(tmp_path / "ladder.json", longer, tmp_path / str(steps), said.append)
    assert len(said) == 1 and "2 times the positions" in said[0], said


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
    small, _ = settle(LADDER, tmp_path / "short", 2, RUNS)
    assert not small.training.compile
    never = replace(LADDER, training=replace(LADDER.training, compile=False))
    assert not settle(never, tmp_path / "never", 1e6, RUNS)[0].training.compile
