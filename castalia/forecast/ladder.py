"""A ladder: one recipe in smaller sizes, all that it is made of following from one dial by rules; run and measured."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from castalia.data.catalog import build_task
from castalia.engine.engine import Engine
from castalia.evals.examine import examine
from castalia.evals.losses import family_losses
from castalia.model.config import ModelConfig
from castalia.model.flops import StepShape, parameters, step_flops
from castalia.training.checkpoint import replace_file
from castalia.training.metrics import read_metrics
from castalia.training.pretrain import pretrain
from castalia.training.recipe import Recipe
from castalia.training.run import load_model, load_recipe_of

HEAD_DIMS = (24, 32, 40)
"""Widths that a head may have: with these, a width is found near any that is wanted."""


@dataclass(frozen=True)
class Rung:
    """What a run of a ladder gave: its size, compute, and held-out loss and accuracy, in all and by family."""

    size: float
    seed: int
    parameters: int
    positions: int
    flops: float
    loss: float
    losses: dict[str, float]
    accuracies: dict[str, float]
    chances: dict[str, float]


def sized(recipe: Recipe, size: float) -> Recipe:
    """Return `recipe` at `size` times its compute C.

    - width and layers ∝ C^1/6 each, so that the parameters of all blocks ∝ C^1/2; heads of 24 to 40
    - positions ∝ C^1/2 (as many a parameter as the recipe has; Hoffmann et al., arXiv 2203.15556), by its steps (or
      minutes): what is left of the compute
    - rows ∝ C^1/4, the square root of the positions; warm-up in proportion to the steps
    - rates as they are: Muon's updates have the same size at any width
    """
    if size == 1:
        return recipe
    model = _model(recipe.model, size)
    rows = max(1, round(recipe.feed.rows * size**0.25 / recipe.feed.streams)) * recipe.feed.streams
    feed = replace(recipe.feed, rows=rows)
    training = recipe.training
    if training.steps:
        steps = max(
            1, round(training.steps * size * _step_flops(recipe) / _step_flops(replace(recipe, model=model, feed=feed)))
        )
        training = replace(training, steps=steps, warmup_steps=round(training.warmup_steps * steps / training.steps))
    else:
        training = replace(training, minutes=training.minutes * size)
    return replace(recipe, model=model, feed=feed, training=training)


def _model(model: ModelConfig, size: float) -> ModelConfig:
    """Return the model whose width is nearest to that of the size, and its layers in proportion."""
    wanted = model.width * size ** (1 / 6)
    shapes = ((heads * dim, heads) for dim in HEAD_DIMS for heads in range(1, 4 + round(wanted / min(HEAD_DIMS))))
    width, heads = min(shapes, key=lambda shape: (abs(shape[0] - wanted), abs(shape[0] / shape[1] - model.head_dim)))
    layers = max(1, round(model.layers * width / model.width))
    vision_layers = max(1, round(model.vision_layers * width / model.width)) if model.vision_layers else 0
    return replace(model, width=width, heads=heads, layers=layers, vision_layers=vision_layers)


def run_flops(recipe: Recipe) -> int:
    """Return about how many operations a recipe given in steps takes."""
    return _step_flops(recipe) * (recipe.training.steps or 0)


def _step_flops(recipe: Recipe) -> int:
    """Return the operations of a typical step: half of its positions are learned, a quarter are patches."""
    positions = recipe.feed.rows * recipe.feed.length
    shape = StepShape(recipe.feed.rows, recipe.feed.length, positions // 4, 0, positions // 2)
    return step_flops(recipe.model, shape, muon=recipe.training.optimizer == "muon")


def climb(
    recipe: Recipe,
    directory: Path,
    sizes: Sequence[float],
    seeds: Sequence[int] = (0,),
    *,
    questions: int = 50,
    report: Callable[[str, dict[str, Any]], None] = lambda name, line: None,
) -> list[Rung]:
    """Run and measure `recipe` in every size and with every seed, in `directory`; what is done is not done again."""
    rungs = []
    for size in sorted(sizes):
        for seed in seeds:
            name = f"size-{size:g}-seed-{seed}"
            path = directory / name / "rung.json"
            if not path.exists():
                made = sized(recipe, size)
                made = replace(made, data=replace(made.data, seed=seed), training=replace(made.training, seed=seed))
                pretrain(made, path.parent, report=lambda line, name=name: report(name, line), warn=lambda text: None)
                replace_file(path, json.dumps(asdict(measure(path.parent, size, seed, questions)), indent=1))
            rungs.append(Rung(**json.loads(path.read_text())))
    return rungs


def measure(directory: Path, size: float, seed: int, questions: int) -> Rung:
    """Return what a finished run gave; `questions` are asked a family and difficulty."""
    recipe, last = load_recipe_of(directory), read_metrics(directory / "metrics.jsonl")[-1]
    engine = Engine(*load_model(directory))
    tasks = {name: build_task(name) for name in sorted(recipe.data.mixture)}
    exam = examine(engine, tasks, difficulties=recipe.data.difficulties, n=questions).to_json()
    chances = {
        family: sum(row["chance"] for row in rows.values()) / len(rows) for family, rows in exam["families"].items()
    }
    return Rung(
        size,
        seed,
        parameters(recipe.model)["total"],
        last["positions"],
        last["flops"],
        last["held_out_loss"],
        family_losses(directory),
        exam["means"],
        chances,
    )
