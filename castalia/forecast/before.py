"""Before a run: a ladder of small runs that fits a budget, and what they say of it, written down."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from castalia.errors import RecipeError
from castalia.forecast.fits import enough_for
from castalia.forecast.forecast import FORECAST, Forecast, write_forecasts
from castalia.forecast.ladder import Rung, climb, read_ladder, sized, step_cost
from castalia.forecast.loss import BentPower
from castalia.forecast.predict import foresee
from castalia.training.checkpoint import replace_file
from castalia.training.pretrain import measure_peak_flops
from castalia.training.recipe import Recipe

BUDGET = "budget.json"
"""What has been settled for a budget, in the directory of a ladder."""
FEWEST = enough_for(BentPower())
"""Runs that a forecast needs."""
ODD = 1.5
"""Beyond so many times as many positions as by the rules, or as few, a forecast along them is of another run."""
LARGEST = 1 / 8
"""A rung has no more of the run's compute than this, unless a forecast is to be closer: it is paid for, too."""
SPEED = 0.5
"""Share of the machine's peak that training reaches, about: how far a recipe given in minutes will come."""
STEP_SECONDS = 0.02
"""What a step takes beside its operations, however small the model is."""
RUN_SECONDS = 4.0
"""What a run takes to start."""
QUESTION_SECONDS = 0.005
"""What a question of the exam after a small run takes, and the loss of the documents that are measured for it."""
LEAST_STEPS = 20
"""A run of fewer steps says nothing."""
MAY_DIFFER = {
    "name", "model.width", "model.layers", "model.heads", "model.vision_layers", "feed.rows", "feed.streams",
    "feed.workers", "training.steps", "training.minutes", "training.warmup_steps", "training.seed", "data.seed",
    "training.compile", "training.precision", "training.checkpoint_seconds", "training.checkpoint_every",
    "training.keep_checkpoints", "training.evaluate_every", "training.log_every", "training.threads",
    "training.tracker",
}  # fmt: skip
"""What a recipe may have otherwise than the ladder that it is forecast from: size, length, and how it is run."""
COMPILED = 120.0
"""Runs of fewer seconds are not compiled: that alone takes half a minute."""


@dataclass(frozen=True)
class Climb:
    """Which small runs a forecast is made from. Raises RecipeError for such that say nothing."""

    sizes: int = 3
    seeds: int = 2
    stretches: tuple[float, ...] = (1.0,)
    questions: int = 50
    """Exam questions a family and difficulty."""
    largest: float = LARGEST
    """Share of the run's compute that none is above."""
    apart: float = 2.0
    """How many times the compute of a size the next has."""
    jobs: int = 1
    """Runs that are made at a time."""

    def __post_init__(self) -> None:
        if 1 not in self.stretches or not all(0 < stretch < math.inf for stretch in self.stretches):
            raise RecipeError("--stretches are above 0, and 1, what is forecast, is among them")
        if not 0 < self.largest < 1:
            raise RecipeError(f"--largest is a share of the run's compute, above 0 and below 1, not {self.largest:g}")
        if not 1 < self.apart < math.inf:
            raise RecipeError(
                f"--apart is how many times the compute of a size the next has, above 1, not {self.apart:g}"
            )
        if self.jobs < 1:
            raise RecipeError(f"--jobs is how many small runs are made at a time, 1 or more, not {self.jobs}")
        if self.sizes < 2 or min(self.seeds, self.questions) < 1 or self.sizes * self.seeds < FEWEST:
            raise RecipeError(
                f"a ladder has 2 sizes, 1 seed and 1 question or more, and {FEWEST} runs in all, "
                f"not {self.sizes}, {self.seeds} and {self.questions}"
            )


def forecast_run(
    recipe: Recipe,
    directory: Path,
    minutes: float,
    small: Climb | None = None,
    report: Callable[[str, dict[str, Any]], None] = lambda name, line: None,
) -> list[Forecast]:
    """Make `small` runs for so many minutes, in DIRECTORY-ladder; forecast the run in `directory`, and write it there.

    Raises RecipeError if the run has begun: a forecast of what is known would be none.
    """
    _check_before(directory)
    small = small or Climb()
    ladder, stretches = ladder_of(directory), sorted(set(small.stretches))
    runs = [(share, small.seeds * sum(stretches)) for share in shares_of(small.sizes, small.apart)]
    how: dict[str, Any] = {"questions": small.questions, "jobs": small.jobs}
    made, size = settle(recipe, ladder, minutes, runs, most=small.largest, **how)
    chosen = [size * share for share, _ in runs]
    climbed = climb(made, ladder, chosen, range(small.seeds), stretches=stretches, **how, report=report)
    return _write(climbed, climbed[-1].flops / climbed[-1].stretch / chosen[-1], directory)


def forecast_from(ladder: Path, recipe: Recipe, directory: Path, warn: Callable[[str], None] = print) -> list[Forecast]:
    """Forecast a run of `recipe` in `directory` from a ladder that was climbed before, and write it there.

    The ladder may be of the same recipe in another size or length. Where it is trained for much longer or shorter than
    a ladder's rules give its size, that is said: what is forecast is a run of as many operations that keeps to them.

    Raises RecipeError if it is of another recipe, if the recipe is given in minutes, or if the run has begun.
    """
    _check_before(directory)
    climbed, rungs = read_ladder(ladder)
    if other := {name: text for name, text in recipe.difference(climbed).items() if name not in MAY_DIFFER}:
        raise RecipeError(
            f"{ladder} is a ladder of another recipe than {recipe.name}, which has "
            f"{', '.join(f'{name}={text}' for name, text in other.items())}"
        )
    if recipe.training.steps is None or climbed.training.steps is None:
        raise RecipeError("from a ladder a recipe of so many steps is forecast: --set training.steps=N")
    last = rungs[-1]
    whole = step_cost(recipe) * recipe.training.steps / (step_cost(climbed) * climbed.training.steps)
    longer = recipe.training.steps * recipe.feed.rows / (climbed.training.steps * climbed.feed.rows) / whole**0.5
    if not 1 / ODD <= longer <= ODD:
        warn(f"{recipe.name} is trained for {longer:.2g} times the positions that the ladder's rules give its size: "
             f"what is foretold is a run of as many operations that keeps to them")  # fmt: skip
    return _write(rungs, whole * last.flops / last.stretch / last.size, directory)


def _check_before(directory: Path) -> None:
    if (directory / "metrics.jsonl").exists():
        raise RecipeError(f"{directory} has begun: a forecast is written before its run; choose another --out")


def _write(climbed: Sequence[Rung], flops: float, directory: Path) -> list[Forecast]:
    rungs = [rung for rung in climbed if rung.stretch == 1]
    forecasts = [replace(one, questions=rungs[0].questions) for one in foresee(rungs, flops)]
    write_forecasts(directory / FORECAST, forecasts)
    return forecasts


def ladder_of(directory: Path) -> Path:
    """Return where the small runs are that the run in `directory` is forecast from."""
    directory = directory if directory.name else directory.resolve()
    return directory.with_name(f"{directory.name}-ladder")


def shares_of(sizes: int, apart: float = 2.0) -> list[float]:
    """Return `sizes` shares of the largest, the smallest first, each `apart` times the one before."""
    return [apart**-number for number in reversed(range(sizes))]


def settle(
    recipe: Recipe,
    directory: Path,
    minutes: float,
    runs: Sequence[tuple[float, float]],
    *,
    most: float = 1.0,
    beyond: float = 1.0,
    questions: int = 50,
    jobs: int = 1,
) -> tuple[Recipe, float]:
    """Return the recipe as small runs take it, in steps, and the size whose `runs` fit so many minutes.

    Runs are (share of that size, how many), `jobs` of them at a time; where others of up to `beyond` times that size
    come after, all are compiled if these take long enough. What has been settled is kept in `directory`: how quick the
    machine happens to be when they are gone on with must not change what they are. Raises RecipeError for a budget in
    which the smallest would be shorter than `LEAST_STEPS`, and where small runs of another recipe are.
    """
    asked: dict[str, Any] = {"minutes": minutes, "runs": [list(run) for run in runs], "most": most, "jobs": jobs}
    said: dict[str, Any] = read_budget(directory)
    if said and said.get("recipe") != json.loads(json.dumps(recipe.to_json())):
        if any(directory.glob("size-*")):
            raise RecipeError(f"{directory} holds a ladder of another recipe: choose another --out, or delete it")
        said = {}
    if {name: said.get(name) for name in asked} != asked:
        peak_flops = measure_peak_flops()
        steps = said.get("steps", recipe.training.steps)  # small runs of another budget stay what they are
        planned = in_steps(replace(recipe, training=replace(recipe.training, steps=steps)), peak_flops)
        count = sum(count for _, count in runs)
        left = 60 * minutes * jobs - count * exam_seconds(recipe, questions)
        size = min(most, _fitting(planned, left, runs, peak_flops / jobs))
        smallest = sized(planned, size * min(share for share, _ in runs))
        if (smallest.training.steps or 0) < LEAST_STEPS:
            raise RecipeError(
                f"{60 * minutes:.0f} s are too few for {count:.0f} small runs: the smallest would hardly begin"
            )
        compiled = said.get("compiled", seconds_to_train(sized(planned, size * beyond), peak_flops / jobs) > COMPILED)
        settled: dict[str, Any] = {"steps": planned.training.steps, "size": size, "compiled": compiled}
        said = asked | settled | {"recipe": recipe.to_json()}
        directory.mkdir(parents=True, exist_ok=True)
        replace_file(directory / BUDGET, json.dumps(said))
    compiled = said["compiled"] and recipe.training.compile
    return replace(recipe, training=replace(recipe.training, steps=said["steps"], compile=compiled)), said["size"]


def read_budget(directory: Path) -> dict[str, Any]:
    """Return what has been settled for a ladder in `directory`: {} if nothing."""
    path = directory / BUDGET
    return json.loads(path.read_text()) if path.exists() else {}


def in_steps(recipe: Recipe, peak_flops: float) -> Recipe:
    """Return a recipe given in minutes as one of so many steps as this machine, of such a peak, will take in them."""
    if recipe.training.steps is not None:
        return recipe
    steps = max(1, round(60 * recipe.training.minutes * SPEED * peak_flops / step_cost(recipe)))
    return replace(recipe, training=replace(recipe.training, steps=steps))


def seconds_to_train(recipe: Recipe, peak_flops: float) -> float:
    """Return about how long a recipe given in steps trains here."""
    steps = recipe.training.steps or 0
    return RUN_SECONDS + steps * (step_cost(recipe) / (SPEED * peak_flops) + STEP_SECONDS)


def exam_seconds(recipe: Recipe, questions: int) -> float:
    """Return about how long so many questions a family and difficulty take here, of a small run."""
    return QUESTION_SECONDS * questions * len(recipe.data.mixture) * len({*recipe.data.difficulties})


def _fitting(recipe: Recipe, left: float, runs: Sequence[tuple[float, float]], peak_flops: float) -> float:
    low, high = 1e-6, 1.0
    for _ in range(40):
        middle = (low * high) ** 0.5
        seconds = sum(count * seconds_to_train(sized(recipe, middle * share), peak_flops) for share, count in runs)
        low, high = (middle, high) if seconds <= left else (low, middle)
    return float(f"{low:.2g}")
