"""Two processes learn what one learns, and each goes on with the other's checkpoints."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from castalia.data.stream import Feed, Loader
from castalia.errors import RecipeError

EQUAL = ("step", "positions", "documents", "lr_factor")


@pytest.fixture
def assert_equal_losses(lines: Callable[[Path], list[dict]], undisturbed: Path) -> Callable[[Path], None]:
    """Return a function that holds a run's losses against those of the undisturbed one, from the first to the last."""

    def compare(directory: Path) -> None:
        for ours, theirs in zip(lines(directory), lines(undisturbed), strict=True):
            assert [ours[name] for name in EQUAL] == [theirs[name] for name in EQUAL]
            assert ours.keys() == theirs.keys()
            for name in {"loss", "held_out_loss"} & ours.keys():
                assert ours[name] == pytest.approx(theirs[name], rel=0, abs=1e-4), (name, ours["step"])

    return compare


def test_two_processes_lose_what_one_loses_and_one_goes_on_where_they_were(
    command: Any, copy_until: Callable[..., Path], assert_equal_losses: Callable, tmp_path: Path
) -> None:
    done = command.run(tmp_path / "two", processes=2)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained 60 steps") == 1, "one process speaks"
    assert_equal_losses(tmp_path / "two")
    directory = copy_until(40, run=tmp_path / "two")
    done = command.run(directory)
    assert done.returncode == 0, done.stderr
    assert_equal_losses(directory)


def test_two_processes_go_on_where_one_was(
    command: Any, copy_until: Callable[..., Path], assert_equal_losses: Callable
) -> None:
    directory = copy_until(40)
    done = command.run(directory, processes=2)
    assert done.returncode == 0, done.stderr
    assert_equal_losses(directory)


def test_two_processes_of_which_one_sees_no_picture_learn_what_one_learns(
    command: Any, lines: Callable[[Path], list[dict]], tmp_path: Path
) -> None:
    seldom = ("--set", "data.mixture=countdown:9,charts:1", "feed.length=160", "training.steps=20")
    for name, processes in (("one", 1), ("two", 2)):
        done = command.run(tmp_path / name, *seldom, processes=processes)
        assert done.returncode == 0, done.stderr
    one, two = lines(tmp_path / "one"), lines(tmp_path / "two")
    assert [line["loss"] for line in two] == pytest.approx([line["loss"] for line in one], rel=0, abs=1e-4)


def test_streams_that_processes_cannot_share_evenly_are_refused_with_the_way_out() -> None:
    with pytest.raises(
        RecipeError, match=r"2 streams cannot be shared by 3 processes: --set feed\.streams=3 feed\.rows=6"
    ):
        Loader(pytest.fail, Feed(rows=6, length=64, streams=2), world=3)
