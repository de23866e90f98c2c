"""Homework: a run of reinforcement learning from a model that has been to school, from its start or where it was."""

import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from castalia.actions.action import Action
from castalia.data.catalog import build_task
from castalia.engine.engine import Engine
from castalia.errors import RecipeError
from castalia.model.decoder import Decoder
from castalia.rl.algorithms import build_algorithm
from castalia.rl.cluster import Dealt, RayRollouts
from castalia.rl.guards import CollapseError, Guards
from castalia.rl.homework import Homework
from castalia.rl.measure import measure
from castalia.rl.practice import Practice
from castalia.rl.rollouts import Roll, roll_out
from castalia.training.checkpoint import list_checkpoints, replace_file
from castalia.training.distribution import Processes
from castalia.training.memory import keep_freed_memory
from castalia.training.metrics import read_metrics
from castalia.training.run import alone, load_perception, load_recipe_of, load_weights
from castalia.training.trainer import Trainer

MEMORY, POSITIONS = 512 << 20, 2048
"""Bytes of keys and values, for all rollouts of a step at once; positions that one step of the engine computes."""
LENGTH_FIELDS = ("steps", "minutes", "checkpoint_seconds", "checkpoint_every", "keep_checkpoints", "tracker")
"""What a run that goes on may have otherwise than when it began."""


def practise(
    homework: Homework,
    source: Path,
    directory: Path,
    *,
    workers: int = 0,
    worker_gpus: float = 0.0,
    actions: Mapping[str, Action] | None = None,
    report: Callable[[dict[str, Any]], None] | None = None,
    warn: Callable[[str], None] = print,
) -> Trainer:
    """Train the model of run `source` on `homework` in `directory`; an interrupted run goes on from its checkpoint.

    Rollouts are made in this process, or by so many `workers` on a Ray cluster, with `worker_gpus` each, which several
    processes (under torchrun) need. `actions` may be used where a way to think acts. Every line of metrics is also
    handed to `report`. Raises CollapseError if the run had to be stopped; its last good checkpoint is then its newest.
    """
    keep_freed_memory()
    processes, held = Processes(), ExitStack()
    pool: RayRollouts | None = None
    try:
        if homework.training.log_every != 1:
            raise RecipeError("training.log_every must be 1 in homework: the guards look at every step that is told")
        if processes.world > 1 and not workers:
            raise RecipeError("several processes train on what others roll out: give --workers, and a Ray cluster")
        if processes.is_first:
            open_homework(homework, source, directory)
            held.enter_context(alone(directory))
        processes.wait()
        torch.manual_seed(homework.training.seed)
        algorithm = build_algorithm(homework.practice.algorithm)
        model = Decoder(load_recipe_of(directory).model)
        model.load_state_dict(load_weights(source))
        trainer = Trainer(model, homework.training, directory, processes, warn, algorithm.losses)
        state = trainer.resume() or {}
        if trainer.schedule.done(trainer.progress.step):
            return trainer
        perception = load_perception(directory)
        tasks = {name: build_task(name) for name in homework.practice.tasks}
        if workers and processes.is_first:
            pool = RayRollouts(directory, workers, MEMORY, gpus=worker_gpus)
        roll = pool or partial(roll_out, Engine(model, perception, memory=MEMORY, positions=POSITIONS))
        practice = Practice(homework, roll, perception.special["pad"], tasks, algorithm, actions, state.get("practice"))

        def refresh() -> None:
            """Give the workers the weights as they are now; all processes take part."""
            if workers:
                weights = trainer.weights()
                if pool:
                    pool.load(weights)

        loader = Dealt(practice, Guards(homework.guards, state.get("guards")), processes, refresh)
        _train(trainer, loader, roll, report)
        return trainer
    finally:
        held.close()
        if pool:
            pool.close()
        processes.close()


def _train(trainer: Trainer, loader: Dealt, roll: Roll, report: Callable[[dict[str, Any]], None] | None) -> None:
    """Practise to the end, measured and guarded."""
    practice, is_first = loader.practice, trainer.processes.is_first
    homework = practice.homework

    def evaluate() -> dict[str, Any]:
        loader.refresh()
        thinking, difficulties = next(iter(practice.ways.values())), homework.practice.difficulties
        return measure(roll, practice.tasks, homework.measure, difficulties, thinking) if is_first else {}

    def look(line: dict[str, Any]) -> None:
        if report:
            report(line)
        loader.guards.look(line["step"], line)

    if trainer.progress.step == 0 and not read_metrics(trainer.metrics.path):
        before = evaluate()
        if is_first:
            trainer.metrics.write({"step": 0, **before})
    try:
        trainer.train(loader, evaluate=evaluate, report=look)
    except CollapseError as error:
        if is_first:  # only here is known what was good
            _back_to(min(error.good, loader.guards.good), trainer.directory / "checkpoints")
        raise


def open_homework(homework: Homework, source: Path, directory: Path) -> None:
    """Make `directory` ready: ``homework.json``, recipe and tokenizer of `source`.

    An existing run is opened instead if its homework is the same, up to how long it is, and the model that it began
    with; otherwise RecipeError.
    """
    path, recipe = directory / "homework.json", load_recipe_of(source)
    said: dict[str, Any] = homework.to_json() | {"source": source.name, "schooled": steps_of(source)}
    if path.exists():
        old, began_with = load_homework_of(directory)
        length = {name: getattr(old.training, name) for name in LENGTH_FIELDS}
        same = replace(homework, training=replace(homework.training, **length))
        if same != old or began_with != source.name or is_outdated(directory, source):
            raise RecipeError(f"{directory} holds another homework: choose another --out, or delete it")
    elif (directory / "recipe.json").exists():
        raise RecipeError(f"{directory} holds a run that is no homework: choose another --out")
    directory.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps(said, indent=2))  # the first: what lacks the others is still known for what it is
    replace_file(directory / "tokenizer.json", (source / "tokenizer.json").read_text())
    replace_file(directory / "recipe.json", json.dumps(recipe.to_json(), indent=2))


def load_homework_of(directory: Path) -> tuple[Homework, str]:
    """Return the homework that a directory holds, and the name of the run that it began with."""
    said = json.loads((directory / "homework.json").read_text())
    source = said.pop("source")
    said.pop("schooled", None)
    return Homework.from_json(said), source


def steps_of(source: Path) -> int:
    """Return how many steps of school a run has had, by its newest checkpoint; 0 without one."""
    return max((int(path.name.removeprefix("step-")) for path in list_checkpoints(source / "checkpoints")), default=0)


def is_outdated(directory: Path, source: Path) -> bool:
    """Say whether the homework in `directory` began with a model that has been to school for longer since."""
    path = directory / "homework.json"
    return path.exists() and json.loads(path.read_text()).get("schooled") != steps_of(source)


def _back_to(step: int, checkpoints: Path) -> None:
    """Remove checkpoints that were written after all was well, but for the oldest."""
    for path in list_checkpoints(checkpoints)[1:]:
        if int(path.name.removeprefix("step-")) > step:
            shutil.rmtree(path)
