"""Curves of a run as SVG: one small chart a quantity, readable without scripts, with a value under the pointer."""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

WIDTH, HEIGHT = 420, 210
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 10, 28
MOST_POINTS = 400
"""Points a line has at most; more cannot be seen at this width, and the file stays small."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Curve:
    """One chart: a title, how a value is written, and the metrics drawn in it, by key, with their names."""

    title: str
    lines: dict[str, str]
    write: Callable[[float], str]
    from_zero: bool = True


CURVES = (
    Curve("Loss", {"loss": "training", "held_out_loss": "held out"}, "{:.3g}".format, from_zero=False),
    Curve("Learning rate", {"lr": "learning rate"}, "{:.3g}".format),
    Curve("Learning rate, share of its peak", {"lr_factor": "share"}, "{:.0%}".format),
    Curve("Tokens a second", {"tokens_per_second": "tokens a second"}, "{:,.0f}".format),
    Curve("Share of the machine’s peak", {"peak_share": "share"}, "{:.0%}".format),
    Curve("Gradient norm", {"grad_norm": "norm"}, "{:.3g}".format),
)


def curves_html(metrics: Sequence[dict[str, Any]]) -> str:
    """Return a figure for every curve of which `metrics` has at least two points."""
    return "\n".join(filter(None, (_figure(curve, metrics) for curve in CURVES)))


def series(metrics: Iterable[dict[str, Any]], key: str) -> list[Point]:
    """Return (step, value) of every line with a finite `key`, at its top or under ``clock``, thinned but to its end."""
    points = []
    for line in metrics:
        value = line.get(key, (line.get("clock") or {}).get(key))
        if isinstance(value, (int, float)) and math.isfinite(value):
            points.append((float(line["step"]), float(value)))
    stride = -(-len(points) // MOST_POINTS) or 1
    return points[::stride] + ([points[-1]] if points and (len(points) - 1) % stride else [])


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Return round numbers (steps of 1, 2 or 5 times a power of ten) from `low` to `high`."""
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    return [round(n * step, 12) for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _figure(curve: Curve, metrics: Sequence[dict[str, Any]]) -> str:
    drawn = {name: points for key, name in curve.lines.items() if len(points := series(metrics, key)) > 1}
    if not drawn:
        return ""
    steps = [step for points in drawn.values() for step, _ in points]
    values = [value for points in drawn.values() for _, value in points]
    left, right = min(steps), max(steps)
    low, high = (min(0.0, *values) if curve.from_zero else min(values)), max(values)
    if left == right:
        return ""
    if low == high:
        low, high = low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1)

    def x(step: float) -> float:
        return round(LEFT + (step - left) / (right - left) * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)

    marks = [
        f'<path class="grid" d="M{LEFT} {y(tick)}H{WIDTH - RIGHT}"/>'
        f'<text x="{LEFT - 6}" y="{y(tick) + 3.5}" text-anchor="end">{escape(curve.write(tick))}</text>'
        for tick in ticks(low, high)
    ]
    marks += [
        f'<text x="{x(tick)}" y="{HEIGHT - 10}" text-anchor="middle">{tick:,.0f}</text>'
        for tick in ticks(left, right, about=6)
        if tick == int(tick) and x(tick) < WIDTH - 2 * RIGHT
    ]
    for number, points in enumerate(drawn.values()):
        path = "L".join(f"{x(step)} {y(value)}" for step, value in points)
        marks.append(f'<path class="line line{number}" d="M{path}"/>')
    last = ", ".join(f"{name} {curve.write(points[-1][1])}" for name, points in drawn.items())
    label = f"{curve.title} over {right:,.0f} steps; at the end: {last}"
    return (
        f'<figure class="curve"><figcaption><b>{escape(curve.title)}</b>{_legend(curve, drawn)}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}" tabindex="0" '
        f'data-points="{escape(_under_pointer(curve, drawn, x, y))}">{"".join(marks)}'
        f'<g class="cursor" hidden><path d="M0 {TOP}V{HEIGHT - BOTTOM}"/></g></svg></figure>'
    )


def _legend(curve: Curve, drawn: dict[str, list[Point]]) -> str:
    """Name the lines beside the values that they end in."""
    items = [
        f'<span class="key key{number}">{escape(name) if len(drawn) > 1 else "at the end"} '
        f"{escape(curve.write(points[-1][1]))}</span>"
        for number, (name, points) in enumerate(drawn.items())
    ]
    return f"<output>{''.join(items)}</output>"


def _under_pointer(
    curve: Curve, drawn: dict[str, list[Point]], x: Callable[[float], float], y: Callable[[float], float]
) -> str:
    """Return, as JSON, what the page shows at each step: place, text, and the height of every line there."""
    rows: dict[float, dict[int, float]] = {}
    for number, points in enumerate(drawn.values()):
        for step, value in points:
            rows.setdefault(step, {})[number] = value
    names = list(drawn)
    shown = []
    for step, at in sorted(rows.items()):
        said = [f"{names[n]} {curve.write(value)}" if len(names) > 1 else curve.write(value) for n, value in at.items()]
        shown.append([x(step), f"step {step:,.0f}: " + ", ".join(said), [[n, y(value)] for n, value in at.items()]])
    return json.dumps(shown, separators=(",", ":"))
