"""A multiplier is found again where it is known, with an interval that holds it."""

import numpy as np
import pytest

from castalia.errors import RecipeError
from castalia.forecast.accuracy import Growth
from castalia.forecast.ladder import Rung
from castalia.forecast.multiplier import multipliers, shared_targets, with_parts
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
