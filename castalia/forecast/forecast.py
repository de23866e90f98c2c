"""A forecast: what small runs were fitted with, and what is expected of a larger one, written down before it begins."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from castalia.errors import DataError
from castalia.forecast.fits import Fit
from castalia.plot import Line, Plot
from castalia.training.checkpoint import replace_file

FORECAST = "forecast.json"
"""What a run's forecasts are kept in, in its directory."""
Point = tuple[float, float]
DRAWN = 60
"""Places at which a curve is kept, to be drawn and looked up."""
BEYOND = 4.0
"""How many times as far as the last target it reaches: runs may become longer than planned."""


@dataclass(frozen=True)
class Expectation:
    """What is expected at one place, and the ends between which a run there lies with the forecast's probability."""

    x: float
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Check:
    """An expectation beside what was measured. `error` is in per cent of it, or in points where shares are forecast."""

    expected: Expectation
    measured: float
    error: float

    @property
    def inside(self) -> bool:
        """Whether it lies in the interval."""
        return self.expected.low <= self.measured <= self.expected.high


@dataclass(frozen=True)
class Forecast:
    """What is forecast (`of`), along what, from which `points`, by which form; `targets` is what will be checked."""

    of: str
    along: str
    form: str
    parameters: dict[str, float]
    r_squared: float
    points: tuple[Point, ...]
    targets: tuple[Expectation, ...]
    curve: tuple[Expectation, ...]
    share: float = 0.9
    in_points: bool = False
    """Whether what is forecast is a share from 0 to 1, whose errors are differences; otherwise they are ratios."""
    questions: int = 50
    """Exam questions a family and difficulty that it was fitted to, and is to be checked by."""
    written: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @classmethod
    def make(
        cls,
        of: str,
        along: str,
        fit: Fit,
        points: Sequence[Point],
        targets: Sequence[float],
        *,
        share: float = 0.9,
        at: Mapping[float, Sequence[float]] | None = None,
    ) -> "Forecast":
        """Make the forecast of a fit. Where its form is over several things, `at` says what these are at a target."""

        def expected(places: Sequence[float]) -> tuple[Expectation, ...]:
            x = np.array([at[place] for place in places] if at else places, float)
            rows = np.stack([fit.at(x), *fit.interval(x, share, of_runs=True)], 1)
            rows = rows if fit.form.in_logs else rows.clip(0, 1)
            return tuple(Expectation(place, *map(float, row)) for place, row in zip(places, rows, strict=True))

        places = sorted([*(x for x, _ in points), *targets])
        along_curve = sorted(at) if at else np.geomspace(places[0], BEYOND * places[-1], DRAWN).tolist()
        parameters = dict(zip(fit.form.parameters, map(float, fit.parameters_P), strict=True))
        return cls(
            of, along, fit.form.name, parameters, fit.r_squared, tuple(points),
            expected(targets), expected(along_curve), share, not fit.form.in_logs,
        )  # fmt: skip

    def check(self, measured: Mapping[float, float]) -> list[Check]:
        """Return what was `measured` (y by x) beside what had been expected there."""
        checks = []
        for x, value in measured.items():
            expected = self.expected(x)
            apart = expected.value - value
            checks.append(Check(expected, value, 100 * apart if self.in_points else 100 * apart / value))
        return checks

    def expected(self, x: float) -> Expectation:
        """Return what is expected at a place. Raises DataError outside of the curve."""
        if target := next((target for target in self.targets if target.x == x), None):
            return target
        places = [e.x for e in self.curve]
        if not places[0] <= x <= places[-1]:
            raise DataError(f"{self.of} was forecast for {places[0]:.3g} to {places[-1]:.3g} {self.along}, not {x:.3g}")
        rows = ([getattr(e, name) for e in self.curve] for name in ("value", "low", "high"))
        return Expectation(x, *(float(np.interp(np.log(x), np.log(places), row)) for row in rows))

    def plot(self, measured: Sequence[Point] = ()) -> Plot:
        """Return a chart: the curve with its interval, the points that it was fitted to, and what was measured."""
        lines = [
            Line("forecast", [(e.x, e.value) for e in self.curve], expected=True),
            Line("fitted to", sorted(self.points), dots=True),
            *([Line("measured", sorted(measured), dots=True)] if measured else []),
        ]
        band = tuple((e.x, e.low, e.high) for e in self.curve)
        write = "{:.0%}".format if self.in_points else "{:.3g}".format
        return Plot(self.of, self.along, lines, write, band=band, logarithmic=not self.in_points, ratios_along=True)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "Forecast":
        """Read what `to_json` wrote. Raises DataError if it is no forecast."""
        try:
            read: dict[str, Any] = {**said, "points": tuple((float(x), float(y)) for x, y in said["points"])}
            read |= {name: tuple(Expectation(**e) for e in said[name]) for name in ("targets", "curve")}
            return cls(**read)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"not a forecast: {error}") from error


def write_forecasts(path: Path, forecasts: Sequence[Forecast]) -> None:
    """Write forecasts to a file, at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps([forecast.to_json() for forecast in forecasts], indent=1))


def read_forecasts(path: Path) -> list[Forecast]:
    """Read what `write_forecasts` wrote; [] if there is none."""
    if not path.exists():
        return []
    try:
        return [Forecast.from_json(said) for said in json.loads(path.read_text())]
    except (json.JSONDecodeError, TypeError) as error:
        raise DataError(f"{path} holds no forecasts: {error}") from error
