"""A ladder: one recipe in smaller sizes, all that it is made of following from one dial by rules; run and measured."""

import json
import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import torch

from castalia.data.catalog import tasks_of
from castalia.engine.engine import Engine
from castalia.errors import CheckpointError, DataError, RecipeError
from castalia.evals.examine import examine
from castalia.evals.losses import held_out_losses
from castalia.model.config import ModelConfig
from castalia.model.flops import StepShape, parameters, step_flops
from castalia.processes import side_by_side
from castalia.training.checkpoint import replace_file
from castalia.training.metrics import read_metrics
from castalia.training.pretrain import pretrain
from castalia.training.recipe import Recipe
from castalia.training.run import load_model, load_recipe_of

HEAD_DIMS = (24, 32, 40, 56)
"""Widths that a head may have: with these, a width is found near any that is wanted."""
MOST_HEADS = 4096
RUNG = "rung.json"
"""What a run of a ladder is measured in, in its directory."""

DOCUMENTS = 4
"""Held-out documents that a family's loss is measured on, for every question of a difficulty."""


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
    shares: dict[str, float]
    """Share of the families in the tokens that are learned: by these the loss is the mean of theirs."""
    stretch: float = 1.0
    """How many times as many positions as the rules give."""
    questions: int = 50
    """Questions that were asked a family and difficulty."""
    asked: int = 150
    """Questions that were asked a family."""


def sized(recipe: Recipe, size: float, stretch: float = 1) -> Recipe:
    """Return `recipe` at `size` times its compute C; with a `stretch`, trained for so many times as many steps.

    - layers ∝ C^1/6, in whole periods of their pattern; width such that a position costs ∝ C^1/2, which is about
      ∝ C^1/6, too
    - positions ∝ C^1/2 (as many for all that a position costs; Hoffmann et al., arXiv 2203.15556), by its steps (or
      minutes): what is left of the compute
    - rows ∝ C^1/4, the square root of the positions; warm-up in proportion to the steps
    - rates as they are: Muon's updates have the same size at any width
    """
    made, training = shaped(recipe, size), recipe.training
    if training.steps:
        steps = max(1, round(stretch * training.steps * size * step_cost(recipe) / step_cost(made)))
        training = replace(training, steps=steps, warmup_steps=round(training.warmup_steps * steps / training.steps))
    else:
        training = replace(training, minutes=training.minutes * size * stretch)
    return replace(made, training=training)


def shaped(recipe: Recipe, size: float) -> Recipe:
    """Return `recipe` with the model and the rows of `size`, and as many steps or minutes as before."""
    if size == 1:
        return recipe
    rows = max(1, round(recipe.feed.rows * size**0.25 / recipe.feed.streams)) * recipe.feed.streams
    at_size = replace(recipe, feed=replace(recipe.feed, rows=rows))
    period = 1 if recipe.model.layers % recipe.model.global_every else recipe.model.global_every
    layers = max(1, round(recipe.model.layers * size ** (1 / 6) / period)) * period
    wanted = position_cost(recipe) * size**0.5

    def of(dim: int, heads: int) -> Recipe:
        return replace(at_size, model=_model(recipe.model, dim * heads, heads, layers))

    near = []
    for dim in HEAD_DIMS:
        above = bisect_left(range(1, MOST_HEADS), wanted, key=lambda heads, dim=dim: position_cost(of(dim, heads)))
        near += [of(dim, max(1, heads)) for heads in (above, above + 1)]
    away = recipe.model.head_dim
    return min(near, key=lambda one: (abs(math.log(position_cost(one) / wanted)), abs(one.model.head_dim - away)))


def _model(model: ModelConfig, width: int, heads: int, layers: int) -> ModelConfig:
    vision_layers = max(1, round(model.vision_layers * layers / model.layers)) if model.vision_layers else 0
    return replace(model, width=width, heads=heads, layers=layers, vision_layers=vision_layers)


def position_cost(recipe: Recipe) -> float:
    """Return the operations that a position of a typical step costs."""
    return step_cost(recipe) / (recipe.feed.rows * recipe.feed.length)


def step_cost(recipe: Recipe) -> int:
    """Return the operations of a typical step: half of its positions are learned, a quarter are patches."""
    positions = recipe.feed.rows * recipe.feed.length
    shape = StepShape(recipe.feed.rows, recipe.feed.length, positions // 4, 0, positions // 2)
    model = replace(recipe.model, vocab_size=recipe.vocab_size)
    return step_flops(model, shape, muon=recipe.training.optimizer == "muon")


@dataclass(frozen=True)
class SmallRun:
    """A run of a ladder: what it is made by, and its directory, in which it is measured."""

    recipe: Recipe
    directory: Path
    size: float
    stretch: float
    questions: int

    @property
    def rung(self) -> Rung | None:
        """What it gave, if it is done."""
        path = self.directory / RUNG
        rung = Rung(**json.loads(path.read_text())) if path.exists() else None
        return rung if rung and rung.questions == self.questions else None

    def run(self, report: Callable[[dict[str, Any]], None] = lambda line: None) -> None:
        """Train it, from where it was interrupted, and measure it."""
        pretrain(self.recipe, self.directory, report=report, warn=lambda text: None)
        rung = measure(self.directory, self.size, self.recipe.training.seed, self.questions)
        replace_file(self.directory / RUNG, json.dumps(asdict(replace(rung, stretch=self.stretch)), indent=1))


def climb(
    recipe: Recipe,
    directory: Path,
    sizes: Sequence[float],
    seeds: Sequence[int] = (0,),
    *,
    stretches: Sequence[float] = (1,),
    questions: int = 50,
    jobs: int = 1,
    report: Callable[[str, dict[str, Any]], None] = lambda name, line: None,
) -> list[Rung]:
    """Run and measure `recipe` in every size, with every stretch and seed, in `directory`, so many `jobs` at a time.

    What is done is not done again, and what was interrupted goes on. Raises RecipeError if there are runs of another
    recipe.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "recipe.json"
    if any(directory.glob("size-*")) and Recipe.from_json(json.loads(path.read_text())) != recipe:
        raise RecipeError(f"{directory} holds a ladder of another recipe: choose another --out, or delete it")
    replace_file(path, json.dumps(recipe.to_json(), indent=1))
    runs = []
    for size, stretch, seed in product(sorted(sizes), sorted(stretches), seeds):
        name = f"size-{size:g}" + (f"-stretch-{stretch:g}" if stretch != 1 else "") + f"-seed-{seed}"
        made = sized(recipe, size, stretch)
        made = replace(made, data=replace(made.data, seed=seed), training=replace(made.training, seed=seed))
        runs.append(SmallRun(made, directory / name, size, stretch, questions))
    missing = [run for run in runs if run.rung is None]
    if jobs > 1:
        # The longest first, beside which the others find a place.
        side_by_side(SmallRun.run, missing[::-1], jobs, lambda run: _tell(run, report))
    else:
        for before, run in zip([None, *missing], missing, strict=False):
            if before is None or before.size != run.size:
                torch.compiler.reset()  # the graphs of all models so far count against the compiler's limit
            run.run(lambda line, name=run.directory.name: report(name, line))
    return [rung for run in runs if (rung := run.rung)]


def _tell(run: SmallRun, report: Callable[[str, dict[str, Any]], None]) -> None:
    """Report the newest line of what another process trains."""
    if lines := read_metrics(run.directory / "metrics.jsonl"):
        report(run.directory.name, lines[-1])


def read_ladder(path: Path) -> tuple[Recipe, list[Rung]]:
    """Return the recipe of a ladder and all that was measured of it, the smallest first: of a directory that was
    climbed in, or of a file that `write_ladder` made. Raises DataError if there is none."""
    try:
        if path.is_dir():
            said: dict[str, Any] = {"recipe": json.loads((path / "recipe.json").read_text())}
            said["rungs"] = [json.loads(rung.read_text()) for rung in path.glob(f"*/{RUNG}")]
        else:
            said = json.loads(path.read_text())
        recipe, rungs = Recipe.from_json(said["recipe"]), [Rung(**row) for row in said["rungs"]]
    except (OSError, TypeError, AttributeError, KeyError, ValueError) as error:
        raise DataError(f"{path} holds no ladder (castalia forecast RECIPE climbs one): {error}") from error
    if not rungs:
        raise DataError(f"no run of the ladder {path} is done yet")
    return recipe, sorted(rungs, key=lambda rung: (rung.size, rung.stretch, rung.seed))


def write_ladder(path: Path, recipe: Recipe, rungs: Sequence[Rung]) -> None:
    """Write a ladder to one file, for `read_ladder`."""
    said = {"recipe": recipe.to_json(), "rungs": [asdict(rung) for rung in rungs]}
    replace_file(path, json.dumps(said, indent=1) + "\n")


def measure(directory: Path, size: float, seed: int, questions: int) -> Rung:
    """Return what a run's school gave; `questions` are asked a family and difficulty.

    Losses are those of four times as many documents a family. Raises CheckpointError for a run that has not measured
    its held-out loss.
    """
    recipe = load_recipe_of(directory)
    lines = [line for line in read_metrics(directory / "metrics.jsonl") if "held_out_loss" in line]
    if not lines:
        raise CheckpointError(f"{directory} has not measured a held-out loss yet")
    model, perception = load_model(directory, after_school=True)
    tasks = tasks_of(sorted(recipe.data.mixture))
    exam = examine(Engine(model, perception), tasks, difficulties=recipe.data.difficulties, n=questions).to_json()
    chances = {
        family: sum(row["chance"] for row in rows.values()) / len(rows) for family, rows in exam["families"].items()
    }
    losses = held_out_losses(directory, model, DOCUMENTS * questions)
    return Rung(
        size,
        seed,
        parameters(recipe.model)["total"],
        lines[-1]["positions"],
        lines[-1]["flops"],
        losses.mean,
        losses.by_family,
        exam["means"],
        chances,
        losses.shares,
        questions=questions,
        asked=questions * len(set(recipe.data.difficulties)),
    )
