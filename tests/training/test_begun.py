"""A run that begins with another's weights: what it takes over, what is its own, what it refuses."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from castalia.errors import RecipeError
from castalia.recipes import load_recipe
from castalia.training.metrics import read_metrics
from castalia.training.pretrain import pretrain
from castalia.training.recipe import Recipe
from castalia.training.run import create_run, load_state, load_stretches_of, load_weights
from castalia.training.schedule import Schedule


@pytest.fixture(scope="module")
def tiny(recipe_file: Path) -> Recipe:
    return load_recipe(str(recipe_file))


def same_weights(run: Path, other: Path) -> bool:
    return all(torch.equal(a, b) for a, b in zip(*(load_weights(at).values() for at in (run, other)), strict=True))


def test_a_run_begins_with_anothers_weights_and_counts_on_by_its_own_schedule(
    copy_until: Callable[..., Path], tiny: Recipe, tmp_path: Path
) -> None:
    source, directory = copy_until(20), tmp_path / "begun"
    further = tiny.override({"training.steps": "5", "training.matrix_lr": "0.001", "data.mixture": "sums:1"})
    create_run(further, directory, source)
    assert same_weights(directory, source)
    seen = load_state(source)["data"]
    assert min(position[-1] for position in load_state(directory)["data"]) >= max(position[-1] for position in seen)
    trainer = pretrain(further, directory, source=source)
    assert trainer.progress.step == 25 and trainer.progress.documents > load_state(source)["progress"]["documents"]
    lines = [line for line in read_metrics(directory / "metrics.jsonl") if line["step"] > 20]
    assert [(at["step"], at.get("source")) for at in load_stretches_of(directory)] == [(0, None), (20, source.name)]
    assert lines[-1]["step"] == 25 and lines[-1]["clock"]["done"] == 1.0
    assert read_metrics(directory / "metrics.jsonl")[0]["step"] == 1
    schedule = Schedule(further.training, first_step=20)
    assert lines[-1]["lr_factor"] == pytest.approx(schedule.factor(24)) and schedule.factor(20) < schedule.factor(21)
    assert not same_weights(directory, source)


def test_what_began_with_anothers_weights_goes_on_after_an_interruption_as_if_there_had_been_none(
    copy_until: Callable[..., Path], tiny: Recipe, tmp_path: Path, assert_same_run: Callable
) -> None:
    source, whole, halves = copy_until(20), tmp_path / "whole", tmp_path / "halves"
    further = tiny.override({"training.steps": "6", "training.checkpoint_every": "2"})
    pretrain(further, whole, source=source)
    shutil.copytree(whole, halves)
    for later in ("step-00000024", "step-00000026"):
        shutil.rmtree(halves / "checkpoints" / later)
    pretrain(further, halves, source=source)
    assert_same_run(halves, whole)


def test_anothers_weights_of_another_shape_or_of_homework_alone_are_refused(
    copy_until: Callable[..., Path], tiny: Recipe, tmp_path: Path
) -> None:
    source = copy_until(20)
    with pytest.raises(RecipeError, match=r"another shape: --set model\.layers=\d"):
        create_run(tiny.override({"model.layers": "3"}), tmp_path / "begun", source)
    (source / "homework.json").touch()
    with pytest.raises(RecipeError, match="is homework alone"):
        create_run(tiny, tmp_path / "begun", source)
    assert not (tmp_path / "begun" / "recipe.json").exists()
