"""The curves of a run: loss and accuracy as they are measured, and what was forecast beside what became of it."""

import json
import time
from html import escape
from pathlib import Path
from typing import Any

from castalia.forecast.forecast import FORECAST
from castalia.forecast.ladder import RUNG
from castalia.forecast.scaling import scaling_html
from castalia.plot import Curve
from castalia.training.metrics import read_metrics
from castalia.training.run import HOMEWORK

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
    names = ("metrics.jsonl", "evaluation.json", FORECAST, RUNG, f"{HOMEWORK}/metrics.jsonl")
    paths = [run / name for name in names]
    return max((path.stat().st_mtime for path in paths if path.exists()), default=0.0)


def curves_html(run: Path) -> str:
    """Return facts and curves of a run."""
    metrics = read_metrics(run / "metrics.jsonl")
    drawn = "".join(curve.html(metrics) for curve in CURVES)
    curves = drawn or '<p class="hint">No curve yet: the run has fewer than two lines of metrics.</p>'
    return f'<dl class="facts">{_facts(run, metrics)}</dl><div class="curves">{curves}</div>{scaling_html(run)}'


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
