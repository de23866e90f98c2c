"""Metrics: one JSON object a line; what a crash tore or a resumed run takes back is gone, the rest stays."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castalia.training.metrics import Metrics, read_metrics


@pytest.fixture
def metrics(tmp_path: Path) -> Metrics:
    metrics = Metrics(tmp_path / "metrics.jsonl")
    for step in range(1, 11):
        metrics.write({"step": step, "loss": 1 / step, "clock": {"seconds": step}})
    return metrics


def test_lines_are_read_as_they_were_written(metrics: Metrics) -> None:
    assert read_metrics(metrics.path) == [
        {"step": step, "loss": 1 / step, "clock": {"seconds": step}} for step in range(1, 11)
    ]


def test_where_there_is_no_file_there_are_no_lines_and_nothing_to_take_back(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path / "metrics.jsonl")
    metrics.rewind(3)
    assert read_metrics(metrics.path) == []


@pytest.mark.parametrize("step", [0, 1, 7, 10, 99])
def test_rewinding_drops_the_lines_past_a_step_and_writing_goes_on_there(metrics: Metrics, step: int) -> None:
    metrics.rewind(step)
    metrics.write({"step": step + 1})
    assert [line["step"] for line in read_metrics(metrics.path)] == [*range(1, min(step, 10) + 1), step + 1]


@given(cut=st.integers(1, 60))
def test_a_line_torn_by_a_crash_is_left_out_and_after_rewinding_gone(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("torn") / "metrics.jsonl"
    metrics = Metrics(path)
    for step in (1, 2, 3):
        metrics.write({"step": step, "loss": 2.5, "clock": {"seconds": 1.25}})
    whole = path.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    path.write_bytes(whole[: len(whole) - min(cut, len(last))])
    steps = [1, 2, 3] if cut == 1 else [1, 2]  # a line without its line end is whole
    assert [line["step"] for line in read_metrics(path)] == steps
    metrics.rewind(3)
    metrics.write({"step": 4})
    assert [line["step"] for line in read_metrics(path)] == [*steps, 4]


def test_rewinding_replaces_the_file_at_once_so_that_a_kill_in_between_loses_nothing(metrics: Metrics) -> None:
    with open(metrics.path) as opened_before:
        metrics.rewind(2)
        assert len(opened_before.readlines()) == 10, "the old file is whole until the new one stands in its place"
    assert len(read_metrics(metrics.path)) == 2
    assert [path.name for path in metrics.path.parent.iterdir()] == ["metrics.jsonl"]
