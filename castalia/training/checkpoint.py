"""Checkpoints: atomic, checksummed, without pickle; everything that a run needs to go on bit for bit.

A checkpoint is a directory ``step-000123`` with ``model.safetensors``, ``optimizer.safetensors`` and ``state.json``,
whose last entry lists the SHA-256 of the others. It is written beside its final name and renamed into place.
"""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from castalia.errors import CheckpointError

STATE = "state.json"


def save_checkpoint(
    directory: Path, step: int, tensors: dict[str, dict[str, Tensor]], state: dict[str, Any], keep: int
) -> Path:
    """Write a checkpoint of `tensors` (file stem -> name -> tensor) and `state`; keep `keep` of them, the newest.

    Raises CheckpointError if it cannot be written; checkpoints written before stay as they are.
    """
    final = directory / f"step-{step:08d}"
    partial = directory / f".partial-{step:08d}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        checksums = {}
        for stem, named in tensors.items():
            content = save({name: tensor.contiguous() for name, tensor in named.items()})
            checksums[f"{stem}.safetensors"] = hashlib.sha256(content).hexdigest()
            _write(partial / f"{stem}.safetensors", content)
        body = json.dumps(state, sort_keys=True)
        checksums["state"] = hashlib.sha256(body.encode()).hexdigest()
        _write(partial / STATE, json.dumps({"state": body, "checksums": checksums}).encode())
        shutil.rmtree(final, ignore_errors=True)
        os.replace(partial, final)
        _sync(directory)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise CheckpointError(
            f"cannot write a checkpoint in {directory}: {error.strerror or error}; the last good one is intact"
        ) from error
    checkpoints = list_checkpoints(directory)
    written = checkpoints.index(final)
    # Those of later steps are damaged, or the run would have gone on from them; partial ones are of a killed process.
    stale = [
        *checkpoints[: max(0, written + 1 - max(1, keep))],
        *checkpoints[written + 1 :],
        *directory.glob(".partial-*"),
    ]
    for old in stale:
        shutil.rmtree(old, ignore_errors=True)
    return final


def replace_file(path: Path, text: str) -> None:
    """Write `text` to `path` at once: whoever reads finds the old content or the new, even after a kill or a full disk.

    Raises CheckpointError if it cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _write(partial, text.encode())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise CheckpointError(f"cannot write {path}: {error.strerror or error}") from error


def _write(path: Path, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def list_checkpoints(directory: Path) -> list[Path]:
    """Return the finished checkpoints, oldest first."""
    return sorted(directory.glob("step-*"))


def load_checkpoint(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Return tensors and state of one checkpoint; raises CheckpointError if anything in it is damaged."""
    try:
        wrapped = json.loads((path / STATE).read_text())
        body, checksums = wrapped["state"], wrapped["checksums"]
        if hashlib.sha256(body.encode()).hexdigest() != checksums.pop("state"):
            raise CheckpointError(f"checkpoint {path.name} is damaged: {STATE} does not match its checksum")
        tensors = {}
        for name, checksum in checksums.items():
            content = (path / name).read_bytes()
            if hashlib.sha256(content).hexdigest() != checksum:
                raise CheckpointError(f"checkpoint {path.name} is damaged: {name} does not match its checksum")
            tensors[Path(name).stem] = load_file(path / name)
        return tensors, json.loads(body)
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(f"checkpoint {path.name} is damaged: {error}") from error


def say(text: str) -> None:
    """Print a warning where it is in nobody's way."""
    print(text, file=sys.stderr)


def load_newest(
    directory: Path, warn: Callable[[str], None] = say
) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]] | None:
    """Return the newest checkpoint that is whole, or None where there is none.

    Damaged ones are passed over with a message to `warn`; raises CheckpointError if all are damaged.
    """
    checkpoints = list_checkpoints(directory)
    for path in reversed(checkpoints):
        try:
            return load_checkpoint(path)
        except CheckpointError as error:
            warn(f"{error}; using the one before it")
    if checkpoints:
        raise CheckpointError(f"every checkpoint in {directory} is damaged")
    return None


def flatten_optimizer(state: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Split an optimizer's full state dict into tensors (``name/entry``) and plain settings."""
    tensors, plain = {}, {}
    for name, entries in state["state"].items():
        for key, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"{name}/{key}"] = value
            else:
                plain[f"{name}/{key}"] = value
    return tensors, {"entries": plain, "groups": state["param_groups"]}


def unflatten_optimizer(tensors: dict[str, Tensor], plain: dict[str, Any]) -> dict[str, Any]:
    """Undo `flatten_optimizer`."""
    state: dict[str, dict[str, Any]] = {}
    for path, value in {**tensors, **plain["entries"]}.items():
        name, key = path.rsplit("/", 1)
        state.setdefault(name, {})[key] = value
    return {"state": state, "param_groups": plain["groups"]}


def random_state() -> Tensor:
    """Return the state of torch's generator on the CPU."""
    return torch.get_rng_state()
