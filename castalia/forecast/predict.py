"""From the rungs of a ladder to forecasts of a larger run: loss and accuracy of every family, and loss of all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from castalia.errors import RecipeError
from castalia.forecast.accuracy import Sigmoid
from castalia.forecast.fits import RESAMPLES, Curve, Fit, Form, Values, enough_for, fit, freedom_of, r_squared
from castalia.forecast.forecast import Forecast
from castalia.forecast.ladder import Rung
from castalia.forecast.loss import BentPower

FLOPS = "FLOPs"
SURE = 2.0
"""Standard deviations above guessing from which on a family is answered."""
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


@dataclass(frozen=True)
class ChainedFit(Fit):
    """The fit of one curve after another. What is uncertain in both is uncertain in it, and what a run's luck does to
    the first it does to the second; `asked` is the number of questions that the second is a share of."""

    first: Fit
    second: Fit
    asked: int

    @classmethod
    def of(cls, first: Fit, second: Fit, asked: int) -> "ChainedFit":
        """Return the fit of `second` after `first`."""
        parameters_P = np.concatenate([first.parameters_P, second.parameters_P])
        resampled_RP = np.concatenate([first.resampled_RP, second.resampled_RP], 1)
        form = Chain(first.form, second.form)
        return cls(form, parameters_P, resampled_RP, second.spread_R, second.r_squared, first, second, asked)

    def sample(self, x: Values, *, of_runs: bool = False) -> Values:
        """Return what y might be at every place, by every resample, [R, N]."""
        inner_RN, rows_RP = self.first.sample(x, of_runs=of_runs), self.second.resampled_RP
        y_RN = np.stack([self.second.form.at(row, inner_N) for row, inner_N in zip(rows_RP, inner_RN, strict=True)])
        if not of_runs:
            return y_RN
        likely_RN = (self.asked * y_RN + 0.5) / (self.asked + 1)  # none or all right of so many says little
        drawn_RN = np.sqrt(likely_RN * (1 - likely_RN) / max(1, self.asked))
        noise_R1 = np.random.default_rng(1).standard_normal((len(y_RN), 1))
        return y_RN + noise_R1 * np.maximum(self.spread_R[:, None], drawn_RN)


@dataclass(frozen=True)
class Mean:
    """The mean of several curves by their shares: the loss of a mixture by those of its families."""

    curves: tuple[Curve, ...]
    shares: tuple[float, ...]
    in_logs: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """Its name."""
        return f"mean of {len(self.curves)} families' {self.curves[0].name}"

    @property
    def parameters(self) -> tuple[str, ...]:
        """Those of all curves."""
        return tuple(f"{name}_{number}" for number, curve in enumerate(self.curves) for name in curve.parameters)

    def at(self, parameters_P: Values, x: Values) -> Values:
        """Return the mean of the curves, [N]."""
        each = np.split(parameters_P, np.cumsum([len(curve.parameters) for curve in self.curves])[:-1])
        rows = zip(self.shares, self.curves, each, strict=True)
        return sum((share * curve.at(row, x) for share, curve, row in rows), np.zeros(len(x)))


def mean_of(fits: Sequence[Fit], shares: Sequence[float], x: Values, y_N: Values) -> Fit:
    """Return the fit of a mean by those of its parts; `y_N`, what was measured of it, says how far runs lie apart."""
    form = Mean(tuple(one.form for one in fits), tuple(shares))
    parameters_P = np.concatenate([one.parameters_P for one in fits])
    fitted_N = form.at(parameters_P, np.asarray(x, float))
    freedom, resamples = freedom_of(fits[0].form, len(y_N)), len(fits[0].spread_R)
    apart = float((np.log(y_N / fitted_N) ** 2).sum())
    spread_R = np.sqrt(apart / np.random.default_rng(0).chisquare(freedom, resamples))
    resampled_RP = np.concatenate([one.resampled_RP for one in fits], 1)
    return Fit(form, parameters_P, resampled_RP, spread_R, r_squared(y_N, fitted_N))


def foresee(rungs: Sequence[Rung], flops: float) -> list[Forecast]:
    """Return forecasts of a run of `flops`: its loss, that of every family, the accuracy of those that are answered.

    Raises RecipeError for fewer than 4 rungs.
    """
    compute_N = np.array([rung.flops for rung in rungs])
    return [
        Forecast.make(name, FLOPS, law.fit, list(zip(compute_N.tolist(), law.measured, strict=True)), [flops])
        for name, law in laws(rungs, compute_N, BentPower(float(compute_N.max()))).items()
    ]


@dataclass(frozen=True)
class Law:
    """A fit to a ladder, and what was measured on every rung."""

    fit: Fit
    measured: list[float]


def laws(rungs: Sequence[Rung], x: Values, form: Form, resamples: int = RESAMPLES) -> dict[str, Law]:
    """Return how loss, and loss and accuracy by family, follow from `x` ([N] or [N, K], a row for every rung).

    Raises RecipeError for too few rungs.
    """
    enough = enough_for(form)
    if len(rungs) < enough:
        raise RecipeError(
            f"a forecast needs {enough} runs or more to be fitted to, not {len(rungs)}: more sizes, or more seeds"
        )
    if len(np.unique(x, axis=0)) < 2:
        raise RecipeError("a forecast needs runs of two sizes or more: what one size gives says nothing of another")
    families, shares = sorted(rungs[0].losses), rungs[0].shares
    losses = {family: _law(form, x, [rung.losses[family] for rung in rungs], resamples) for family in families}
    # Families are learned at rates of their own: their sum bends where none of them does.
    measured = [rung.loss for rung in rungs]
    fits = [losses[family].fit for family in families]
    mean = mean_of(fits, [shares[family] for family in families], x, np.array(measured))
    found = {LOSS: Law(mean, measured)} | {f"{LOSS} {family}": law for family, law in losses.items()}
    for family in answering(rungs):
        chance = rungs[0].chances[family]
        accuracies = [rung.accuracies[family] for rung in rungs]
        by_loss = Sigmoid(min(chance, *accuracies))
        accuracy = _law(by_loss, np.array(losses[family].measured), accuracies, resamples)
        asked = min(rung.asked for rung in rungs)
        found[f"{ACCURACY} {family}"] = Law(ChainedFit.of(losses[family].fit, accuracy.fit, asked), accuracies)
    return found


def answering(rungs: Sequence[Rung]) -> list[str]:
    """Return the families that runs of the largest size, together, answer better than by guessing.

    Of the others nobody can say from these runs when they will be learned: their accuracy is not foretold.
    """
    largest = [rung for rung in rungs if rung.size == max(rung.size for rung in rungs)]
    asked, found = sum(rung.asked for rung in largest), []
    for family, chance in rungs[0].chances.items():
        right = sum(rung.accuracies[family] * rung.asked for rung in largest)
        if right > chance * asked + SURE * max(1.0, chance * (1 - chance) * asked) ** 0.5:
            found.append(family)
    return found


def _law(form: Form, x: Values, measured: list[float], resamples: int) -> Law:
    return Law(fit(form, x, np.array(measured), resamples=resamples), measured)
