"""Curves of a run, in the report: one small chart a quantity."""

from collections.abc import Sequence
from typing import Any

from castalia.plot import Curve

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
    return "\n".join(filter(None, (curve.html(metrics) for curve in CURVES)))
