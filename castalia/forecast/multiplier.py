"""The multiplier: how many times as much compute another recipe needs to be as often right, and which part earns it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from castalia.errors import RecipeError
from castalia.forecast.accuracy import Growth
from castalia.forecast.before import settle, shares_of
from castalia.forecast.fits import Fit, Values, fit
from castalia.forecast.ladder import Rung, climb
from castalia.training.recipe import Recipe

RATES = ("matrix_lr", "other_lr")
"""Learning rates of a recipe, by the names of their fields."""
FACTORS = (0.5, 1.0, 2.0)
"""Learning rates that are tried for every recipe, as multiples of its own."""
SIZES = shares_of(4)
"""Sizes of the rungs, as shares of the largest."""
TRIED = 0.5
"""Share of the largest at which they are tried: what is best in a much smaller one is not what is best in it."""
TARGETS = 3
"""Accuracies at which recipes are compared: evenly between what both reach with their least and most compute."""
Ladder = tuple[Recipe, list[Rung]]
"""A recipe, and what was measured of it in every size."""


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
    """Return how the accuracy of a ladder grows with compute: its log odds as a line over the logarithm.

    It begins at 0 and not at guessing, below which small models are: they have yet to learn to answer at all.
    """
    accuracies = [mean_accuracy(rung) for rung in rungs]
    return fit(Growth(), np.array([rung.flops for rung in rungs]), np.array(accuracies), seed=seed)


def multipliers(ours: Sequence[Rung], others: Sequence[Rung], targets: int = TARGETS) -> list[Multiplier]:
    """Return how many times as much compute the others need, at accuracies that both reach.

    These lie evenly between what both have, by their curves, with their least and with their most compute. The interval
    is that of the ratio of both curves' resamples. Raises RecipeError where they share nothing.
    """
    mine, theirs = growth(ours, 0), growth(others, 1)
    reached = [curve.at(np.array([one.flops for one in rungs])) for curve, rungs in ((mine, ours), (theirs, others))]
    low, high = max(map(np.min, reached)), min(map(np.max, reached))
    if low >= high:
        raise RecipeError(
            f"nothing to compare: one is never below {low:.0%}, the other never above {high:.0%}: more minutes are "
            f"needed (--budget), or more sizes of the other (--further)"
        )

    def compute(found: Fit, accuracy: float) -> tuple[float, Values]:
        rows = [Growth().compute_for(accuracy, row) for row in (found.parameters_P, *found.resampled_RP)]
        return rows[0], np.array(rows[1:])

    made = []
    for accuracy in np.linspace(low, high, targets + 2)[1:-1]:
        (flops, flops_R), (other, other_R) = compute(mine, accuracy), compute(theirs, accuracy)
        least, most = np.quantile(other_R / flops_R, [0.05, 0.95])
        made.append(Multiplier(float(accuracy), flops, other, other / flops, float(least), float(most)))
    return made


def with_rates(recipe: Recipe, factor: float) -> Recipe:
    """Return `recipe` with so many times its learning rates."""
    training = recipe.training
    rates = {name: factor * getattr(training, name) for name in RATES}
    return replace(recipe, training=replace(training, **rates))


def with_parts(recipe: Recipe, parts: dict[str, dict[str, str]]) -> dict[str, Recipe]:
    """Return `recipe` with each part alone as the predecessor had it, by the part's name."""
    return {part: recipe.override(settings) for part, settings in parts.items()}


def climb_at(
    recipe: Recipe, factor: float, directory: Path, sizes: Sequence[float], seeds: Sequence[int], **climbing: Any
) -> Ladder:
    """Return a recipe at so many times its rates, and its rungs, which are in a directory of that factor."""
    recipe = with_rates(recipe, factor)
    return recipe, climb(recipe, directory / f"rates-{factor:g}", sizes, seeds, **climbing)


def best_factor(recipe: Recipe, directory: Path, size: float, **climbing: Any) -> float:
    """Return the best of `FACTORS`, by held-out loss of a run each at `size`; the best one's is a rung, too."""
    losses = {factor: climb_at(recipe, factor, directory, [size], [0], **climbing)[1][0].loss for factor in FACTORS}
    return min(losses, key=losses.__getitem__)


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
) -> dict[str, Ladder]:
    """Return the ladders of `ours`, of the `other`, and of `ours` with each of the other's `parts`, by name, in order.

    All have the same share of so many `minutes`, the same sizes within it, and seeds. Both recipes, and a part that has
    rates of its own, have as many trials of these; other parts have those that are best for `ours`, as all else of it.
    The other then goes so many sizes `further`, each twice the one before, over and above the minutes: recipes are
    compared where both reach, and one that is far behind reaches little.

    Raises RecipeError for counts of which nothing can be measured.
    """
    if len(names := [ours.name, other.name, *parts]) > len({*names}):
        raise RecipeError(f"two recipes of one name cannot be told apart: {', '.join(names)}")
    if min(seeds, questions) < 1 or further < 0:
        raise RecipeError(f"1 seed and 1 question or more are needed, not {seeds} and {questions}, and no less further")
    chosen = {ours.name: ours, other.name: other} | with_parts(ours, parts)
    runs = [(size, seeds) for size in SIZES] + [(TRIED, len(FACTORS) - 1)]
    ladders: dict[str, Ladder] = {}
    best: dict[str, float] = {}
    for name, one in chosen.items():
        place = directory / name.replace(" ", "-")
        above = [2.0 ** (more + 1) for more in range(further)] if name == other.name else []
        small, largest = settle(
            one, place, minutes / len(chosen), runs, beyond=max(above, default=1.0), questions=questions
        )
        climbing: dict[str, Any] = {
            "questions": questions,
            "report": lambda run, line, name=name: report(name, line),
        }
        own = name not in parts or any(f"training.{rate}" in parts[name] for rate in RATES)
        best[name] = best_factor(small, place, largest * TRIED, **climbing) if own else best[ours.name]
        sizes = [largest * size for size in (*SIZES, *above)]
        ladders[name] = climb_at(small, best[name], place, sizes, range(seeds), **climbing)
    return ladders


def compared(ladders: Mapping[str, Sequence[Rung]]) -> dict[str, list[Multiplier]]:
    """Return how many times the compute of the first ladder each of the others needs, at accuracies that both reach.

    Of a part that reaches none of them there are no rows. Raises RecipeError if the second does not.
    """
    (_, mine), (name, other), *parts = ladders.items()
    found = {name: multipliers(mine, other)}
    for name, rungs in parts:
        try:
            found[name] = multipliers(mine, rungs)
        except RecipeError:
            found[name] = []
    return found
