"""School: pre-training by a recipe, from its start or from where it was stopped."""

import functools
import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from castalia.data.catalog import build_task
from castalia.data.mixture import Mixture
from castalia.data.stream import Loader
from castalia.errors import RecipeError
from castalia.model.decoder import Decoder
from castalia.perception.packing import Batch, pack
from castalia.perception.perceive import Perception
from castalia.training.distribution import Processes
from castalia.training.memory import keep_freed_memory
from castalia.training.recipe import Recipe
from castalia.training.run import alone, begin_stretch, create_run, load_perception
from castalia.training.trainer import Trainer

HELD_OUT_DOCUMENTS = 256
"""Documents of the held-out split whose loss is followed during training."""


def pretrain(
    recipe: Recipe,
    directory: Path,
    *,
    source: Path | None = None,
    report: Callable[[dict[str, Any]], None] | None = None,
    warn: Callable[[str], None] = print,
) -> Trainer:
    """Train `recipe` in `directory` to its end; an interrupted run goes on from its newest checkpoint.

    A new run begins with the weights of the run `source`, if one is given, and counts on from its steps. Every line of
    metrics is also handed to `report`. Under torchrun all processes call this.
    """
    keep_freed_memory()
    torch.set_num_threads(recipe.training.threads or torch.get_num_threads())
    processes, held = Processes(), ExitStack()
    try:
        if processes.is_first:
            create_run(recipe, directory, source)
            held.enter_context(alone(directory))
        processes.wait()
        recipe = create_run(recipe, directory)
        torch.manual_seed(recipe.training.seed)
        model = Decoder(recipe.model).initialise(recipe.training.seed)
        trainer = Trainer(model, recipe.training, directory, processes, warn)
        positions = trainer.resume()
        if trainer.schedule.done(trainer.progress.step):
            return trainer
        if processes.is_first:
            begins = trainer.progress.step == trainer.schedule.first_step > 0  # a new run has none before
            begin_stretch(directory, trainer.progress.step, source if begins else None)
        held_out = held_out_batches(recipe, directory)
        make = functools.partial(open_data, recipe, directory)
        # Opening data and measuring draw random numbers; those of training must not depend on how often it was resumed.
        with torch.random.fork_rng(devices=[]):
            peak_flops = measure_peak_flops() * processes.world  # before there are workers, who would be in the way
            check_rows(recipe, *make())
            loader = Loader(make, recipe.feed, positions, processes.rank, processes.world)

        def evaluate() -> dict[str, Any]:
            return {"held_out_loss": trainer.evaluate(held_out)}

        trainer.train(loader, evaluate=evaluate, report=report, peak_flops=peak_flops)
        return trainer
    finally:
        held.close()
        processes.close()


def open_data(recipe: Recipe, directory: Path) -> tuple[Mixture, Perception]:
    """Return the mixture and the perception of a run; called inside every worker."""
    return Mixture(recipe.data, build_task, perception=recipe.perception), load_perception(directory)


def check_rows(recipe: Recipe, mixture: Mixture, perception: Perception) -> None:
    """Raise RecipeError if none of the first documents fits a row: training would look for one for ever."""
    length, end = recipe.feed.length, perception.special["end"]
    sequences = (perception(mixture.document(index)) for index in range(HELD_OUT_DOCUMENTS))
    shortest = math.inf
    for sequence in sequences:
        if sequence.whole_answers(length, end) is not None:
            return
        shortest = min(shortest, len(sequence))
    raise RecipeError(
        f"no document fits a row of feed.length={length} with an answer: the shortest of {HELD_OUT_DOCUMENTS} has "
        f"{shortest} positions; --set feed.length={shortest} or more"
    )


def held_out_batches(recipe: Recipe, directory: Path, documents: int = HELD_OUT_DOCUMENTS) -> list[Batch]:
    """Return packed batches of the held-out split of the recipe's mixture.

    Raises RecipeError if no document fits a row.
    """
    perception = load_perception(directory)
    mixture = Mixture(recipe.data, build_task, "held_out", recipe.perception)
    feed, special = recipe.feed, perception.special
    sequences = (
        perception(mixture.document(index)).whole_answers(feed.length, special["end"]) for index in range(documents)
    )
    batches = list(pack((s for s in sequences if s is not None), feed.rows, feed.length, special["pad"]))
    if not batches:
        check_rows(recipe, mixture, perception)
    return batches


def measure_peak_flops(size: int = 1024, repeats: int = 20) -> float:
    """Return the operations a second of this machine's best matrix product (fp32)."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    a @ b
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best
