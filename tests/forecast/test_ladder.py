"""One dial: a recipe in any size, its compute as asked for, all else by rules."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castalia.errors import RecipeError
from castalia.forecast.ladder import climb, position_cost, sized
from castalia.model.flops import StepShape, step_flops
from castalia.recipes import load_recipe
from castalia.training.recipe import Recipe

LADDER = load_recipe("ladder")


def compute(recipe: Recipe) -> float:
    """Return the operations of a run by the count that sizes are made by."""
    positions = recipe.feed.rows * recipe.feed.length
    shape = StepShape(recipe.feed.rows, recipe.feed.length, positions // 4, 0, positions // 2)
    return step_flops(replace(recipe.model, vocab_size=recipe.vocab_size), shape) * (recipe.training.steps or 0)


@given(st.floats(1 / 256, 16))
def test_a_size_has_its_share_of_the_compute(size: float) -> None:
    assert compute(sized(LADDER, size)) == pytest.approx(size * compute(LADDER), rel=0.02)


@given(st.floats(1 / 256, 4096), st.floats(1 / 256, 4096))
def test_what_is_larger_is_not_smaller(one: float, other: float) -> None:
    small, large = (sized(LADDER, size) for size in sorted((one, other)))
    for of in (lambda r: r.model.layers, lambda r: r.feed.rows):
        assert of(small) <= of(large)
    assert small.model.width <= large.model.width or small.model.layers < large.model.layers


@given(st.floats(1 / 100, 4096))
def test_a_position_costs_the_square_root_of_the_compute(size: float) -> None:
    assert position_cost(sized(LADDER, size)) == pytest.approx(size**0.5 * position_cost(LADDER), rel=0.2)


@given(st.floats(1 / 256, 4096))
def test_layers_are_whole_periods_of_their_pattern(size: float) -> None:
    assert sized(LADDER, size).model.layers % LADDER.model.global_every == 0


def test_its_own_size_is_the_recipe_itself() -> None:
    assert sized(LADDER, 1) == LADDER


def test_minutes_are_shared_where_no_steps_are_given() -> None:
    timed = replace(LADDER, training=replace(LADDER.training, steps=None, minutes=8.0))
    assert sized(timed, 1 / 16).training.minutes == pytest.approx(0.5)


def test_an_encoder_of_pictures_grows_as_the_decoder_does() -> None:
    assert sized(load_recipe("maverick"), 64).model.vision_layers == 4


def test_runs_of_another_recipe_are_not_taken_for_a_ladders(tmp_path: Path) -> None:
    (tmp_path / "size-0.1-seed-0").mkdir()
    (tmp_path / "recipe.json").write_text(json.dumps(LADDER.to_json(), indent=1))
    other = LADDER.override({"training.other_lr": "0.02"})
    with pytest.raises(RecipeError, match="holds a ladder of another recipe"):
        climb(other, tmp_path, [0.1])
    assert Recipe.from_json(json.loads((tmp_path / "recipe.json").read_text())) == LADDER
