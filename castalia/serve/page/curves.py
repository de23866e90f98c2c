"""The curves of a run: loss and accuracy as they are measured, and, where there is one, the forecast beside them."""

import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from castalia.serve.page.plot import Line, Plot, Point, thinned
from castalia.training.metrics import read_metrics

LIVE_SECONDS = 90
"""A run whose metrics were written so lately is still training."""


@dataclass(frozen=True)
class Curve:
    """One chart of a run: its title, its lines by their keys in the metrics, and how values are written."""

    title: str
    lines: dict[str, str]
    write: Callable[[float], str]
    from_zero: bool = True
    logarithmic: bool = False


CURVES = (
    Curve(
        "Loss", {"loss": "training", "held_out_loss": "held out"}, "{:.3g}".format, from_zero=False, logarithmic=True
    ),
    Curve("Accuracy", {"accuracy": "accuracy", "held_out_accuracy": "held out"}, "{:.0%}".format),
    Curve("Share of questions solved", {"pass@1": "pass@1", "pass@16": "pass@16"}, "{:.0%}".format),
    Curve("Reward", {"reward": "reward"}, "{:.3g}".format),
    Curve("Tokens a second", {"tokens_per_second": "tokens a second"}, "{:,.0f}".format),
    Curve("Learning rate, share of its peak", {"lr_factor": "share"}, "{:.0%}".format),
    Curve("Gradient norm", {"grad_norm": "norm"}, "{:.3g}".format),
)


def runs_in(directory: Path) -> list[str]:
    """Return names of runs with metrics, the one that was written to last first."""
    found = sorted(directory.glob("*/metrics.jsonl"), key=lambda path: path.stat().st_mtime, reverse=True)
    return [path.parent.name for path in found]


def stamp(run: Path) -> float:
    """Return when anything that is drawn of a run was last written."""
    paths = [run / name for name in ("metrics.jsonl", "evaluation.json", "forecast.json")]
    return max((path.stat().st_mtime for path in paths if path.exists()), default=0.0)


def curves_html(run: Path) -> str:
    """Return facts and curves of a run."""
    metrics = read_metrics(run / "metrics.jsonl")
    plots = [_forecast(run / "forecast.json", metrics), *(_plot(curve, metrics) for curve in CURVES)]
    drawn = [plot.html() for plot in plots if plot]
    drawn = [figure for figure in drawn if figure]
    curves = "".join(drawn) or '<p class="hint">No curve yet: the run has fewer than two lines of metrics.</p>'
    return f'<dl class="facts">{_facts(run, metrics)}</dl><div class="curves">{curves}</div>'


def _plot(curve: Curve, metrics: list[dict[str, Any]]) -> Plot:
    lines = [Line(name, thinned(_series(metrics, key))) for key, name in curve.lines.items()]
    return Plot(curve.title, "steps", lines, curve.write, curve.from_zero, curve.logarithmic)


def _series(metrics: Iterable[dict[str, Any]], key: str, along: str = "step") -> list[Point]:
    """Return (`along`, value) of every line with a finite `key`, at its top or under ``clock``."""
    points = []
    for line in metrics:
        value = line.get(key, (line.get("clock") or {}).get(key))
        if isinstance(value, int | float) and math.isfinite(value) and along in line:
            points.append((float(line[along]), float(value)))
    return points


def _forecast(path: Path, metrics: list[dict[str, Any]]) -> Plot | None:
    """Return the forecast loss with its interval and the measured one; None if there is no forecast that can be read.

    It is read as ``{"curve": {"positions": […], "loss": […], "low": […], "high": […]}}``.
    """
    try:
        curve = json.loads(path.read_text())["curve"]
        rows = [tuple(map(float, row)) for row in zip(curve["positions"], curve["loss"], strict=True)]
        ends = zip(curve["positions"], curve.get("low", ()), curve.get("high", ()), strict=False)
        band = [(float(place), float(low), float(high)) for place, low, high in ends]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    expected = [(place, loss) for place, loss in rows]
    held_out = _series(metrics, "held_out_loss", "positions")
    measured = Line("measured, held out", held_out) if len(held_out) > 1 else None
    measured = measured or Line("measured", thinned(_series(metrics, "loss", "positions")))
    first = min((place for place, _ in expected), default=0.0)
    # Before the forecast begins the loss falls so far that nothing else could be seen.
    seen = [point for point in measured.points if point[0] >= first] or measured.points
    lines = [Line(measured.name, seen), Line("forecast", expected, expected=True)]
    return Plot("Loss, forecast and measured", "positions", lines, logarithmic=True, band=band)


def _facts(run: Path, metrics: list[dict[str, Any]]) -> str:
    facts: dict[str, str] = {}
    if metrics:
        last = metrics[-1] | (metrics[-1].get("clock") or {})
        of = f" of {last['last_step']:,}" if last.get("last_step") else ""
        facts["step"] = f"{last['step']:,}{of}"
        if "positions" in last:
            facts["positions"] = f"{last['positions']:,}"
        if "seconds" in last:
            facts["trained for"] = f"{int(last['seconds']) // 60} min {int(last['seconds']) % 60:02d} s"
    if accuracy := _accuracy(run / "evaluation.json"):
        facts["held-out answers right"] = accuracy
    ago = time.time() - stamp(run)
    facts["state"] = "training now" if metrics and ago < LIVE_SECONDS and not _is_over(metrics[-1]) else "at rest"
    live = {"training now": ' class="live"'}
    return "".join(
        f"<div><dt>{escape(name)}</dt><dd{live.get(value, '')}>{escape(value)}</dd></div>"
        for name, value in facts.items()
    )


def _is_over(last: dict[str, Any]) -> bool:
    return last["step"] == (last.get("clock") or {}).get("last_step")


def _accuracy(path: Path) -> str:
    try:
        return f"{float(json.loads(path.read_text())['accuracy']):.1%}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
