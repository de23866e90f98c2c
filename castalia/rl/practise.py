"""Homework: a run of reinforcement learning from a model that has been to school, from its start or where it was."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from castalia.actions.action import Action
from castalia.data.catalog import build_task
from castalia.engine.engine import Engine
from castalia.errors import CheckpointError, RecipeError
from castalia.model.decoder import Decoder
from castalia.rl.algorithms import build_algorithm
from castalia.rl.guards import CollapseError, Guards
from castalia.rl.homework import Homework
from castalia.rl.measure import measure
from castalia.rl.practice import Practice
from castalia.training.checkpoint import list_checkpoints, load_newest, replace_file
from castalia.training.memory import keep_freed_memory
from castalia.training.run import load_perception, load_recipe_of
from castalia.training.trainer import Trainer

MEMORY = 512 << 20
"""Bytes of keys and values: all rollouts of a step at once."""
LENGTH_FIELDS = ("steps", "minutes", "checkpoint_seconds", "checkpoint_every", "keep_checkpoints", "tracker")
"""What a run that goes on may have otherwise than when it began."""


def practise(
    homework: Homework,
    source: Path,
    directory: Path,
    *,
    actions: Mapping[str, Action] | None = None,
    report: Callable[[dict[str, Any]], None] | None = None,
    warn: Callable[[str], None] = print,
) -> Trainer:
    """Train the model of run `source` on `homework` in `directory`; an interrupted run goes on from its checkpoint.

    `actions` are those that may be used where a way to think acts. Every line of metrics is also handed to `report`.
    Raises CollapseError if the run had to be stopped; its last good checkpoint is then its newest.
    """
    keep_freed_memory()
    homework = open_homework(homework, source, directory)
    torch.manual_seed(homework.training.seed)
    algorithm = build_algorithm(homework.practice.algorithm)
    model = Decoder(load_recipe_of(directory).model)
    trainer = Trainer(model, homework.training, directory, warn=warn, objective=algorithm.losses)
    state = trainer.resume()
    if state is None:
        model.load_state_dict(_weights(source))
    if trainer.schedule.done(trainer.progress.step):
        return trainer
    state = state or {}
    engine = Engine(model, load_perception(directory), memory=MEMORY, positions=2048)
    tasks = {name: build_task(name) for name in homework.practice.tasks}
    practice = Practice(homework, engine, tasks, algorithm, actions, state.get("practice"))
    guards = Guards(homework.guards, state.get("guards"))

    def evaluate() -> dict[str, Any]:
        thinking = next(iter(practice.ways.values()))
        return measure(engine, tasks, homework.measure, homework.practice.difficulties, thinking)

    def look(line: dict[str, Any]) -> None:
        line["clock"] |= practice.seconds
        if report:
            report(line)
        guards.look(line["step"], line)

    if trainer.progress.step == 0:
        trainer.metrics.write({"step": 0, **evaluate()})
    loader = _Kept(practice, guards)
    try:
        trainer.train(loader, evaluate=evaluate, report=look)
    except CollapseError as error:
        _back_to(error.good, directory / "checkpoints")
        raise
    return trainer


class _Kept:
    """A practice whose guards are kept in checkpoints beside it."""

    def __init__(self, practice: Practice, guards: Guards) -> None:
        self.practice, self.guards = practice, guards

    @property
    def metrics(self) -> dict[str, Any]:
        return self.practice.metrics

    def state(self, gather: Callable[[Any], list]) -> dict[str, Any]:
        return {"practice": self.practice.state(gather), "guards": self.guards.state()}

    def __next__(self) -> list:
        return next(self.practice)


def open_homework(homework: Homework, source: Path, directory: Path) -> Homework:
    """Make `directory` ready: recipe and tokenizer of `source`, ``homework.json``; return the homework.

    An existing run is opened instead if its homework is the same, up to how long it is; otherwise RecipeError.
    """
    path = directory / "homework.json"
    said: dict[str, Any] = homework.to_json() | {"source": source.name}
    if path.exists():
        old = json.loads(path.read_text())
        length = {name: old["training"][name] for name in LENGTH_FIELDS}
        if json.loads(json.dumps(said | {"training": said["training"] | length})) != old:
            raise RecipeError(f"{directory} holds another homework: choose another --out, or delete it")
    elif (directory / "recipe.json").exists():
        raise RecipeError(f"{directory} holds a run that is no homework: choose another --out")
    else:
        load_recipe_of(source)  # it is a run
        directory.mkdir(parents=True, exist_ok=True)
        for name in ("recipe.json", "tokenizer.json"):
            shutil.copy(source / name, directory / name)
    replace_file(path, json.dumps(said, indent=2))
    return homework


def _weights(source: Path) -> dict[str, torch.Tensor]:
    loaded = load_newest(source / "checkpoints")
    if loaded is None:
        raise CheckpointError(f"{source} has no checkpoint yet")
    return loaded[0]["model"]


def _back_to(step: int, checkpoints: Path) -> None:
    """Remove checkpoints that were written after all was well, but for the oldest."""
    for path in list_checkpoints(checkpoints)[1:]:
        if int(path.name.removeprefix("step-")) > step:
            shutil.rmtree(path)
