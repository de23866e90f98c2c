"""A full disk ends a run with one clear sentence and harms nothing; when there is room again, the run goes on.

The disk is a real one of a few megabytes where this process may mount (root in a container); elsewhere the limit is the
size of a file, which the kernel enforces too.
"""

import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from castalia.errors import CheckpointError
from castalia.training.checkpoint import list_checkpoints, load_checkpoint
from castalia.training.metrics import Metrics, read_metrics

needs_mount = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="only root may mount a disk")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a mounted disk of 64 megabytes."""
    point = tmp_path / "disk"
    point.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", point], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount a disk here: {done.stderr.strip()}")
    yield point
    subprocess.run(["umount", "-l", point], check=True)


def fill(disk: Path, leave: int) -> Path:
    """Fill `disk` up to `leave` bytes; return the file that takes the room."""
    filler = disk / "filler"
    with open(filler, "wb") as file:
        free = os.statvfs(disk)
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - leave)
    return filler


def assert_one_clear_sentence(done: subprocess.CompletedProcess, *words: str) -> None:
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    (message,) = [line for line in done.stderr.splitlines() if line.startswith("castalia: ")]
    assert all(word in message for word in words), message


def assert_all_whole(directory: Path) -> None:
    checkpoints = list_checkpoints(directory / "checkpoints")
    assert checkpoints
    for path in checkpoints:
        load_checkpoint(path)


@needs_mount
def test_no_room_for_a_checkpoint(
    disk: Path, command: Any, copy_until: Callable[..., Path], undisturbed: Path, assert_same_run: Callable
) -> None:
    directory = copy_until(20, disk)
    newest = list_checkpoints(directory / "checkpoints")[-1]
    size = sum(file.stat().st_size for file in newest.iterdir())
    filler = fill(disk, leave=size * 5 // 2)
    done = command.run(directory)
    assert_one_clear_sentence(done, "cannot write a checkpoint", "No space left on device", "is intact")
    assert_all_whole(directory)
    assert list_checkpoints(directory / "checkpoints")[-1].name == "step-00000030"
    filler.unlink()
    assert command.run(directory).returncode == 0
    assert_same_run(directory, undisturbed)


@needs_mount
def test_no_room_for_one_more_line_of_metrics(disk: Path) -> None:
    filler = fill(disk, leave=8192)
    metrics = Metrics(disk / "metrics.jsonl")
    with pytest.raises(CheckpointError, match=r"cannot write .*metrics\.jsonl: No space left on device"):
        for step in range(1000):
            metrics.write({"step": step})
    assert read_metrics(metrics.path) == [{"step": i} for i in range(step)]
    with pytest.raises(CheckpointError, match="No space left"):
        metrics.rewind(100)
    assert len(read_metrics(metrics.path)) == step
    filler.unlink()
    metrics.rewind(100)
    assert [line["step"] for line in read_metrics(metrics.path)] == list(range(101))


@needs_mount
def test_no_room_to_take_back_metrics(
    disk: Path,
    command: Any,
    copy_until: Callable[..., Path],
    undisturbed: Path,
    assert_same_run: Callable,
    finish: Callable,
) -> None:
    directory = copy_until(30, disk)
    filler = fill(disk, leave=0)
    done = command.run(directory)
    assert_one_clear_sentence(done, "metrics.jsonl", "No space left on device")
    assert_all_whole(directory)
    filler.unlink()
    finish(directory)
    assert_same_run(directory, undisturbed)


@needs_mount
def test_no_room_for_a_new_run(
    disk: Path, command: Any, undisturbed: Path, assert_same_run: Callable, finish: Callable
) -> None:
    filler = fill(disk, leave=0)
    done = command.run(disk / "run")
    assert_one_clear_sentence(done, str(disk / "run"), "No space left on device")
    filler.unlink()
    finish(disk / "run")
    assert_same_run(disk / "run", undisturbed)


def test_files_that_may_not_grow_as_large_as_a_checkpoint(
    command: Any, copy_until: Callable[..., Path], undisturbed: Path, assert_same_run: Callable, finish: Callable
) -> None:
    directory = copy_until(50)
    limit = (directory / "checkpoints" / "step-00000050" / "model.safetensors").stat().st_size // 2
    done = command.run(directory, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert_one_clear_sentence(done, "cannot write a checkpoint", "File too large")
    assert_all_whole(directory)
    finish(directory)
    assert_same_run(directory, undisturbed)
