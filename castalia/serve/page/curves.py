"""The curves of a run: loss and accuracy as they are measured, and, where there is one, the forecast beside them."""

import json
import time
from html import escape
from pathlib import Path
from typing import Any

from castalia.plot import Curve, Line, Plot, series, thinned
from castalia.training.metrics import read_metrics

LIVE_SECONDS = 90
"""A run whose metrics were written so lately is still training."""


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
    forecast = _forecast(run / "forecast.json", metrics)
    figures = [forecast.html() if forecast else "", *(curve.html(metrics) for curve in CURVES)]
    drawn = [figure for figure in figures if figure]
    curves = "".join(drawn) or '<p class="hint">No curve yet: the run has fewer than two lines of metrics.</p>'
    return f'<dl class="facts">{_facts(run, metrics)}</dl><div class="curves">{curves}</div>'


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
    held_out = series(metrics, "held_out_loss", "positions")
    measured = Line("measured, held out", held_out) if len(held_out) > 1 else None
    measured = measured or Line("measured", thinned(series(metrics, "loss", "positions")))
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
