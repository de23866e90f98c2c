"""Recipes: settings from text, errors that name the right field, and JSON that says all."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from castalia.data.mixture import DataConfig
from castalia.data.stream import Feed
from castalia.errors import RecipeError
from castalia.model.config import ModelConfig
from castalia.recipes import load_recipe, recipe_names
from castalia.training.recipe import Recipe


@pytest.fixture(params=recipe_names())
def recipe(request: pytest.FixtureRequest) -> Recipe:
    return load_recipe(request.param)


BASE = Recipe(
    name="base",
    model=ModelConfig(width=192, heads=6, kv_heads=2),
    data=DataConfig(mixture={"mazes": 1.0, "digits": 2.0}),
    feed=Feed(rows=16, length=256, streams=2),
)


def test_every_recipe_comes_back_from_its_json(recipe: Recipe) -> None:
    text = json.dumps(recipe.to_json())
    assert Recipe.from_json(json.loads(text)) == recipe
    assert "pocket" in recipe_names()


def test_json_of_changed_fields_comes_back_too() -> None:
    changed = BASE.override({"model.kv_heads": "3", "training.betas": "0.8,0.9", "data.difficulties": "4,5"})
    assert changed != BASE
    assert Recipe.from_json(json.loads(json.dumps(changed.to_json()))) == changed


def test_names_with_a_colon_have_shares_too() -> None:
    shares = BASE.override({"data.mixture": "reasoning_gym:leg_counting:1,sums:0.5"}).data.mixture
    assert shares == {"reasoning_gym:leg_counting": 1.0, "sums": 0.5}


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("vocab_size", "700", 700),
        ("name", "mine", "mine"),
        ("model.width", "384", 384),
        ("model.kv_heads", "3", 3),
        ("model.kv_heads", "none", None),
        ("model.tied_head", "true", True),
        ("model.qk_norm", "False", False),
        ("model.rope_axes", "1", 1),
        ("model.activation", "swiglu", "swiglu"),
        ("training.minutes", "0.5", 0.5),
        ("training.steps", "12", 12),
        ("training.betas", "0.8,0.99", (0.8, 0.99)),
        ("data.difficulties", "1,2,7", (1, 2, 7)),
        ("data.mixture", "mazes:1,digits:0.5", {"mazes": 1.0, "digits": 0.5}),
        ("data.media", "text:1,voice:2", {"text": 1.0, "voice": 2.0}),
    ],
)
def test_fields_are_set_from_text_by_their_type(path: str, text: str, value: object) -> None:
    changed = BASE.override({path: text})
    found = changed
    for name in path.split("."):
        found = getattr(found, name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("name", recipe_names())
def test_what_tells_a_recipe_from_another_makes_it_of_that(name: str) -> None:
    recipe = load_recipe(name)
    assert BASE.override(recipe.difference(BASE)) == recipe
    assert not recipe.difference(recipe)


@pytest.mark.parametrize(
    "wrong",
    [
        "training.evaluate_every=0", "training.log_every=0", "training.clip=0", "training.timescale=0",
        "training.betas=0.9,1.5", "training.matrix_lr=-1", "feed.rows=0", "feed.streams=0", "feed.length=0",
        "model.experts=-1", "training.matrix_lr=nan",
    ],
)  # fmt: skip
def test_a_number_that_cannot_work_is_an_error_that_names_it(wrong: str) -> None:
    path, _, text = wrong.partition("=")
    with pytest.raises(RecipeError, match=path):
        BASE.override({path: text})


def test_one_share_of_the_mixture_is_set_by_its_name() -> None:
    assert BASE.override({"data.mixture.mazes": "3"}).data.mixture == {**BASE.data.mixture, "mazes": 3.0}


def test_settings_that_fit_only_together_are_taken_together_in_any_order() -> None:
    for settings in ({"model.width": "256", "model.heads": "8"}, {"model.heads": "8", "model.width": "256"}):
        model = BASE.override(settings).model
        assert (model.width, model.heads) == (256, 8)
    assert BASE.override({"feed.rows": "9", "feed.streams": "3"}).feed.rows == 9


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("model.widht", "model.width"),
        ("model.layer", "model.layers"),
        ("trainng.steps", "training.steps"),
        ("training.minuts", "training.minutes"),
        ("model.model.width", "model.frame_values.width"),
        ("data.mixtures", "data.mixture"),
        ("vocabsize", "vocab_size"),
    ],
)
def test_a_wrong_name_is_an_error_that_names_the_nearest_right_one(wrong: str, right: str) -> None:
    with pytest.raises(RecipeError) as raised:
        BASE.override({wrong: "1"})
    message = str(raised.value)
    assert repr(wrong) in message
    assert f"did you mean {right!r}?" in message


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("model.width", "wide", "expected int, got 'wide'"),
        ("model.width", "1.5", "expected int"),
        ("model.qk_norm", "yes", "expected true or false"),
        ("model.activation", "gelu", "swiglu"),
        ("training.schedule", "wds", "did you mean 'wsd'"),
        ("training.minutes", "ten", "expected float"),
        ("training.minutes", "-1", "minutes must be more than 0"),
        ("training.minutes", "nan", "minutes must be more than 0"),
        ("training.steps", "-5", "fewer than 0 steps"),
        ("training.decay_share", "1.5", "a share from 0 to 1"),
        ("training.betas", "0.9", "2 values"),
        ("training.betas", "0.9,0.95,0.99", "2 values"),
        ("data.mixture", "mazes", "NAME:SHARE"),
        ("data.mixture", "mazes:much", "NAME:SHARE"),
        ("model", "big", "name one of them"),
        ("model.width.more", "1", "has no fields"),
        ("model.heads", "5", "width 192 must be heads 5"),
        ("feed.rows", "15", "multiple of streams"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_the_field_and_what_would_be_right(
    path: str, text: str, message: str
) -> None:
    with pytest.raises(RecipeError, match=message) as raised:
        BASE.override({path: text})
    assert path.removesuffix(".more") in str(raised.value)


def test_unknown_fields_in_json_are_refused_by_name() -> None:
    values = BASE.to_json()
    values["model"]["widht"] = 3
    with pytest.raises(RecipeError, match=r"recipe\.model has an unknown field 'widht': did you mean 'width'"):
        Recipe.from_json(values)


def test_a_wrong_recipe_name_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean 'pocket'"):
        load_recipe("poket")


def test_a_file_is_a_recipe_too(recipe_file: Path) -> None:
    assert load_recipe(str(recipe_file)).name == "tiny"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no function recipe"),
        ("def recipe(): return 3", "returned int, not a Recipe"),
        ("def recipe(:", "invalid syntax"),
        ("from castalia.model.config import ModelConfig\ndef recipe(): return ModelConfig(widht=3)", "widht"),
        ("import nosuchthing", "nosuchthing"),
        ("def recipe(): return 1 / 0", "division by zero"),
        ("def recipe(): return nosuchname", "nosuchname"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message) as raised:
        load_recipe(str(path))
    assert "mine.py" in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no recipe file .*none\.py"):
        load_recipe(str(tmp_path / "none.py"))


def test_recipes_are_values(recipe: Recipe) -> None:
    before = json.dumps(recipe.to_json())
    recipe.override({"training.steps": "5"})
    assert json.dumps(recipe.to_json()) == before
    assert replace(recipe) == recipe
