"""A run may be killed at any moment: what comes out is, bit for bit, what an undisturbed run gives."""

import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def trace(directory: Path) -> tuple:
    """Return what a process that does something in `directory` changes."""
    metrics = directory / "metrics.jsonl"
    size = metrics.stat().st_size if metrics.exists() else 0
    checkpoints = directory / "checkpoints"
    return directory.exists(), size, sorted(p.name for p in checkpoints.iterdir()) if checkpoints.exists() else []


def kill_soon(process: subprocess.Popen, directory: Path, before: tuple, seconds: float) -> bool:
    """Kill `process` with SIGKILL some `seconds` after its first trace in `directory`; say whether it still ran."""
    while process.poll() is None and trace(directory) == before:
        time.sleep(0.002)
    time.sleep(seconds)
    process.kill()
    process.communicate()
    return process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("times", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_many_times_at_random_moments_the_runs_end_as_if_undisturbed(
    command: Any, undisturbed: Path, assert_same_run: Callable, tmp_path: Path, times: int
) -> None:
    """Two runs at a time, each killed and started again, until there were so many kills; then all of them may end."""
    moments = random.Random(times)
    kills, made = 0, []
    running: dict[Path, tuple] = {}
    while kills < times:
        while len(running) < 2:
            made.append(directory := tmp_path / f"run-{len(made)}")
            running[directory] = (command.start(directory), trace(directory))
        for directory, (process, before) in list(running.items()):
            if kill_soon(process, directory, before, moments.uniform(0, 0.5)):
                kills += 1
                running[directory] = (command.start(directory), trace(directory))
            else:
                assert process.returncode == 0
                del running[directory]
    for process, _ in running.values():
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    for directory in made:
        assert_same_run(directory, undisturbed)
