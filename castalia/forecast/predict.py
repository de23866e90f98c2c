"""From the rungs of a ladder to forecasts of a larger run: its loss, that of every family, and their accuracies."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from castalia.errors import RecipeError
from castalia.forecast.accuracy import Sigmoid
from castalia.forecast.fits import Curve, Fit, Values, fit
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
    if len(rungs) < 4:
        raise RecipeError(
            f"a forecast needs 4 runs or more to be fitted to, not {len(rungs)}: more sizes, or more seeds"
        )
    compute_N = np.array([rung.flops for rung in rungs])

    def law(of: Callable[[Rung], float], seed: int) -> Fit:
        return fit(LossLaw(terms=1), compute_N, np.array([of(rung) for rung in rungs]), seed=seed)

    def made(name: str, found: Fit, of: Callable[[Rung], float]) -> Forecast:
        return Forecast.make(name, FLOPS, found, [(rung.flops, of(rung)) for rung in rungs], [flops])

    forecasts = [made(LOSS, law(lambda rung: rung.loss, 0), lambda rung: rung.loss)]
    for number, family in enumerate(sorted(rungs[0].losses), 1):
        loss = law(lambda rung, family=family: rung.losses[family], number)
        forecasts.append(made(f"{LOSS} {family}", loss, lambda rung, family=family: rung.losses[family]))
        losses_N = np.array([rung.losses[family] for rung in rungs])
        accuracies_N = np.array([rung.accuracies[family] for rung in rungs])
        accuracy = fit(Sigmoid(rungs[0].chances[family]), losses_N, accuracies_N, seed=number)
        both = chained(loss, accuracy)
        forecasts.append(made(f"{ACCURACY} {family}", both, lambda rung, family=family: rung.accuracies[family]))
    return forecasts
