"""From the rungs of a ladder to forecasts of a larger run: its loss, that of every family, and their accuracies."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from castalia.errors import RecipeError
from castalia.forecast.accuracy import Sigmoid
from castalia.forecast.fits import RESAMPLES, Curve, Fit, Values, fit
from castalia.forecast.forecast import Forecast
from castalia.forecast.ladder import Rung
from castalia.forecast.loss import LossLaw

FLOPS = "FLOPs"
LOSS, ACCURACY = "loss", "accuracy"
"""How forecasts of a run's held-out loss and accuracy begin; of a family's, its name follows."""


@dataclass(frozen=True)
class Chain:
    """One curve after another: accuracy by loss by compute. Its parameters are those of both."""

    first: Curve
    second: Curve

    @property
    def name(self) -> str:
        """Both names."""
        return f"{self.second.name}, {self.first.name}"

    @property
    def parameters(self) -> tuple[str, ...]:
        """Both parameters."""
        return (*self.first.parameters, *self.second.parameters)

    @property
    def in_logs(self) -> bool:
        """Errors are those of the second."""
        return self.second.in_logs

    def at(self, parameters_P: Values, x: Values) -> Values:
        """Return the second's value at the first's, [N]."""
        P = len(self.first.parameters)
        return self.second.at(parameters_P[P:], self.first.at(parameters_P[:P], x))


def chained(first: Fit, second: Fit) -> Fit:
    """Return the fit of one after the other; what is uncertain in both is uncertain in it."""
    return Fit(
        Chain(first.form, second.form),
        np.concatenate([first.parameters_P, second.parameters_P]),
        np.concatenate([first.resampled_RP, second.resampled_RP], 1),
        second.spread_R,
        second.r_squared,
    )


def foresee(rungs: Sequence[Rung], flops: float) -> list[Forecast]:
    """Return forecasts of a run of `flops`: its loss, then loss and accuracy of every family.

    Raises RecipeError for fewer than 4 rungs.
    """
    compute_N = np.array([rung.flops for rung in rungs])
    return [
        Forecast.make(name, FLOPS, law.fit, list(zip(compute_N.tolist(), law.measured, strict=True)), [flops])
        for name, law in laws(rungs, compute_N, LossLaw(terms=1)).items()
    ]


@dataclass(frozen=True)
class Law:
    """A fit to a ladder, and what was measured on every rung."""

    fit: Fit
    measured: list[float]


def laws(rungs: Sequence[Rung], x: Values, form: LossLaw, resamples: int = RESAMPLES) -> dict[str, Law]:
    """Return how loss, and loss and accuracy of every family, follow from `x` ([N] or [N, K], a row for every rung).

    Raises RecipeError for too few rungs.
    """
    enough = len(form.parameters) + 1
    if len(rungs) < enough:
        raise RecipeError(
            f"a forecast needs {enough} runs or more to be fitted to, not {len(rungs)}: more sizes, or more seeds"
        )

    def law(measured: list[float], seed: int) -> Law:
        return Law(fit(form, x, np.array(measured), seed=seed, resamples=resamples), measured)

    found = {LOSS: law([rung.loss for rung in rungs], 0)}
    for number, family in enumerate(sorted(rungs[0].losses), 1):
        loss = found[f"{LOSS} {family}"] = law([rung.losses[family] for rung in rungs], number)
        accuracies = [rung.accuracies[family] for rung in rungs]
        by_loss = Sigmoid(rungs[0].chances[family])
        accuracy = fit(by_loss, np.array(loss.measured), np.array(accuracies), seed=number, resamples=resamples)
        found[f"{ACCURACY} {family}"] = Law(chained(loss.fit, accuracy), accuracies)
    return found
