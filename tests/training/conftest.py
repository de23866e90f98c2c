"""A tiny recipe in a file, the real command in real processes, and a run that nobody disturbed."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from castalia.recipes import load_recipe
from castalia.training.metrics import read_metrics
from castalia.training.pretrain import pretrain

RECIPE = '''"""The smallest run that is one: a family, two layers, sixty steps."""

from castalia.data.mixture import DataConfig
from castalia.data.stream import Feed
from castalia.model.config import ModelConfig
from castalia.training.config import TrainingConfig
from castalia.training.recipe import Recipe


def recipe():
    return Recipe(
        name="tiny",
        vocab_size=320,
        model=ModelConfig(width=32, layers=2, heads=2),
        data=DataConfig(mixture={"countdown": 1.0}, difficulties=(1,)),
        feed=Feed(rows=4, length=64, streams=2),
        training=TrainingConfig(
            steps=60,
            warmup_steps=5,
            compile=False,
            threads=1,
            log_every=1,
            evaluate_every=20,
            checkpoint_every=5,
            keep_checkpoints=12,
        ),
    )
'''


@dataclass
class Command:
    """The command as people start it, with the tiny recipe; every process it starts is ended at the end of the test."""

    recipe: Path
    started: list[subprocess.Popen]

    def start(self, directory: Path, *arguments: str, processes: int = 1, **options: Any) -> subprocess.Popen:
        """Start training in `directory`, in a process group of its own, by torchrun if `processes` are several."""
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        line = [sys.executable, *(launcher if processes > 1 else []), "-m", "castalia", "pretrain", str(self.recipe)]
        line += ["--out", str(directory), *arguments]
        process = subprocess.Popen(
            line,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            **options,
        )
        self.started.append(process)
        return process

    def run(self, directory: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess:
        """Train in `directory` to the end; return status, output and errors."""
        process = self.start(directory, *arguments, **options)
        output, errors = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def close(self) -> None:
        """End what still runs, workers too."""
        for process in self.started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


@pytest.fixture(scope="session")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.py"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def command(recipe_file: Path) -> Any:
    """Yield the command that trains the tiny recipe."""
    command = Command(recipe_file, [])
    yield command
    command.close()


@pytest.fixture(scope="session")
def undisturbed(recipe_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a finished run of the tiny recipe, all its checkpoints kept; not to be changed."""
    directory = tmp_path_factory.mktemp("undisturbed") / "run"
    done = Command(recipe_file, []).run(directory)
    assert done.returncode == 0, done.stderr
    return directory


@pytest.fixture
def copy_until(undisturbed: Path, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that copies a run (default: the undisturbed one) as it was at `step`, under `parent`."""

    def copy(step: int, parent: Path = tmp_path, run: Path = undisturbed) -> Path:
        directory = parent / f"copy-of-{run.name}"
        shutil.copytree(run, directory)
        for checkpoint in (directory / "checkpoints").iterdir():
            if int(checkpoint.name.removeprefix("step-")) > step:
                shutil.rmtree(checkpoint)
        return directory

    return copy


@pytest.fixture
def finish(recipe_file: Path) -> Any:
    """Yield a function that trains in a directory to the end, in this process, and returns the messages."""
    threads = torch.get_num_threads()

    def train(directory: Path) -> list[str]:
        messages: list[str] = []
        pretrain(load_recipe(str(recipe_file)), directory, warn=messages.append)
        return messages

    yield train
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def lines() -> Callable[[Path], list[dict]]:
    """Return a function that reads a run's metrics without what the clock says."""
    return lambda directory: [
        {name: value for name, value in line.items() if name != "clock"}
        for line in read_metrics(directory / "metrics.jsonl")
    ]


@pytest.fixture(scope="session")
def assert_same_run(lines: Callable[[Path], list[dict]]) -> Callable[[Path, Path], None]:
    """Return a function that compares two runs bit by bit: metrics without the clock, and the newest checkpoint.

    All of it is compared: weights, what the optimizers remember, the state of the random generator.
    """

    def compare(directory: Path, other: Path) -> None:
        assert lines(directory) == lines(other)
        ours, theirs = (max((d / "checkpoints").glob("step-*")) for d in (directory, other))
        assert ours.name == theirs.name
        for file in ("model", "optimizer", "random"):
            assert_equal_tensors(ours / f"{file}.safetensors", theirs / f"{file}.safetensors")

    return compare


def assert_equal_tensors(file: Path, other: Path) -> None:
    ours, theirs = load_file(file), load_file(other)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name
