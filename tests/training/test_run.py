"""A run directory is opened again only by its own recipe; Ctrl-C is no accident."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from castalia.errors import CheckpointError, RecipeError
from castalia.recipes import load_recipe
from castalia.training.metrics import read_metrics
from castalia.training.pretrain import pretrain
from castalia.training.recipe import Recipe
from castalia.training.run import (
    begin_stretch,
    create_run,
    load_model,
    load_perception,
    load_recipe_of,
    load_stretches_of,
)


@pytest.fixture(scope="module")
def tiny(recipe_file: Path) -> Recipe:
    return load_recipe(str(recipe_file))


def test_a_finished_run_holds_all_it_is_made_of_and_nothing_half_done(undisturbed: Path, tiny: Recipe) -> None:
    assert {path.name for path in undisturbed.iterdir()} == {
        "recipe.json",
        "tokenizer.json",
        "sources.json",
        "stretches.json",
        "metrics.jsonl",
        "checkpoints",
    }
    resolved = load_recipe_of(undisturbed)
    assert replace(resolved, model=tiny.model) == tiny
    assert resolved.model.vocab_size >= load_perception(undisturbed).tokenizer.vocab_size
    steps = [line["step"] for line in read_metrics(undisturbed / "metrics.jsonl")]
    assert steps == list(range(1, 61))
    held_out = [line["step"] for line in read_metrics(undisturbed / "metrics.jsonl") if "held_out_loss" in line]
    assert held_out == [20, 40, 60]


def test_a_run_says_from_which_step_on_it_was_trained_by_which_code(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stretch,) = load_stretches_of(undisturbed)
    assert stretch["step"] == 0 and stretch.keys() == {"step", "commit", "machine", "date"}
    assert load_stretches_of(tmp_path) == []
    for commit, step in (("a", 0), ("a", 10), ("b", 20), ("b", 40), ("c", 50), ("d", 30)):
        monkeypatch.setattr("castalia.training.run.here", lambda commit=commit: {"commit": commit})
        begin_stretch(tmp_path, step)
    assert load_stretches_of(tmp_path) == [
        {"step": 0, "commit": "a"},
        {"step": 20, "commit": "b"},
        {"step": 30, "commit": "d"},
    ], "what went on from an earlier checkpoint replaces what came after it"


def test_it_learned_something(undisturbed: Path) -> None:
    losses = [line["loss"] for line in read_metrics(undisturbed / "metrics.jsonl")]
    assert losses[-1] < losses[0] - 1


def test_a_finished_run_is_not_trained_again(
    command: Any, undisturbed: Path, copy_until: Callable[..., Path], assert_same_run: Callable
) -> None:
    directory = copy_until(60)
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()}
    done = command.run(directory)
    assert done.returncode == 0
    assert "trained 60 steps" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()} == before
    assert_same_run(directory, undisturbed)


@pytest.mark.parametrize(
    "settings",
    [{"training.matrix_lr": "0.01"}, {"model.layers": "3"}, {"data.mixture": "sums:1"}, {"training.seed": "1"}],
)
def test_another_recipe_is_refused_and_changes_nothing(
    copy_until: Callable[..., Path], tiny: Recipe, settings: dict[str, str]
) -> None:
    directory = copy_until(5)
    before = (directory / "recipe.json").read_bytes()
    with pytest.raises(RecipeError, match=r"holds a run of another recipe.*choose another --out"):
        create_run(tiny.override(settings), directory)
    assert (directory / "recipe.json").read_bytes() == before


def test_fewer_steps_than_it_has_had_are_refused_and_change_nothing(
    copy_until: Callable[..., Path], tiny: Recipe
) -> None:
    directory = copy_until(15)
    with pytest.raises(RecipeError, match="has trained 15 steps already: more --steps"):
        create_run(tiny.override({"training.steps": "9"}), directory)
    assert load_recipe_of(directory).training.steps == 60


@pytest.mark.parametrize("setting", [("feed.length", "8"), ("data.media", "text:0"), ("data.efforts", "low:-1")])
def test_a_run_that_would_find_nothing_to_learn_ends_with_a_word(
    tiny: Recipe, tmp_path: Path, setting: tuple[str, str]
) -> None:
    with pytest.raises(RecipeError, match=setting[0]):
        pretrain(tiny.override(dict([setting])), tmp_path / "run")


@pytest.mark.parametrize("settings", [{"training.steps": "99"}, {"training.checkpoint_every": "7"}])
def test_the_same_recipe_for_longer_goes_on(
    copy_until: Callable[..., Path], tiny: Recipe, settings: dict[str, str]
) -> None:
    directory = copy_until(5)
    opened = create_run(tiny.override(settings), directory)
    assert load_recipe_of(directory) == opened
    assert replace(opened, model=tiny.model) == tiny.override(settings)


def test_opening_replaces_the_recipe_at_once_so_that_nobody_reads_half_of_it(
    copy_until: Callable[..., Path], tiny: Recipe
) -> None:
    directory = copy_until(5)
    with open(directory / "recipe.json") as opened_before:
        create_run(tiny.override({"training.steps": "99"}), directory)
        assert json.load(opened_before)["training"]["steps"] == 60
    assert load_recipe_of(directory).training.steps == 99
    assert not list(directory.glob(".*"))


def test_what_is_no_run_or_has_no_checkpoint_is_said_so(tmp_path: Path, copy_until: Callable[..., Path]) -> None:
    with pytest.raises(CheckpointError, match=r"is not a run: it has no recipe\.json"):
        load_model(tmp_path)
    with pytest.raises(CheckpointError, match="has no checkpoint yet"):
        load_model(copy_until(0))


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path, tiny: Recipe) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=r"cannot make the directory .*file/run: Not a directory"):
        create_run(tiny, tmp_path / "file" / "run")


def started(command: Any, directory: Path, lines: int) -> subprocess.Popen:
    """Start training in `directory`; return the process when so many lines of metrics are written, or it has ended."""
    process = command.start(directory)
    while process.poll() is None and len(read_metrics(directory / "metrics.jsonl")) < lines:
        time.sleep(0.005)
    return process


def test_ctrl_c_ends_a_run_with_a_word_and_the_same_command_goes_on(
    command: Any, undisturbed: Path, assert_same_run: Callable, tmp_path: Path
) -> None:
    directory = tmp_path / "run"
    process = started(command, directory, lines=8)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
    output, errors = process.communicate()
    assert process.returncode == 130
    assert errors.strip() == "castalia: stopped; the same command goes on from the last checkpoint"
    assert "Traceback" not in output + errors
    assert 8 <= len(read_metrics(directory / "metrics.jsonl")) < 60
    assert command.run(directory).returncode == 0
    assert_same_run(directory, undisturbed)


def test_a_second_process_is_kept_out_of_a_run(
    command: Any, undisturbed: Path, assert_same_run: Callable, tmp_path: Path
) -> None:
    directory = tmp_path / "run"
    first = started(command, directory, lines=3)
    os.killpg(first.pid, signal.SIGSTOP)
    second = command.run(directory)
    os.killpg(first.pid, signal.SIGCONT)
    assert second.returncode == 1 and second.stderr.strip().endswith("is being trained by another process")
    first.communicate()
    assert first.returncode == 0
    assert_same_run(directory, undisturbed)


def test_the_tokenizer_learns_from_calls_too(tiny: Recipe, tmp_path: Path) -> None:
    lengths = []
    for acting in ("0", "1"):
        create_run(tiny.override({"data.acting": acting}), tmp_path / acting)
        lengths.append(len(load_perception(tmp_path / acting).tokenizer.encode("calculator")))
    assert lengths[1] < lengths[0]
