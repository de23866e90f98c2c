"""Homework makes a model better, goes on as if it had never been killed, and is the same on many workers."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from castalia.engine.engine import Engine
from castalia.engine.request import Sampling
from castalia.errors import CheckpointError, RecipeError
from castalia.recipes import load_homework
from castalia.rl.cluster import RayRollouts, deal
from castalia.rl.guards import CollapseError
from castalia.rl.homework import Homework
from castalia.rl.rollouts import Prompt, roll_out
from castalia.rl.run import is_outdated, open_homework, practise
from castalia.tasks.countdown import Countdown
from castalia.tasks.task import Example, Score
from castalia.training.checkpoint import list_checkpoints
from castalia.training.metrics import read_metrics
from castalia.training.run import load_model

SMALL = {
    "practice.tasks": "countdown:1", "practice.difficulties": "1", "practice.prompts": "8", "practice.rollouts": "6",
    "practice.tokens": "40", "measure.questions": "10", "measure.samples": "16", "length": "96", "rows": "8",
    "training.steps": "12", "training.evaluate_every": "6", "training.checkpoint_every": "4",
    "training.compile": "false", "training.threads": "1", "training.keep_checkpoints": "20",
}  # fmt: skip


@pytest.fixture
def homework() -> Homework:
    return load_homework("pocket").override(SMALL)


def lines(directory: Path) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in line.items() if name != "clock"}
        for line in read_metrics(directory / "metrics.jsonl")
    ]


def assert_same_run(directory: Path, other: Path) -> None:
    assert lines(directory) == lines(other)
    ours, theirs = (list_checkpoints(d / "checkpoints")[-1] for d in (directory, other))
    assert ours.name == theirs.name
    for file in ("model", "optimizer"):
        one, two = (load_file(path / f"{file}.safetensors") for path in (ours, theirs))
        assert one.keys() == two.keys() and all(torch.equal(tensor, two[name]) for name, tensor in one.items())


def start(source: Path, directory: Path, *more: str, processes: int = 1, **settings: str) -> subprocess.Popen:
    """Start the command as people do."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    line = [sys.executable, *(launcher if processes > 1 else []), "-m", "castalia", "rl", "pocket"]
    line += ["--from", str(source), "--out", str(directory), *more]
    line += ["--set", *(f"{name}={value}" for name, value in (SMALL | settings).items())]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
                            env=os.environ | {"OMP_NUM_THREADS": "1"})  # fmt: skip


class Minus(Countdown):
    """Rewards every answer that takes one number from another."""

    def score(self, example: Example, reply: str, index: int = 0) -> Score:
        return Score(float("-" in reply))


@pytest.mark.parametrize("algorithm", ["mean_baseline", "grpo", "maxrl", "cispo"])
def test_what_is_rewarded_becomes_commoner(
    schooled: Path, homework: Homework, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    monkeypatch.setattr("castalia.rl.run.build_task", lambda name: Minus())
    longer = {"training.steps": "30", "training.evaluate_every": "30", "training.matrix_lr": "0.004"}
    practise(homework.override(longer | {"practice.algorithm": algorithm}), schooled, tmp_path / "run")
    first, last = (line["pass"]["held_out"]["countdown"] for line in lines(tmp_path / "run") if "pass" in line)
    assert first["1"] < 0.6 and last["1"] > first["1"] + 0.25, (first, last)
    assert max(line["sampler_gap"] for line in lines(tmp_path / "run")[1:]) < 1e-5
    load_model(tmp_path / "run")


@pytest.mark.parametrize("times", [3, pytest.param(15, marks=pytest.mark.slow)])
def test_killed_in_any_phase_it_ends_as_if_undisturbed(schooled: Path, tmp_path: Path, times: int) -> None:
    undisturbed = start(schooled, tmp_path / "undisturbed")
    assert undisturbed.wait() == 0, undisturbed.communicate()
    moments, kills, directory = random.Random(times), 0, tmp_path / "killed"
    while True:
        process = start(schooled, directory)
        seen = len(lines(directory)) if (directory / "metrics.jsonl").exists() else 0
        while process.poll() is None and kills < times:
            if (directory / "metrics.jsonl").exists() and len(lines(directory)) > seen:
                time.sleep(moments.uniform(0, 0.6))
                process.kill()
                kills += 1
            time.sleep(0.01)
        errors = process.communicate()[1]
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, errors
    assert kills == times
    assert_same_run(directory, tmp_path / "undisturbed")


def test_a_run_that_collapses_is_stopped_at_its_last_good_checkpoint(
    schooled: Path, homework: Homework, tmp_path: Path
) -> None:
    wild = homework.override({"training.matrix_lr": "3", "training.other_lr": "3", "guards.patience": "2",
                              "training.steps": "200", "training.checkpoint_every": "1"})  # fmt: skip
    with pytest.raises(CollapseError, match=r"stopped at step|nothing is left") as stopped:
        practise(wild, schooled, tmp_path / "run")
    kept = [int(path.name.removeprefix("step-")) for path in list_checkpoints(tmp_path / "run" / "checkpoints")]
    assert max(kept) <= max(1, stopped.value.good)


def test_who_has_another_homework_or_none_is_told(schooled: Path, homework: Homework, tmp_path: Path) -> None:
    done = replace(homework, training=replace(homework.training, steps=1))
    practise(done, schooled, tmp_path / "run")
    with pytest.raises(RecipeError, match="holds another homework"):
        practise(done.override({"practice.algorithm": "grpo"}), schooled, tmp_path / "run")
    with pytest.raises(RecipeError, match="no homework: choose another"):
        practise(done, schooled, schooled)
    with pytest.raises(CheckpointError, match="is not a run"):
        practise(done, tmp_path / "nowhere", tmp_path / "other")
    with pytest.raises(RecipeError, match=r"school has no function homework\(\)"):
        load_homework("school")
    with pytest.raises(RecipeError, match="did you mean 'medium'"):
        practise(done.override({"practice.ways": "medum:1"}), schooled, tmp_path / "misspelt")


def test_rows_that_nothing_fits_are_refused_with_what_they_would_have_to_hold(
    schooled: Path, homework: Homework, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=r"no rollout fits a row of length=8: the shortest has \d+"):
        practise(homework.override({"length": "8"}), schooled, tmp_path / "run")


def test_a_run_that_was_killed_as_it_was_made_can_still_be_begun(
    schooled: Path, homework: Homework, tmp_path: Path
) -> None:
    open_homework(homework, schooled, tmp_path / "run")
    for name in ("recipe.json", "tokenizer.json"):
        (tmp_path / "run" / name).unlink()
    open_homework(homework, schooled, tmp_path / "run")
    assert (tmp_path / "run" / "recipe.json").read_text() == (schooled / "recipe.json").read_text()


def test_homework_is_outdated_once_school_goes_on(schooled: Path, homework: Homework, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(schooled, source)
    open_homework(homework, source, source / "homework")
    assert not is_outdated(source / "homework", source)
    (source / "checkpoints" / "step-00999999").mkdir()
    assert is_outdated(source / "homework", source)
    with pytest.raises(RecipeError, match="holds another homework"):
        open_homework(homework, source, source / "homework")


def test_more_workers_than_cores_are_refused_and_not_waited_for(schooled: Path) -> None:
    ray = pytest.importorskip("ray")
    try:
        with pytest.raises(RecipeError, match="5000 workers need as many cores"):
            RayRollouts(schooled, 5000, 64 << 20)
    finally:
        ray.shutdown()


def test_ray_workers_draw_what_one_engine_draws(schooled: Path) -> None:
    pytest.importorskip("ray")
    model, perception = load_model(schooled)
    prompts = [Prompt("countdown", Countdown().sample(seed, 1)) for seed in range(7)]
    alone = roll_out(Engine(model, perception), prompts, 3, Sampling(1.0, seed=5))
    workers = RayRollouts(schooled, 2, 64 << 20)
    try:
        workers.load(dict(model.state_dict()))
        together = workers(prompts, 3, Sampling(1.0, seed=5))
    finally:
        workers.close()
        workers.ray.shutdown()
    tokens = [[[rollout.reply.tokens for rollout in its] for its in groups] for groups in (alone, together)]
    assert tokens[0] == tokens[1]


def test_two_processes_and_two_ray_workers_learn_what_one_process_learns(schooled: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    settings = {"training.steps": "3", "training.checkpoint_every": "3"}
    alone = start(schooled, tmp_path / "alone", **settings)
    assert alone.wait() == 0, alone.communicate()
    many = start(schooled, tmp_path / "many", "--workers", "2", processes=2, **settings)
    output, errors = many.communicate()
    assert many.returncode == 0, errors
    assert output.count("practised 3 steps") == 1, "one process speaks"
    for ours, theirs in zip(lines(tmp_path / "many"), lines(tmp_path / "alone"), strict=True):
        for name in {"loss", "accuracy", "reward"} & ours.keys():
            assert ours[name] == pytest.approx(theirs[name], abs=1e-4), (name, ours["step"])


@pytest.mark.parametrize(("batches", "world"), [(1, 2), (3, 2), (4, 2), (5, 4)])
def test_batches_are_dealt_out_evenly_and_what_fills_up_teaches_nothing(
    batch: Callable[[float], Any], batches: int, world: int
) -> None:
    whole = [batch(float(number + 1)) for number in range(batches)]
    shares = [deal(whole, rank, world) for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    weights = sorted(float(np.abs(each.weights_L).sum()) for share in shares for each in share)
    assert [weight for weight in weights if weight] == sorted(float(b.weights_L.sum()) for b in whole)


@pytest.fixture
def batch() -> Callable[[float], Any]:
    """Return a function that makes a batch of such weights."""
    from castalia.perception.packing import collate
    from tests.rl.conftest import reply

    def make(weight: float) -> Any:
        sequence = reply([1, 2, 3]).sequence
        return collate([[replace(sequence, weights_T=sequence.weights_T * weight)]], 16, 0)

    return make
