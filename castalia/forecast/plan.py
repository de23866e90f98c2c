"""A plan: the best size and number of positions for a budget, and what they will give, as a measured ladder says."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from castalia.errors import RecipeError
from castalia.forecast.devices import LAPTOP, Cluster, activation_bytes, state_bytes
from castalia.forecast.fits import Values
from castalia.forecast.forecast import Expectation
from castalia.forecast.ladder import Rung, position_cost, shaped, sized, step_cost
from castalia.forecast.loss import LossLaw
from castalia.forecast.predict import ACCURACY, LOSS, Law, answering, laws
from castalia.model.flops import parameters
from castalia.training.recipe import Recipe

SIZES = np.geomspace(1e-4, 1e12, 240)
"""Sizes whose shapes are considered, as shares of the recipe's compute."""
BUDGETS = np.geomspace(1e10, 1e28, 361)
"""Where an accuracy is looked for: 20 budgets to every factor of ten, FLOPs."""
RESAMPLES = 100
FAR = 1000.0
"""Budgets beyond so many times a ladder's largest rung are hardly more than a guess, and are said to be."""
NEAR = 0.1
"""Budgets below so many times a ladder's smallest rung are not planned."""


@dataclass(frozen=True)
class Plan:
    """What to train, what it takes, and what is expected of it, with intervals of 90 %."""

    recipe: Recipe
    flops: float
    parameters: Expectation
    """The best size, and the sizes that may as well be the best."""
    positions: int
    loss: Expectation
    accuracies: dict[str, Expectation]
    """Of the families that some run of the ladder answers better than by guessing."""
    unforetold: tuple[str, ...]
    """The others."""
    hours: float
    memory: float
    """Bytes a device: weights, gradients and optimizer, sharded, and the activations of its rows."""
    dollars: float | None
    beyond: float
    """How many times the compute of the ladder's largest rung it is."""

    @property
    def accuracy(self) -> float | None:
        """The mean of what is expected of these families; None if there is none."""
        expected = [e.value for e in self.accuracies.values()]
        return sum(expected) / len(expected) if expected else None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON; of the recipe, what it sets."""
        rows = {name: vars(e) for name, e in {"parameters": self.parameters, "loss": self.loss}.items()}
        rows["accuracies"] = {family: vars(e) for family, e in self.accuracies.items()}
        names = ("flops", "positions", "accuracy", "unforetold", "hours", "memory", "dollars", "beyond")
        return {name: getattr(self, name) for name in names} | rows | {"settings": settings_of(self.recipe)}


def settings_of(recipe: Recipe) -> dict[str, int | str]:
    """Return the fields, and the values of a planned recipe, that a plan chooses."""
    model, training = recipe.model, recipe.training
    shape = {"model.width": model.width, "model.layers": model.layers, "model.heads": model.heads}
    vision = {"model.vision_layers": model.vision_layers} if model.vision_layers else {}
    batch = {"feed.rows": recipe.feed.rows, "feed.streams": recipe.feed.streams}
    steps = {"training.steps": training.steps or 0, "training.warmup_steps": training.warmup_steps}
    return shape | vision | batch | steps | {"training.precision": training.precision}


class Planner:
    """Knows the laws of one ladder, and the shapes that a recipe may have."""

    def __init__(self, recipe: Recipe, rungs: Sequence[Rung]) -> None:
        """Raises RecipeError where the rungs do not tell the effect of size from that of positions."""
        ratios = [rung.positions / rung.parameters for rung in rungs]
        if len({rung.stretch for rung in rungs}) < 2 or max(ratios) < 1.5 * min(ratios):
            raise RecipeError(
                "a plan needs a ladder whose rungs differ in positions a parameter, too: "
                "castalia forecast RECIPE --stretches 0.5 1 2"
            )
        if len({rung.size for rung in rungs}) < 3:
            raise RecipeError("a plan needs a ladder of three sizes or more")
        self.recipe, self.rungs = recipe, rungs
        self.least = NEAR * min(rung.flops for rung in rungs)
        x_NK = np.array([(rung.parameters, rung.positions) for rung in rungs], float)
        self.laws: dict[str, Law] = laws(rungs, x_NK, LossLaw(), RESAMPLES)
        shapes = {(made.model.width, made.model.layers): made for made in (shaped(recipe, size) for size in SIZES)}
        smallest = min(rung.parameters for rung in rungs)
        counts = {name: parameters(made.resolved().model)["total"] for name, made in shapes.items()}
        self.shapes = [made for name, made in shapes.items() if counts[name] >= smallest]
        self.parameters_J = np.array([count for count in counts.values() if count >= smallest], float)
        # What a typical step costs, put right by what the rungs' steps did cost.
        counted = [rung.flops / rung.positions / position_cost(shaped(recipe, rung.size)) for rung in rungs]
        self.counted = float(np.median(counted))
        self.filled = float(np.median([_filled(sized(recipe, rung.size, rung.stretch), rung) for rung in rungs]))
        self.costs_J = self.counted * np.array([position_cost(made) for made in self.shapes])
        self.positions = float(np.median([rung.positions / rung.stretch / rung.size**0.5 for rung in rungs]))

    def plan(self, flops: float, cluster: Cluster) -> Plan:
        """Return the best use of so many operations.

        Raises RecipeError for fewer than a tenth of the smallest rung's.
        """
        if not self.least <= flops < math.inf:
            raise RecipeError(
                f"{flops:.3g} FLOPs: this ladder plans {self.least:.3g} FLOPs and more, and no endless ones"
            )
        x_JK = self.splits(flops)
        loss = self.laws[LOSS].fit
        best = int(np.argmin(loss.at(x_JK)))
        others_R = [int(np.argmin(loss.form.at(row, x_JK))) for row in loss.resampled_RP]
        low, high = np.quantile(self.parameters_J[others_R], [0.05, 0.95])
        made, (size, positions) = self.shapes[best], x_JK[best]
        rows = self.recipe.feed.rows * (positions / self.positions) ** 0.5  # as in a ladder
        streams = made.feed.streams
        if streams % cluster.count:
            streams = cluster.count  # for each has some, and as many
        feed = replace(made.feed, streams=streams, rows=max(1, round(rows / streams)) * streams)
        made = replace(made, feed=feed)
        steps = max(1, round(flops / (self.counted * self.filled * step_cost(made))))
        warmup = max(1, round(made.training.warmup_steps * steps / (made.training.steps or steps)))
        precision = made.training.precision if cluster.name == LAPTOP else "bf16"  # of which the peaks of others are
        training = replace(made.training, steps=steps, warmup_steps=warmup, precision=precision)
        made = replace(made, training=training)
        hours = cluster.hours(flops)
        families = sorted(answering(self.rungs))
        others = tuple(sorted({*self.rungs[0].losses} - {*families}))
        return Plan(
            made,
            flops,
            Expectation(flops, size, low, high),
            round(positions),
            self._expected(LOSS, flops, x_JK[best]),
            {family: self._expected(f"{ACCURACY} {family}", flops, x_JK[best]) for family in families},
            others,
            hours,
            state_bytes(made.resolved(), cluster.count) + activation_bytes(made.resolved(), cluster.count),
            None if cluster.device.dollars is None else hours * cluster.count * cluster.device.dollars,
            flops / max(rung.flops for rung in self.rungs),
        )

    def budget_for(self, accuracy: float, family: str | None = None) -> float:
        """Return the fewest operations that are expected to give an accuracy, of a family or on average.

        On average means of the families that the ladder answers better than by guessing.

        Raises RecipeError where no budget is expected to, or for a family that the ladder does not have.
        """
        if not (names := sorted(answering(self.rungs))):
            raise RecipeError("no run of the ladder answers better than by guessing: climb a higher one")
        if family and family not in names:
            raise RecipeError(f"the ladder does not answer {family}: {', '.join(names)}")
        loss = self.laws[LOSS].fit
        budgets_B = BUDGETS[self.least <= BUDGETS]
        x_BK = np.stack([x_JK[np.argmin(loss.at(x_JK))] for x_JK in map(self.splits, budgets_B)])
        rows = [self.laws[f"{ACCURACY} {name}"].fit.at(x_BK) for name in ([family] if family else names)]
        expected_B = np.mean(rows, 0)
        if not (reached_B := expected_B >= accuracy).any():
            what = family or "families on average"
            raise RecipeError(f"{what}: no budget is expected to give {accuracy:.0%}; at most {expected_B.max():.1%}")
        return float(budgets_B[np.argmax(reached_B)])

    def splits(self, flops: float) -> Values:
        """Return (parameters, positions) of every shape, trained with so many operations, [J, 2]."""
        return np.stack([self.parameters_J, flops / self.costs_J], 1)

    def _expected(self, name: str, flops: float, x_K: Values) -> Expectation:
        fit = self.laws[name].fit
        ends = (float(end[0]) for end in fit.interval(x_K[None], of_runs=True))
        value, low, high = float(fit.at(x_K[None])[0]), *ends
        if fit.form.in_logs:
            return Expectation(flops, value, low, high)
        return Expectation(flops, value, max(0.0, low), min(1.0, high))


def _filled(recipe: Recipe, rung: Rung) -> float:
    """Return the share of a batch that positions filled: rows end with what no document fits into."""
    return rung.positions / ((recipe.training.steps or 1) * recipe.feed.rows * recipe.feed.length)


def budget(text: str) -> float:
    """Return the FLOPs that a text as 1e20 says. Raises RecipeError for anything that is no number above zero."""
    try:
        flops = float(text)
    except ValueError:
        flops = math.nan
    if not (math.isfinite(flops) and flops > 0):
        raise RecipeError(f"a number of FLOPs is expected, as 1e20, not {text!r}")
    return flops
