"""Work side by side: all of it is done, errors are told, and nobody is left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from castalia.errors import CastaliaError, DataError
from castalia.processes import side_by_side

LASTS = "lasts"
"""Whose work takes a minute, which no test waits for; the others wait until it has begun."""


def note(path: Path) -> None:
    path.write_text(f"{os.getpid()} {torch.get_num_threads()}")


def fail(path: Path) -> None:
    note(path)
    while path.name != LASTS and not (path.parent / LASTS).exists():
        time.sleep(0.02)
    if path.name == "bad":
        raise DataError("bad data")
    if path.name == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def ended(pid: int) -> bool:
    """Say whether a process ends within some seconds."""
    for _ in range(500):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_all_is_done_by_others_with_a_share_of_the_cores(tmp_path: Path) -> None:
    paths = [tmp_path / str(number) for number in range(3)]
    side_by_side(note, paths, jobs=2)
    said = [[int(word) for word in path.read_text().split()] for path in paths]
    assert os.getpid() not in [pid for pid, _ in said]
    assert {threads for _, threads in said} == {max(1, (os.cpu_count() or 1) // 2)}


@pytest.mark.parametrize(("name", "message"), [("bad", "bad data"), ("dies", "ended before its work was done")])
def test_what_fails_is_told_and_ends_the_others(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(CastaliaError, match=message):
        side_by_side(fail, [tmp_path / LASTS, tmp_path / name], 2)
    assert ended(int((tmp_path / LASTS).read_text().split()[0]))


PROGRAM = """
from pathlib import Path
from test_processes import fail
from castalia.processes import side_by_side

if __name__ == "__main__":
    side_by_side(fail, [Path("lasts"), Path("other")], 2)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_nobody_is_left_behind(tmp_path: Path, how: signal.Signals) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    process = subprocess.Popen(
        [sys.executable, "program.py"], cwd=tmp_path, env=environment, start_new_session=True,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    paths = [tmp_path / LASTS, tmp_path / "other"]
    while process.poll() is None and not all(path.exists() and path.read_text() for path in paths):
        time.sleep(0.02)
    if how == signal.SIGINT:
        os.killpg(process.pid, how)  # as a terminal does: to those at work, too
    else:
        process.send_signal(how)
    _, errors = process.communicate()
    assert process.returncode == -how and errors.count("Traceback") == (how == signal.SIGINT)
    assert all(ended(int(path.read_text().split()[0])) for path in paths)
