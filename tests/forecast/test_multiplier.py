"""A multiplier is found again where it is known, with an interval that holds it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from castalia.errors import RecipeError
from castalia.forecast import multiplier
from castalia.forecast.accuracy import Growth
from castalia.forecast.ladder import Rung
from castalia.forecast.multiplier import climb_all, multipliers, shared_targets, with_parts
from castalia.recipes import load_parts, load_recipe

CHANCE = 0.1


def rungs(half: float, seed: int, noise: float = 0.005) -> list[Rung]:
    """Return a ladder whose accuracy is half-way from chance to all at `half` FLOPs."""
    rng, made = np.random.default_rng(seed), []
    for flops in np.repeat(np.geomspace(1e12, 1e13, 4), 2):
        right = float(Growth(CHANCE).at(np.array([np.log(half), 0.8]), np.array([flops]))[0] + rng.normal(0, noise))
        made.append(Rung(1, seed, 1, 1, float(flops), 1.0, {"a": 1.0}, {"a": right}, {"a": CHANCE}, {"a": 1.0}))
    return made


@pytest.mark.parametrize("times", [1.0, 3.0])
def test_a_known_multiplier_is_found(times: float) -> None:
    ours, others = rungs(3e12, 1), rungs(3e12 * times, 2)
    found = multipliers(ours, others, shared_targets([ours, others]))
    assert len(found) == 3
    for one in found:
        assert one.low <= times <= one.high
        assert one.value == pytest.approx(times, rel=0.15)
        assert one.value == one.other_flops / one.flops


def test_where_ladders_share_no_accuracy_it_is_said() -> None:
    with pytest.raises(RecipeError, match="nothing to compare"):
        shared_targets([rungs(1e11, 1), rungs(1e15, 2)])


def test_compute_for_an_accuracy_is_the_growth_turned_over() -> None:
    parameters_P = np.array([np.log(3e12), 0.7])
    compute = Growth(CHANCE).compute_for(0.7, parameters_P)
    assert Growth(CHANCE).at(parameters_P, np.array([compute]))[0] == pytest.approx(0.7)


def test_all_parts_together_are_the_predecessor() -> None:
    recipe, parts = load_recipe("ladder"), load_parts("maverick")
    for one in with_parts(recipe, parts).values():
        assert one != recipe
    every = {field: value for settings in parts.values() for field, value in settings.items()}
    assert recipe.override(every).model == load_recipe("maverick").model
    with pytest.raises(RecipeError, match="ladder has no PARTS"):
        load_parts("ladder")


def test_all_have_the_same_sizes_within_their_minutes_and_the_other_goes_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    largest = {"ladder": 0.1, "maverick": 0.04, "part": 0.08}
    climbed: dict[str, list[float]] = {}

    def settled(recipe: Any, place: Path, minutes: float, runs: Any, **more: Any) -> tuple[Any, float]:
        assert minutes == 10
        return recipe, largest[place.name]

    def climb(recipe: Any, place: Path, sizes: list[float], seeds: Any, **climbing: Any) -> list[Rung]:
        climbed[place.name] = [size / largest[place.name] for size in sizes]
        return []

    monkeypatch.setattr(multiplier, "settle", settled)
    monkeypatch.setattr(multiplier, "climb_tuned", climb)
    ours, other = load_recipe("ladder"), load_recipe("maverick")
    climb_all(ours, other, {"part": {"training.schedule": "cosine"}}, tmp_path, 30, further=2)
    assert climbed["ladder"] == climbed["part"] == [0.125, 0.25, 0.5, 1]
    assert climbed["maverick"] == pytest.approx([0.125, 0.25, 0.5, 1, 2, 4])
