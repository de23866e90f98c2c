"""A run directory: recipe, tokenizer, sources, metrics, checkpoints; made, opened, loaded."""

import contextlib
import dataclasses
import fcntl
import json
import os
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from torch import Tensor

from castalia.data.catalog import build_task, sources_of
from castalia.data.mixture import Mixture
from castalia.document import Call, Document
from castalia.errors import CheckpointError, RecipeError
from castalia.model.decoder import Decoder
from castalia.origin import here
from castalia.perception.perceive import Perception
from castalia.perception.text import Tokenizer
from castalia.training.checkpoint import load_newest, replace_file, save_checkpoint
from castalia.training.recipe import Recipe

HOMEWORK = "homework"
"""Where, in a run's directory, the run of its homework is."""
SOURCES = "sources.json"
"""What the families of a run were made of on the machine where it began."""
STRETCHES = "stretches.json"
"""By what code a run was trained, from which step on: documents may be others afterwards."""
PATIENCE = 3.0
"""Seconds to wait for a run that another process holds: workers of one that was killed end a moment later."""
TOKENIZER_DOCUMENTS = 3000
"""Documents the tokenizer is trained on."""


def create_run(recipe: Recipe, directory: Path, source: Path | None = None) -> Recipe:
    """Make `directory` ready for `recipe`: tokenizer, sources, ``recipe.json``; return the resolved recipe.

    The tokenizer is trained, or taken from the run `source` together with its weights, metrics and count of steps:
    RecipeError if the recipe is of another shape. An existing run is opened instead if its recipe is the same, up to
    how long it trains; otherwise RecipeError.
    """
    path = directory / "recipe.json"
    if path.exists():
        return _reopen(recipe, path)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(f"cannot make the directory {directory}: {error.strerror or error}") from error
    recipe = _begin_with(source, recipe, directory) if source else _begin(recipe, directory)
    replace_file(directory / SOURCES, json.dumps(sources_of(recipe.data.mixture), indent=1))
    replace_file(path, json.dumps(recipe.to_json(), indent=2))
    return recipe


@contextlib.contextmanager
def alone(directory: Path) -> Generator[None]:
    """Keep other processes from training in `directory` meanwhile. Raises RecipeError if one does."""
    opened, patience = os.open(directory, os.O_RDONLY), time.monotonic() + PATIENCE
    try:
        while True:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > patience:
                    raise RecipeError(f"{directory} is being trained by another process") from error
                time.sleep(0.1)
            except OSError:
                break  # a file system without locks
        yield
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(opened, fcntl.LOCK_UN)  # also for workers, who have it open, too, and may outlive this
        os.close(opened)


def _begin(recipe: Recipe, directory: Path) -> Recipe:
    """Train the tokenizer; return the recipe as it resolves the model."""
    # The same whatever the seed: losses a token of runs with several seeds are then of the same tokens.
    mixture = Mixture(dataclasses.replace(recipe.data, seed=0), build_task, perception=recipe.perception)
    texts = (_written(mixture.document(-1 - index)) for index in range(TOKENIZER_DOCUMENTS))
    tokenizer = Tokenizer.train(texts, recipe.vocab_size)
    replace_file(directory / "tokenizer.json", tokenizer.to_json())
    return recipe.resolved(tokenizer.vocab_size)


def _begin_with(source: Path, recipe: Recipe, directory: Path) -> Recipe:
    """Take from `source` what a run goes on from, as its first checkpoint; return the recipe as that resolves it."""
    if (source / "homework.json").exists():
        raise RecipeError(f"{source} is homework alone: name the run that it is in")
    old = load_recipe_of(source)
    new = recipe.resolved(old.model.vocab_size)
    if differing := [
        f"{part}.{name}={value}"
        for part in ("model", "perception")
        for name, value in vars(getattr(old, part)).items()
        if value != getattr(getattr(new, part), name)
    ]:
        raise RecipeError(f"{source} is a model of another shape: --set {' '.join(differing)}")
    state, weights = load_state(source), load_weights(source)
    for name in ("tokenizer.json", STRETCHES, "metrics.jsonl"):
        if (source / name).exists():
            replace_file(directory / name, (source / name).read_text())
    progress = state["progress"]
    # Documents go on behind those that were learned from, one stream after the other.
    following = max(position[-1] for position in state["data"])
    first = {"step": progress["step"], "seconds": progress["seconds"]}
    begun = {"progress": progress, "first": first, "data": [[following + s] for s in range(recipe.feed.streams)]}
    weights = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    save_checkpoint(directory / "checkpoints", progress["step"], {"model": weights}, begun, keep=1)
    return new


def _written(document: Document) -> str:
    """Return all that is written in a document, calls too: what the tokenizer learns from."""
    written = [part.content for part in document if isinstance(part.content, str | Call)]
    return " ".join(item if isinstance(item, str) else f"{item.name} {item.arguments}" for item in written)


def _reopen(recipe: Recipe, path: Path) -> Recipe:
    """Compare a recipe with the one of an existing run; only the length of training may differ."""
    old = Recipe.from_json(json.loads(path.read_text()))
    new = recipe.resolved(old.model.vocab_size)
    free = ("steps", "minutes", "log_every", "checkpoint_seconds", "checkpoint_every", "keep_checkpoints", "tracker")
    same_length = {name: getattr(old.training, name) for name in free}
    if dataclasses.replace(new, training=dataclasses.replace(new.training, **same_length)) != old:
        raise RecipeError(f"{path.parent} holds a run of another recipe: choose another --out, or delete it")
    if new != old:
        steps = new.training.steps
        if steps is not None and steps < (done := _trained(path.parent)):
            raise RecipeError(f"{path.parent} has trained {done} steps already: more --steps, or another --out")
        replace_file(path, json.dumps(new.to_json(), indent=2))
    return new


def _trained(directory: Path) -> int:
    """Return for how many steps a run has been trained, without those of the run that it began with."""
    loaded = load_newest(directory / "checkpoints")
    return loaded[1]["progress"]["step"] - (loaded[1].get("first") or {"step": 0})["step"] if loaded else 0


def load_recipe_of(directory: Path) -> Recipe:
    """Return the resolved recipe of a run; raises CheckpointError if `directory` is not a run."""
    path = directory / "recipe.json"
    if not path.exists():
        raise CheckpointError(f"{directory} is not a run: it has no recipe.json")
    try:
        return Recipe.from_json(json.loads(path.read_text()))
    except ValueError as error:
        raise CheckpointError(f"{path} is no recipe: {error}") from error


def load_sources_of(directory: Path) -> dict[str, list[str]]:
    """Return what the families of a run were made of; {} for a run that has not written it down."""
    path = directory / SOURCES
    return json.loads(path.read_text()) if path.exists() else {}


def begin_stretch(directory: Path, step: int, source: Path | None = None) -> None:
    """Write down that a run is trained by this code from `step` on, if it was not so already; and with the weights of
    which run, if it begins with a `source`.
    """
    known = load_stretches_of(directory)
    stretches = [stretch for stretch in known if stretch["step"] < step]
    begun_with = next((of["source"] for of in known if of["step"] == step and "source" in of), None)
    name = source.name if source else begun_with
    now = {"step": step, **here()} | ({"source": name} if name else {})
    if name or not stretches or stretches[-1]["commit"] != now["commit"]:
        stretches.append(now)
    if stretches != known:
        replace_file(directory / STRETCHES, json.dumps(stretches, indent=1))


def load_stretches_of(directory: Path) -> list[dict[str, Any]]:
    """Return by what code a run was trained, ``[{step, commit, machine, date}]``, each from that step on, and with
    whose weights (``source``) it began there; [] if it has not written it down.
    """
    path = directory / STRETCHES
    return json.loads(path.read_text()) if path.exists() else []


def load_perception(directory: Path) -> Perception:
    """Return the perception of a run: its tokenizer and its cutting of pictures."""
    return Perception(Tokenizer.load(directory / "tokenizer.json"), load_recipe_of(directory).perception)


def load_weights(directory: Path, *, after_school: bool = False) -> dict[str, Tensor]:
    """Return the weights of a run's newest whole checkpoint: of its homework, if it has done any.

    With `after_school` they are as they were before homework. Raises CheckpointError where there are none.
    """
    for part in (directory,) if after_school else (directory / HOMEWORK, directory):
        if (loaded := load_newest(part / "checkpoints")) is not None:
            if after_school and HOMEWORK in loaded[1]:
                raise CheckpointError(f"{directory} was published as it was after its homework, not before")
            return loaded[0]["model"]
    raise CheckpointError(f"{directory} has no checkpoint yet")


def load_state(directory: Path) -> dict[str, Any]:
    """Return how far a run has come, by its newest whole checkpoint. Raises CheckpointError where there is none."""
    if (loaded := load_newest(directory / "checkpoints")) is None:
        raise CheckpointError(f"{directory} has no checkpoint yet")
    return loaded[1]


def load_model(directory: Path, *, after_school: bool = False) -> tuple[Decoder, Perception]:
    """Return the model of a run, ready to answer, with its perception; with its weights as `load_weights` has them."""
    model = Decoder(load_recipe_of(directory).model)
    model.load_state_dict(load_weights(directory, after_school=after_school))
    return model.eval(), load_perception(directory)
