"""A multiplier is found again where it is known, with an interval that holds it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from castalia.errors import RecipeError
from castalia.forecast import multiplier
from castalia.forecast.accuracy import Growth
from castalia.forecast.ladder import Rung
from castalia.forecast.multiplier import climb_all, multipliers, with_parts
from castalia.recipes import load_parts, load_recipe

STEEPNESS = 0.5


def rungs(half: float, seed: int, noise: float = 0.005) -> list[Rung]:
    """Return a ladder that is right half of the time at `half` FLOPs, and before that less often than by guessing."""
    rng, made = np.random.default_rng(seed), []
    for flops in np.repeat(np.geomspace(1e12, 1e13, 4), 2):
        right = Growth().at(np.array([np.log(half), STEEPNESS]), np.array([flops]))[0] + rng.normal(0, noise)
        made.append(Rung(1, seed, 1, 1, float(flops), 1.0, {"a": 1.0}, {"a": float(right)}, {"a": 0.2}, {"a": 1.0}))
    return made


@pytest.mark.parametrize("times", [1.0, 3.0])
def test_a_known_multiplier_is_found(times: float) -> None:
    found = multipliers(rungs(5e13, 1), rungs(5e13 * times, 2) + rungs(5e13 * times, 3)[-2:])
    assert len(found) == 3
    for one in found:
        assert one.low <= times <= one.high
        assert one.value == pytest.approx(times, rel=0.15)
        assert one.value == one.other_flops / one.flops


def test_its_interval_holds_the_truth_about_as_often_as_it_claims() -> None:
    found = [multipliers(rungs(5e13, seed), rungs(1.5e14, 100 + seed))[1] for seed in range(20)]
    assert sum(one.low <= 3 <= one.high for one in found) >= 15  # nine of ten: fewer than 15 of 20 is one in a hundred


def test_where_ladders_share_no_accuracy_it_is_said() -> None:
    with pytest.raises(RecipeError, match=r"nothing to compare: .* more sizes"):
        multipliers(rungs(1e12, 1), rungs(1e16, 2))


def test_compute_for_an_accuracy_is_the_growth_turned_over() -> None:
    parameters_P = np.array([np.log(3e12), 0.7])
    compute = Growth(0.1).compute_for(0.7, parameters_P)
    assert Growth(0.1).at(parameters_P, np.array([compute]))[0] == pytest.approx(0.7)


def test_all_parts_together_are_the_predecessor() -> None:
    recipe, parts = load_recipe("ladder"), load_parts("maverick")
    for one in with_parts(recipe, parts).values():
        assert one != recipe
    every = {field: value for settings in parts.values() for field, value in settings.items()}
    assert recipe.override(every).model == load_recipe("maverick").model
    with pytest.raises(RecipeError, match="ladder has no PARTS"):
        load_parts("ladder")


def test_all_have_the_same_sizes_and_what_differs_in_rates_its_own_trials_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    largest = {"ladder": 0.1, "maverick": 0.04, "part": 0.08, "rated": 0.05}
    climbed: dict[str, dict[str, list[float]]] = {}

    def settled(recipe: Any, place: Path, minutes: float, runs: Any, **more: Any) -> tuple[Any, float]:
        assert minutes == 7.5
        return recipe, largest[place.name]

    def climb(recipe: Any, place: Path, sizes: list[float], seeds: Any, **climbing: Any) -> list[Rung]:
        name, rate = place.parent.name, place.name.removeprefix("rates-")
        climbed.setdefault(name, {})[rate] = [size / largest[name] for size in sizes]
        best = {"ladder": "0.5", "maverick": "2", "rated": "1"}.get(name)
        return [replace(rungs(1e13, 0)[0], loss=0.0 if rate == best else 1.0)]

    monkeypatch.setattr(multiplier, "settle", settled)
    monkeypatch.setattr(multiplier, "climb", climb)
    ours, other = load_recipe("ladder"), load_recipe("maverick")
    parts = {"part": {"training.schedule": "cosine"}, "rated": {"training.matrix_lr": "0.1"}}
    made = climb_all(ours, other, parts, tmp_path, 30, further=2)
    every = [0.125, 0.25, 0.5, 1]
    assert climbed["ladder"] == {"0.5": every, "1": [0.5], "2": [0.5]}
    assert climbed["maverick"] == {"0.5": [0.5], "1": [0.5], "2": pytest.approx([*every, 2, 4])}
    assert climbed["rated"] == {"0.5": [0.5], "1": every, "2": [0.5]}
    assert climbed["part"] == {"0.5": every}, "which has the rates that are best for ladder"
    assert made["ladder"][0].training.matrix_lr == made["part"][0].training.matrix_lr == ours.training.matrix_lr / 2
    assert made["maverick"][0].training.matrix_lr == 2 * other.training.matrix_lr
    for wrong in ({"seeds": 0}, {"questions": 0}, {"further": -1}):
        with pytest.raises(RecipeError, match="are needed"):
            climb_all(ours, other, parts, tmp_path, 30, **wrong)
