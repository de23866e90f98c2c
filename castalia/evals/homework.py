"""Homework in the report: pass@k before and after, and curves of what was tried."""

from collections.abc import Sequence
from html import escape
from typing import Any

from castalia.plot import Line, Plot, series
from castalia.rl.measure import before_and_after

CURVES = (
    ("Rollouts right", "accuracy", "{:.0%}"),
    ("Tokens of a rollout", "length", "{:.0f}"),
    ("Entropy, nats a token", "entropy", "{:.3g}"),
    ("Prompts that taught something", "informative", "{:.0%}"),
)


def homework_html(metrics: Sequence[dict[str, Any]]) -> str:
    """Return the report's section on homework, by its lines of metrics; "" if there was none."""
    rates = before_and_after(metrics)
    if not rates:
        return ""
    plots = (Plot(title, "steps", [Line("", series(metrics, key))], write.format) for title, key, write in CURVES)
    curves = "\n".join(filter(None, (plot.html() for plot in plots)))
    return (
        '<section aria-labelledby="homework"><h2 id="homework">Homework</h2>'
        f'<div class="scroll" tabindex="0" role="region" aria-labelledby="homework">{_table(rates)}</div>'
        '<p class="dim">How often one of k replies, drawn at temperature 1, is right, before and after '
        f'reinforcement learning.</p><div class="curves">{curves}</div></section>'
    )


def _table(rates: dict[str, dict[str, tuple[float, float]]]) -> str:
    head = "".join(f'<th scope="col">pass@{escape(k)}</th>' for k in next(iter(rates.values())))
    rows = []
    for name, passes in rates.items():
        cells = "".join(f"<td>{first:.0%} → <b>{last:.0%}</b></td>" for first, last in passes.values())
        rows.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    return f'<table><thead><tr><th scope="col">task</th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
