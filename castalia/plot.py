"""A small line chart as SVG: readable without scripts, with the value under the pointer where there are scripts."""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

WIDTH, HEIGHT = 420, 220
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 10, 28
MOST_POINTS = 400
"""Points a line has at most: more cannot be seen at this width."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """A line: its name, its points from left to right, whether it is only expected, and whether it is drawn as dots."""

    name: str
    points: Sequence[Point]
    expected: bool = False
    dots: bool = False


@dataclass(frozen=True)
class Plot:
    """A chart: its title, what is counted along it, its lines, how values are written, and an interval behind them."""

    title: str
    along: str
    lines: Sequence[Line]
    write: Callable[[float], str] = "{:.3g}".format
    from_zero: bool = False
    logarithmic: bool = False
    """Whether equal ratios are equally high; only where all values are above zero."""
    ratios_along: bool = False
    """Whether equal ratios are equally far apart; only where all places are above zero."""
    band: Sequence[tuple[float, float, float]] = field(default_factory=tuple)
    """Place, lower and upper end."""

    def html(self) -> str:
        """Return the chart as a <figure>; "" if there are no two points at different places."""
        lines = [line for line in self.lines if len({x for x, _ in line.points}) > (0 if line.dots else 1)]
        if len({x for line in lines for x, _ in line.points}) < 2:
            return ""
        places = [x for line in lines for x, _ in line.points]
        values = [y for line in lines for _, y in line.points] + [y for _, *ends in self.band for y in ends]
        left, right = min(places), max(places)
        low, high = (min(0.0, *values) if self.from_zero else min(values)), max(values)
        if low == high:
            low, high = low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1)

        is_log, is_log_along = self.logarithmic and low > 0, self.ratios_along and left > 0

        def x(place: float) -> float:
            return round(LEFT + _share(place, left, right, is_log_along) * (WIDTH - LEFT - RIGHT), 1)

        def y(value: float) -> float:
            return round(HEIGHT - BOTTOM - _share(value, low, high, is_log) * (HEIGHT - TOP - BOTTOM), 1)

        marks = [
            f'<path class="grid" d="M{LEFT} {y(tick)}H{WIDTH - RIGHT}"/>'
            f'<text x="{LEFT - 6}" y="{y(tick) + 3.5}" text-anchor="end">{escape(self.write(tick))}</text>'
            for tick in (ratio_ticks(low, high) if is_log else ticks(low, high))
        ]
        marks += [
            f'<text x="{x(tick)}" y="{HEIGHT - 10}" text-anchor="middle">{short(tick)}</text>'
            for tick in (ratio_ticks(left, right) if is_log_along else ticks(left, right, about=5))
            if x(tick) < WIDTH - 2 * RIGHT
        ]
        if self.band:
            edge = [(place, lower) for place, lower, _ in self.band]
            edge += [(place, upper) for place, _, upper in reversed(self.band)]
            marks.append(f'<path class="band" d="M{_path(edge, x, y)}z"/>')
        for number, line in enumerate(lines):
            if line.dots:
                marks += [f'<circle class="dot line{number}" cx="{x(a)}" cy="{y(b)}" r="3"/>' for a, b in line.points]
                continue
            kind = " expected" if line.expected else ""
            marks.append(f'<path class="line line{number}{kind}" d="M{_path(line.points, x, y)}"/>')
        ends = ", ".join(f"{line.name} {self.write(line.points[-1][1])}" for line in lines)
        label = f"{self.title} over {full(right)} {self.along}; at the end: {ends}"
        legend = "".join(
            f'<span class="key key{number}">{escape(line.name)} {escape(self.write(line.points[-1][1]))}</span>'
            for number, line in enumerate(lines)
        )
        return (
            f'<figure class="curve"><figcaption><b>{escape(self.title)}</b><output>{legend}</output></figcaption>'
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}" tabindex="0" '
            f'data-points="{escape(self._under_pointer(lines, x, y))}">{"".join(marks)}'
            f'<g class="cursor" hidden><path d="M0 {TOP}V{HEIGHT - BOTTOM}"/></g></svg></figure>'
        )

    def _under_pointer(self, lines: Sequence[Line], x: Callable[[float], float], y: Callable[[float], float]) -> str:
        """Return, as JSON, what is shown at each place: where it is, text, and the height of every line there."""
        rows: dict[float, dict[int, float]] = {}
        for number, line in enumerate(lines):
            for place, value in line.points:
                rows.setdefault(place, {})[number] = value
        shown = []
        for place, at in sorted(rows.items()):
            said = ", ".join(f"{lines[n].name} {self.write(value)}" for n, value in at.items())
            shown.append([x(place), f"{full(place)} {self.along}: {said}", [[n, y(value)] for n, value in at.items()]])
        return json.dumps(shown, separators=(",", ":"))


@dataclass(frozen=True)
class Curve:
    """A chart of a run over its steps: a title, its lines by their keys in the metrics, and how values are written."""

    title: str
    lines: dict[str, str]
    write: Callable[[float], str]
    from_zero: bool = True
    logarithmic: bool = False

    def html(self, metrics: Sequence[dict[str, Any]]) -> str:
        """Return the chart of these metrics as a <figure>; "" if no line has two points."""
        lines = [Line(name, thinned(series(metrics, key))) for key, name in self.lines.items()]
        return Plot(self.title, "steps", lines, self.write, self.from_zero, self.logarithmic).html()


def _share(value: float, low: float, high: float, is_log: bool) -> float:
    """Return how far a value is from `low` to `high`: 0 to 1."""
    bend = math.log if is_log else float
    return (bend(value) - bend(low)) / (bend(high) - bend(low))


def _path(points: Sequence[Point], x: Callable[[float], float], y: Callable[[float], float]) -> str:
    return "L".join(f"{x(place)} {y(value)}" for place, value in points)


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Return round numbers (steps of 1, 2 or 5 times a power of ten) from `low` to `high`."""
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    return [round(n * step, 12) for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def ratio_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times powers of ten from `low` to `high`, only powers of ten where these are many."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [factor * 10.0**exponent for exponent in exponents for factor in (1, 2, 5)]
    inside = [round(tick, 12) for tick in found if low <= tick <= high]
    return inside if len(inside) <= 8 else [tick for tick in inside if math.log10(tick) % 1 == 0]


def full(number: float) -> str:
    """Return a number to its last digit, unless nobody could read it: 2,500, 1.25e+13."""
    return f"{number:.3g}" if abs(number) >= 1e12 else f"{number:,.0f}"


def short(number: float) -> str:
    """Return a number as an axis has it: 2,500, 40 k, 1.5 M, 2e+13."""
    if abs(number) >= 1e12:
        return f"{number:g}"
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if abs(number) >= size:
            return f"{number / (1e3 if unit == ' k' else size):g}{unit}"
    return f"{number:,.0f}"


def thinned(points: Sequence[Point]) -> list[Point]:
    """Return at most about `MOST_POINTS` points, the last one among them."""
    stride = -(-len(points) // MOST_POINTS) or 1
    return [*points[::stride], *([points[-1]] if points and (len(points) - 1) % stride else [])]


def series(metrics: Iterable[dict[str, Any]], key: str, along: str = "step") -> list[Point]:
    """Return (`along`, value) of every line of metrics with a finite `key`, at its top or under ``clock``."""
    points = []
    for line in metrics:
        value = line.get(key, (line.get("clock") or {}).get(key))
        if isinstance(value, int | float) and math.isfinite(value) and along in line:
            points.append((float(line[along]), float(value)))
    return points
