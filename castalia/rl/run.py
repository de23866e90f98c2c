"""Homework: a run of reinforcement learning from a model that has been to school, from its start or where it was."""

import json
import shutil
from collections.abc import Callable, Mapping
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
from castalia.rl.rollouts import roll_out
from castalia.training.checkpoint import list_checkpoints, replace_file
from castalia.training.distribution import Processes
from castalia.training.memory import keep_freed_memory
from castalia.training.metrics import read_metrics
from castalia.training.run import load_perception, load_recipe_of, load_weights
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
    actions: Mapping[str, Action] | None = None,
    report: Callable[[dict[str, Any]], None] | None = None,
    warn: Callable[[str], None] = print,
) -> Trainer:
    """Train the model of run `source` on `homework` in `directory`; an interrupted run goes on from its checkpoint.

    Rollouts are made in this process, or by so many `workers` on a Ray cluster, which several processes (under
    torchrun) need. `actions` may be used where a way to think acts. Every line of metrics is also handed to `report`.
    Raises CollapseError if the run had to be stopped; its last good checkpoint is then its newest.
    """
    keep_freed_memory()
    processes = Processes()
    if processes.world > 1 and not workers:
        raise RecipeError("several processes train on what others roll out: give --workers, and a Ray cluster")
    if processes.is_first:
        open_homework(homework, source, directory)
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
    pool = RayRollouts(directory, workers, MEMORY) if workers and processes.is_first else None
    roll = pool or partial(roll_out, Engine(model, perception, memory=MEMORY, positions=POSITIONS))

    def refresh() -> None:
        """Give the workers the weights as they are now; all processes take part."""
        if workers:
            weights = trainer.weights()
            if pool:
                pool.load(weights)

    practice = Practice(homework, roll, perception.special["pad"], tasks, algorithm, actions, state.get("practice"))
    loader = Dealt(practice, Guards(homework.guards, state.get("guards")), processes, refresh)

    def evaluate() -> dict[str, Any]:
        refresh()
        thinking = next(iter(practice.ways.values()))
        difficulties = homework.practice.difficulties
        return measure(roll, tasks, homework.measure, difficulties, thinking) if processes.is_first else {}

    def look(line: dict[str, Any]) -> None:
        if report:
            report(line)
        loader.guards.look(line["step"], line)

    try:
        if trainer.progress.step == 0 and not read_metrics(directory / "metrics.jsonl"):
            before = evaluate()
            if processes.is_first:
                trainer.metrics.write({"step": 0, **before})
        trainer.train(loader, evaluate=evaluate, report=look)
    except CollapseError as error:
        _back_to(min(error.good, loader.guards.good), directory / "checkpoints")
        raise
    finally:
        if pool:
            pool.close()
        processes.close()
    return trainer


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


def _back_to(step: int, checkpoints: Path) -> None:
    """Remove checkpoints that were written after all was well, but for the oldest."""
    for path in list_checkpoints(checkpoints)[1:]:
        if int(path.name.removeprefix("step-")) > step:
            shutil.rmtree(path)
