"""Homework in the report: pass@k before and after, and curves of what was tried."""

from collections.abc import Sequence
from html import escape
from typing import Any

from castalia.plot import Line, Plot, series

CURVES = (
    ("Rollouts right", "accuracy", "{:.0%}"),
    ("Tokens of a rollout", "length", "{:.0f}"),
    ("Entropy, nats a token", "entropy", "{:.3g}"),
    ("Prompts that taught something", "informative", "{:.0%}"),
)


def homework_html(metrics: Sequence[dict[str, Any]]) -> str:
    """Return the report's section on homework, by its lines of metrics; "" if there was none."""
    measured = [line["pass"] for line in metrics if "pass" in line]
    if not measured:
        return ""
    plots = (Plot(title, "steps", [Line("", series(metrics, key))], write.format) for title, key, write in CURVES)
    curves = "\n".join(filter(None, (plot.html() for plot in plots)))
    return (
        '<section aria-labelledby="homework"><h2 id="homework">Homework</h2>'
        f'<div class="scroll" tabindex="0" role="region" aria-labelledby="homework">{_table(measured)}</div>'
        '<p class="dim">How often one of k replies, drawn at temperature 1, is right, before and after '
        f'reinforcement learning.</p><div class="curves">{curves}</div></section>'
    )


def _table(measured: Sequence[dict[str, Any]]) -> str:
    first, last = measured[0], measured[-1]
    passes = list(dict.fromkeys(k for tasks in last.values() for rates in tasks.values() for k in rates))
    head = "".join(f'<th scope="col">pass@{escape(k)}</th>' for k in passes)
    rows = []
    for split, tasks in last.items():
        for task, rates in tasks.items():
            name = task if split == "held_out" else f"{task}, {split.replace('_', ' ')}"
            cells = "".join(f"<td>{first[split][task][k]:.0%} → <b>{rates[k]:.0%}</b></td>" for k in passes)
            rows.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    return f'<table><thead><tr><th scope="col">task</th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
