"""The multiplier: how many times as much compute another recipe needs to be as often right, and which part earns it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from castalia.errors import RecipeError
from castalia.forecast.accuracy import Growth
from castalia.forecast.before import halvings, settle
from castalia.forecast.fits import Fit, Values, fit
from castalia.forecast.ladder import Rung, climb
from castalia.training.recipe import Recipe

FACTORS = (0.5, 1.0, 2.0)
"""Learning rates that are tried for every recipe, as multiples of its own."""
SIZES = halvings(4)
"""Sizes of the rungs, as shares of the largest."""
TARGETS = 3
"""Accuracies at which recipes are compared: evenly between what both reach with their least and most compute."""


@dataclass(frozen=True)
class Multiplier:
    """At one accuracy: what each needs (FLOPs), how many times as much the other needs, and the 90 % interval of it."""

    accuracy: float
    flops: float
    other_flops: float
    value: float
    low: float
    high: float


def mean_accuracy(rung: Rung) -> float:
    """Return a rung's accuracy, the mean of its families'."""
    return sum(rung.accuracies.values()) / len(rung.accuracies)


def growth(rungs: Sequence[Rung], seed: int = 0) -> Fit:
    """Return how the accuracy of a ladder grows with compute."""
    chances = rungs[0].chances.values()
    compute_N = np.array([rung.flops for rung in rungs])
    return fit(Growth(sum(chances) / len(chances)), compute_N, np.array([*map(mean_accuracy, rungs)]), seed=seed)


def shared_targets(ladders: Iterable[Sequence[Rung]], count: int = TARGETS) -> list[float]:
    """Return `count` accuracies inside of what all ladders reach. Raises RecipeError where they share nothing."""
    ladders = list(ladders)
    means = [[mean_accuracy(rung) for rung in rungs] for rungs in ladders]
    chances = [sum(rungs[0].chances.values()) / len(rungs[0].chances) for rungs in ladders]
    low, high = max(*map(min, means), max(chances) + 0.02), min(map(max, means))  # below chance nothing grows
    if low >= high:
        raise RecipeError(
            f"nothing to compare: one is never below {low:.0%}, another never above {high:.0%}: more sizes are needed"
        )
    return [low + (high - low) * number / (count + 1) for number in range(1, count + 1)]


def multipliers(ours: Sequence[Rung], others: Sequence[Rung], targets: Sequence[float]) -> list[Multiplier]:
    """Return, at every target, how many times as much compute the others need."""
    mine, theirs = growth(ours, 0), growth(others, 1)

    def compute(found: Fit, accuracy: float) -> tuple[float, Values]:
        assert isinstance(found.form, Growth)
        rows = [found.form.compute_for(accuracy, row) for row in found.resampled_RP]
        return found.form.compute_for(accuracy, found.parameters_P), np.array(rows)

    made = []
    for accuracy in targets:
        (flops, flops_R), (other, other_R) = compute(mine, accuracy), compute(theirs, accuracy)
        low, high = np.quantile(other_R / flops_R, [0.05, 0.95])
        made.append(Multiplier(accuracy, flops, other, other / flops, float(low), float(high)))
    return made


def tuned(recipe: Recipe, directory: Path, size: float, **climbing: Any) -> Recipe:
    """Return `recipe` at the best of `FACTORS` times its learning rates, by held-out loss at `size`, one run each."""
    losses = {
        factor: climb(with_rates(recipe, factor), directory / f"rates-{factor:g}", [size], **climbing)[0].loss
        for factor in FACTORS
    }
    return with_rates(recipe, min(losses, key=losses.__getitem__))


def with_rates(recipe: Recipe, factor: float) -> Recipe:
    """Return `recipe` with so many times its learning rates."""
    training = recipe.training
    rates = {name: factor * getattr(training, name) for name in ("matrix_lr", "other_lr")}
    return replace(recipe, training=replace(training, **rates))


def with_parts(recipe: Recipe, parts: dict[str, dict[str, str]]) -> dict[str, Recipe]:
    """Return `recipe` with each part alone as the predecessor had it, by the part's name."""
    return {part: recipe.override(settings) for part, settings in parts.items()}


def climb_tuned(
    recipe: Recipe, directory: Path, sizes: Sequence[float], seeds: Sequence[int], **climbing: Any
) -> list[Rung]:
    """Return the rungs of a recipe at its best rates, found at the smallest size."""
    return climb(tuned(recipe, directory, min(sizes), **climbing), directory, sizes, seeds, **climbing)


def climb_all(
    ours: Recipe,
    other: Recipe,
    parts: dict[str, dict[str, str]],
    directory: Path,
    minutes: float,
    *,
    seeds: int = 2,
    questions: int = 50,
    further: int = 0,
    report: Callable[[str, dict[str, Any]], None] = lambda name, line: None,
) -> dict[str, list[Rung]]:
    """Return the ladders of `ours`, of the `other`, and of `ours` with each of the other's `parts`, by name, in order.

    All have the same share of so many `minutes`, the same sizes within it, seeds, and trials of learning rates. The
    other then goes so many sizes `further`, each twice the one before, over and above the minutes: recipes are compared
    where both reach, and one that is far behind reaches little.
    """
    if len(names := [ours.name, other.name, *parts]) > len({*names}):
        raise RecipeError(f"two recipes of one name cannot be told apart: {', '.join(names)}")
    chosen = {ours.name: ours, other.name: other} | with_parts(ours, parts)
    runs = [(size, seeds) for size in SIZES] + [(min(SIZES), len(FACTORS))]
    ladders = {}
    for name, one in chosen.items():
        place = directory / name.replace(" ", "-")
        small, largest = settle(one, place, minutes / len(chosen), runs, questions=questions)
        more = further if name == other.name else 0
        sizes = [largest * size for size in (*SIZES, *(2.0 ** (n + 1) for n in range(more)))]
        ladders[name] = climb_tuned(
            small,
            place,
            sizes,
            range(seeds),
            questions=questions,
            report=lambda run, line, name=name: report(name, line),
        )
    return ladders


def compared(ladders: Mapping[str, Sequence[Rung]]) -> dict[str, list[Multiplier]]:
    """Return how many times the compute of the first ladder each of the others needs, at accuracies that both reach.

    Of a part that reaches none of them there are no rows. Raises RecipeError if the second does not.
    """
    (_, mine), (name, other), *parts = ladders.items()
    found = {name: multipliers(mine, other, shared_targets([mine, other]))}
    for name, rungs in parts:
        try:
            found[name] = multipliers(mine, rungs, shared_targets([mine, rungs]))
        except RecipeError:
            found[name] = []
    return found
