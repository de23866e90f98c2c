"""A damaged checkpoint is recognised, whatever is damaged, and the run goes on from the one before."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from castalia.errors import CheckpointError
from castalia.training.checkpoint import (
    flatten_optimizer,
    list_checkpoints,
    load_checkpoint,
    load_newest,
    save_checkpoint,
    unflatten_optimizer,
)

FILES = ("model.safetensors", "optimizer.safetensors", "random.safetensors", "state.json")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


DAMAGES = {"a flipped bit": flip, "a truncated file": truncate, "an empty file": empty, "a missing file": Path.unlink}


def saved(directory: Path, step: int, keep: int = 3) -> Path:
    tensors = {"model": {"w": torch.full((4,), float(step))}, "random": {"cpu": torch.arange(9)}}
    return save_checkpoint(directory, step, tensors, {"step": step, "note": "é"}, keep)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_any_damage_to_any_file_is_recognised_by_name_and_the_one_before_is_used(
    copy_until: Callable[..., Path], file: str, damage: str
) -> None:
    checkpoints = copy_until(20) / "checkpoints"
    assert sorted(path.name for path in list_checkpoints(checkpoints)[-1].iterdir()) == sorted(FILES)
    DAMAGES[damage](checkpoints / "step-00000020" / file)
    with pytest.raises(CheckpointError, match=r"^checkpoint step-00000020 is damaged: "):
        load_checkpoint(checkpoints / "step-00000020")
    messages: list[str] = []
    loaded = load_newest(checkpoints, messages.append)
    assert loaded is not None
    assert loaded[1]["progress"]["step"] == 15
    (message,) = messages
    assert message.startswith("checkpoint step-00000020 is damaged")
    assert message.endswith("using the one before it")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_run_with_a_damaged_newest_checkpoint_ends_as_if_it_were_whole(
    copy_until: Callable[..., Path],
    undisturbed: Path,
    assert_same_run: Callable,
    finish: Callable[[Path], list[str]],
    damage: str,
) -> None:
    directory = copy_until(50)
    file = FILES[list(DAMAGES).index(damage)]
    DAMAGES[damage](directory / "checkpoints" / "step-00000050" / file)
    (message,) = finish(directory)
    assert message.startswith("checkpoint step-00000050 is damaged")
    assert_same_run(directory, undisturbed)


def test_if_all_are_damaged_the_command_ends_with_one_clear_error(
    copy_until: Callable[..., Path], command: Any, lines: Callable
) -> None:
    directory = copy_until(10)
    before = lines(directory)
    for path in list_checkpoints(directory / "checkpoints"):
        flip(path / "model.safetensors")
    done = command.run(directory)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("castalia: every checkpoint in ")
    assert "damaged" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert lines(directory) == before


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("whole"), 1)


@given(data=st.data())
def test_no_flipped_bit_goes_unnoticed_or_raises_anything_else(whole: Path, data: st.DataObject) -> None:
    expected_tensors, expected_state = load_checkpoint(whole)
    file = whole / data.draw(st.sampled_from(sorted(p.name for p in whole.iterdir())))
    original = file.read_bytes()
    content = bytearray(original)
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(content)
    try:
        tensors, state = load_checkpoint(whole)
        # White space of JSON may change without harm; what is read may not.
        assert file.name == "state.json"
        assert state == expected_state
        assert all(torch.equal(tensors[f][n], t) for f, named in expected_tensors.items() for n, t in named.items())
    except CheckpointError as error:
        assert "step-00000001 is damaged" in str(error)
    finally:
        file.write_bytes(original)


def test_what_is_saved_is_loaded_exactly(tmp_path: Path) -> None:
    special = torch.tensor([0.0, -0.0, float("nan"), float("inf"), 1e-45])
    tensors = {"model": {"a.b": special, "t": torch.arange(6).view(2, 3).T}, "random": {"cpu": torch.get_rng_state()}}
    path = save_checkpoint(tmp_path, 7, tensors, {"x": [1, 0.1, None, "é"]}, 3)
    assert path == tmp_path / "step-00000007"
    loaded, state = load_checkpoint(path)
    assert state == {"x": [1, 0.1, None, "é"]}
    for stem, named in tensors.items():
        for name, tensor in named.items():
            assert loaded[stem][name].contiguous().view(torch.uint8).equal(tensor.contiguous().view(torch.uint8))


def test_the_newest_are_kept_and_older_ones_deleted(tmp_path: Path) -> None:
    for step in (5, 10, 15, 20):
        saved(tmp_path, step, keep=2)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-00000015", "step-00000020"]


def test_a_new_checkpoint_is_not_deleted_in_favour_of_damaged_ones_of_later_steps(tmp_path: Path) -> None:
    for step in (5, 10, 15):
        saved(tmp_path, step)
    for step in (10, 15):
        truncate(tmp_path / f"step-{step:08d}" / "model.safetensors")
    for step in (6, 7, 8):
        saved(tmp_path, step, keep=2)
        loaded = load_newest(tmp_path, [].append)
        assert loaded is not None
        assert loaded[1]["step"] == step


def test_what_a_killed_save_left_behind_is_neither_taken_for_a_checkpoint_nor_kept(tmp_path: Path) -> None:
    saved(tmp_path, 5)
    shutil.copytree(tmp_path / "step-00000005", tmp_path / ".partial-00000008")
    (tmp_path / ".partial-00000008" / "state.json").unlink()
    loaded = load_newest(tmp_path, pytest.fail)
    assert loaded is not None
    assert loaded[1]["step"] == 5
    saved(tmp_path, 10)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000005", "step-00000010"]


def test_where_there_is_no_checkpoint_there_is_nothing_to_load(tmp_path: Path) -> None:
    assert load_newest(tmp_path / "none", pytest.fail) is None


def test_an_optimizers_state_is_flattened_and_put_together_again() -> None:
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    state = optimizer.state_dict()
    named = {"state": {str(k): {**v, "plain": 3} for k, v in state["state"].items()}, "param_groups": ["groups"]}
    tensors, plain = flatten_optimizer(named)
    assert all(isinstance(value, torch.Tensor) for value in tensors.values())
    assert "0/exp_avg" in tensors
    again = unflatten_optimizer(tensors, json.loads(json.dumps(plain)))
    assert again["param_groups"] == ["groups"]
    assert again["state"].keys() == named["state"].keys()
    assert again["state"]["0"].keys() == named["state"]["0"].keys()
    assert again["state"]["1"]["exp_avg_sq"].equal(state["state"][1]["exp_avg_sq"])
