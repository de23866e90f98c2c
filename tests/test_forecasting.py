"""From small runs to a plan, as a person does it: forecast, train, check; plan; compare with another recipe."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from castalia.recipes import MEASURED

RECIPE = """
from castalia.data.mixture import DataConfig
from castalia.data.stream import Feed
from castalia.model.config import ModelConfig
from castalia.training.config import TrainingConfig
from castalia.training.recipe import Recipe

PARTS = {{"optimizer": {{"training.optimizer": "adamw", "training.matrix_lr": "0.002"}}}}


def recipe():
    made = Recipe(
        name="{name}",
        vocab_size=320,
        model=ModelConfig(width=48, layers=2, heads=2),
        data=DataConfig(mixture={{"countdown": 1.0}}, difficulties=(1,)),
        feed=Feed(rows=4, length=96, streams=1, workers=0),
        training=TrainingConfig(steps=160, other_lr=0.01, compile=False),
    )
    return made.override({changes})
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with two recipes, of which the second is trained by AdamW."""
    directory = tmp_path_factory.mktemp("forecasting")
    (directory / "small.py").write_text(RECIPE.format(name="small", changes={}))
    changes = {"training.optimizer": "adamw", "training.matrix_lr": "0.002"}
    (directory / "old.py").write_text(RECIPE.format(name="old", changes=changes))
    return directory


def castalia(place: Path, *arguments: str) -> str:
    """Run the command in a process of its own, in `place`; return what it printed."""
    line = [sys.executable, "-m", "castalia", *arguments]
    done = subprocess.run(line, capture_output=True, text=True, cwd=place)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def forecast(place: Path) -> list[dict[str, object]]:
    """Return what was forecast of `small`."""
    options = ("--budget", "4m", "--stretches", "1", "2", "--questions", "5", "--jobs", "2")
    return json.loads(castalia(place, "forecast", "small.py", *options, "--json"))


def test_a_forecast_is_written_before_the_run_and_checked_after_it(
    place: Path, forecast: list[dict[str, object]]
) -> None:
    # So small, they may all be wrong: then nothing is foretold of their accuracy.
    assert [one["of"] for one in forecast] in (
        ["loss", "loss countdown"],
        ["loss", "loss countdown", "accuracy countdown"],
    )
    assert json.loads((place / "runs/small/forecast.json").read_text()) == forecast
    castalia(place, "pretrain", "small.py")
    checked = json.loads(castalia(place, "forecast", "check", "runs/small", "--json"))
    assert set(checked) == {one["of"] for one in forecast}
    last = json.loads((place / "runs/small/metrics.jsonl").read_text().splitlines()[-1])
    assert checked["loss"]["measured"] == pytest.approx(last["held_out_loss"], rel=0.2)  # of twenty other documents
    assert checked["loss"]["measured"] == json.loads((place / "runs/small/rung.json").read_text())["loss"]
    assert "error" in castalia(place, "forecast", "check", "runs/small")


def test_small_runs_are_not_run_again(place: Path, forecast: list[dict[str, object]]) -> None:
    rungs = sorted((place / "runs/small-ladder").glob("*/rung.json"))
    assert len(rungs) == 3 * 2 * 2
    before = [path.stat().st_mtime_ns for path in rungs]
    castalia(place, "plan", "--hours", "1", "--ladder", "runs/small-ladder")
    assert [path.stat().st_mtime_ns for path in rungs] == before


def test_a_plan_from_ones_own_ladder_says_what_to_train(place: Path, forecast: list[dict[str, object]]) -> None:
    options = ("--flops", "1e14", "--device", "h100:8", "--ladder", "runs/small-ladder")
    said = castalia(place, "plan", *options)
    for word in (
        "parameters",
        "loss",
        "right",
        "time",
        "memory",
        "cost",
        "castalia pretrain YOUR-SMALL.py --set",
        "training.precision=bf16",
    ):
        assert word in said, said
    plan = json.loads(castalia(place, "plan", *options, "--json"))
    assert plan["flops"] == 1e14 and plan["settings"]["training.steps"] > 160


SHIPPED = "from the ladder that comes with Castalia"


def test_whoever_has_no_ladder_plans_from_the_one_that_comes_with_castalia(
    place: Path, tmp_path: Path, forecast: list[dict[str, object]]
) -> None:
    for options in (("--hours", "8"), ("--flops", "1e20", "--device", "h100:8", "--mfu", "0.4")):
        said = castalia(tmp_path, "plan", *options)
        assert "castalia pretrain ladder --set" in said and SHIPPED in said, said
        assert ("torchrun --nproc-per-node 8 -m castalia" in said) == ("h100:8" in options), said
    mine = json.loads(MEASURED.read_text())
    mine["recipe"]["data"]["mixture"] |= {"mine": 2.0}
    (tmp_path / "mine.json").write_text(json.dumps(mine))
    assert "prose:1.5,mine:2.0" in castalia(tmp_path, "plan", "--hours", "8", "--ladder", "mine.json"), "its own data"
    assert "dollars" in json.loads(castalia(tmp_path, "plan", "--hours", "8", "--device", "h100", "--json"))
    own = castalia(place, "plan", "--hours", "8")
    assert "castalia pretrain YOUR-SMALL.py --set" in own and SHIPPED not in own, own
    (tmp_path / "runs/other-ladder/size-1-seed-0").mkdir(parents=True)
    (tmp_path / "runs/other-ladder/size-1-seed-0/rung.json").write_text("{}")
    assert SHIPPED in castalia(tmp_path, "plan", "--hours", "8"), "that one does not tell size from positions"


def test_a_multiplier_is_measured_over_two_ladders(place: Path) -> None:
    compare = ("forecast", "multiplier", "small.py", "--against", "old.py", "--budget", "3m", "--seeds", "1")
    line = [sys.executable, "-m", "castalia", *compare, "--questions", "20", "--json"]
    done = subprocess.run(line, capture_output=True, text=True, cwd=place)
    if done.returncode:  # so small, they may all be as good as guessing
        assert "nothing to compare" in done.stderr and done.stderr.count("\n") == 1, done.stderr
        return
    rows = json.loads(done.stdout)
    assert set(rows) == {"old"}
    for one in rows["old"]:
        assert one["low"] <= one["value"] <= one["high"]
