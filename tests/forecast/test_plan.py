"""A plan finds the best split of a budget, says what it takes, and refuses what it cannot know."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from castalia.errors import DataError, RecipeError
from castalia.forecast.devices import DEVICES, Cluster, activation_bytes, cluster_of, state_bytes
from castalia.forecast.ladder import Rung, read_ladder, sized, step_cost, write_ladder
from castalia.forecast.plan import Planner, budget
from castalia.model.flops import parameters
from castalia.recipes import load_recipe

LADDER = load_recipe("ladder")
H100 = Cluster("h100", DEVICES["h100"], 8, 0.4)
E, A, ALPHA, B, BETA = 0.1, 60.0, 0.5, 900.0, 0.5
FILLED, COUNTED = 0.9, 0.95
"""Share of a batch that positions fill, and what a step costs of what a typical one would."""


def truth(size: float, positions: float) -> float:
    return E + A / size**ALPHA + B / positions**BETA


def rungs(stretches: tuple[float, ...] = (0.5, 1, 2)) -> list[Rung]:
    """Return a ladder of the recipe's own shapes, whose losses follow a law that is known."""
    made = []
    for size in (1 / 64, 1 / 16, 1 / 4, 1):
        for stretch in stretches:
            recipe = sized(LADDER, size, stretch)
            count, steps = parameters(recipe.model)["total"], recipe.training.steps or 0
            positions = round(FILLED * steps * recipe.feed.rows * recipe.feed.length)
            flops = COUNTED * steps * step_cost(recipe)
            loss = truth(count, positions) * float(np.exp(np.random.default_rng(len(made)).normal(0, 0.0005)))
            right = 1 / (1 + np.exp(20 * (loss - 0.5)))
            made.append(
                Rung(size, 0, count, positions, flops, loss, {"a": loss}, {"a": right}, {"a": 0.0}, {"a": 1.0}, stretch)
            )
    return made


@pytest.fixture(scope="module")
def planner() -> Planner:
    return Planner(LADDER, rungs())


def test_the_best_split_is_that_of_the_law(planner: Planner) -> None:
    made = planner.plan(1e15, H100)
    losses = [truth(size, positions) for size, positions in planner.splits(1e15)]
    best = planner.splits(1e15)[int(np.argmin(losses))]
    assert made.parameters.value == pytest.approx(best[0], rel=0.5)
    assert made.parameters.low <= best[0] <= made.parameters.high
    assert made.loss.low <= min(losses) <= made.loss.high
    assert truth(made.parameters.value, made.positions) == pytest.approx(min(losses), rel=0.005)


def test_a_recipe_with_its_settings_takes_the_budget(planner: Planner) -> None:
    made = planner.plan(1e15, H100)
    again = LADDER.override({name: str(value) for name, value in made.to_json()["settings"].items()})
    assert again == made.recipe
    steps = again.training.steps or 0
    assert COUNTED * steps * step_cost(again) == pytest.approx(1e15, rel=0.01)
    assert FILLED * steps * again.feed.rows * again.feed.length == pytest.approx(made.positions, rel=0.06)


def test_a_plan_for_several_devices_shares_its_batch_and_is_launched_on_all(planner: Planner) -> None:
    made = planner.plan(1e15, H100).recipe
    assert made.feed.streams == 8 and made.feed.rows % 8 == 0 and made.training.precision == "bf16"
    assert H100.launcher == "torchrun --nproc-per-node 8 -m castalia"
    assert replace(H100, count=32).launcher == "torchrun --nnodes 4 --nproc-per-node 8 -m castalia"
    one = planner.plan(1e15, replace(H100, name="laptop", count=1)).recipe
    assert one.feed.streams == LADDER.feed.streams and one.training.precision == "fp32"
    assert replace(H100, count=1).launcher == "castalia"


def test_an_accuracy_that_less_than_the_ladder_gives_takes_the_least_that_it_plans(planner: Planner) -> None:
    flops = planner.budget_for(1e-12)
    assert planner.least <= flops <= 1.2 * planner.least
    assert planner.plan(flops, H100).flops == flops


def test_more_compute_gives_more(planner: Planner) -> None:
    small, large = planner.plan(1e13, H100), planner.plan(1e16, H100)
    assert small.loss.value > large.loss.value and small.accuracy < large.accuracy
    assert small.parameters.value < large.parameters.value and small.positions < large.positions
    assert large.hours == pytest.approx(1000 * small.hours) and large.dollars == pytest.approx(1000 * small.dollars)


def test_the_budget_for_an_accuracy_gives_it_and_a_smaller_one_does_not(planner: Planner) -> None:
    flops = planner.budget_for(0.9)
    assert planner.plan(flops, H100).accuracy >= 0.9 > planner.plan(flops / 1.3, H100).accuracy
    assert planner.budget_for(0.9, "a") == flops
    with pytest.raises(RecipeError, match="no budget is expected to give"):
        planner.budget_for(1.0)
    with pytest.raises(RecipeError, match="the ladder does not answer b: a"):
        planner.budget_for(0.9, "b")


def test_a_ladder_along_one_line_cannot_tell_size_from_positions() -> None:
    with pytest.raises(RecipeError, match=r"--stretches 0\.5 1 2"):
        Planner(LADDER, rungs((1,)))


def test_a_plan_from_runs_that_know_nothing_yet_says_nothing_of_accuracy() -> None:
    planner = Planner(LADDER, [replace(one, accuracies={"a": 0.0}) for one in rungs()])
    made = planner.plan(1e15, H100)
    assert made.accuracy is None and made.accuracies == {} and made.loss.value < 1
    with pytest.raises(RecipeError, match="no run of the ladder answers"):
        planner.budget_for(0.5)


def test_a_plan_is_json(planner: Planner) -> None:
    said = json.loads(json.dumps(planner.plan(1e15, H100).to_json()))
    assert said["accuracies"]["a"]["low"] <= said["accuracies"]["a"]["value"] <= said["accuracies"]["a"]["high"]
    assert said["beyond"] == pytest.approx(1e15 / max(rung.flops for rung in rungs()))


def test_a_cluster_is_read_and_what_is_none_is_refused() -> None:
    assert cluster_of("h100:8") == H100
    assert cluster_of("h100", 0.5, 2.0) == Cluster("h100", replace(DEVICES["h100"], dollars=2.0), 1, 0.5)
    assert H100.hours(H100.flops(3)) == pytest.approx(3)
    assert cluster_of("laptop").device.dollars is None
    for text, said in (("h10", "h100"), ("h100:0", "how many"), ("h100:x", "how many"), ("", "no device")):
        with pytest.raises(RecipeError, match=said):
            cluster_of(text)
    with pytest.raises(RecipeError, match="--mfu"):
        cluster_of("h100", 40)


def test_more_devices_share_the_memory() -> None:
    count = parameters(LADDER.model)
    one = state_bytes(LADDER, 1)
    assert 12 * count["total"] < one < 16 * count["total"]
    assert state_bytes(LADDER, 8) == one / 8
    assert activation_bytes(LADDER, 8) == activation_bytes(LADDER, 1) / 8
    assert activation_bytes(LADDER, 1000) == activation_bytes(LADDER, 16)
    half = LADDER.override({"training.precision": "bf16"})
    assert 1.5 < activation_bytes(LADDER, 1) / activation_bytes(half, 1) < 2, "values, but for the logits"


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "-1", "0"])
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="FLOPs"):
        budget(text)
    assert budget("1e20") == 1e20


def test_a_ladder_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_ladder(tmp_path / "ladder.json", LADDER, rungs())
    assert read_ladder(tmp_path / "ladder.json") == (LADDER, sorted(rungs(), key=lambda r: (r.size, r.stretch)))
    (tmp_path / "ladder.json").write_text("{}")
    for path in (tmp_path / "ladder.json", tmp_path, tmp_path / "none"):
        with pytest.raises(DataError, match="holds no ladder"):
            read_ladder(path)
