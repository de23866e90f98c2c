"""Plots from what benchmarks have recorded, with matplotlib: pip install '.[bench]'."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

KINDS = {
    "one agent": ("#888888", "o"),
    "majority": ("#3366cc", "s"),
    "weighted": ("#7799dd", "s"),
    "first": ("#66aa99", "^"),
    "best": ("#44aa44", "v"),
    "contemplating": ("#dd6600", "D"),
}
"""Colour and mark of a way, by how its name begins."""
COSTS = {"seconds": "seconds a question (median)", "tokens": "tokens a question, of all agents (mean)"}


def cost_against_accuracy(points: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> None:
    """Draw accuracy over seconds and over tokens, a row for every family of `points`."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    figure, axes = pyplot.subplots(len(points), 2, figsize=(10, 3.2 * len(points)), squeeze=False, sharey="row")
    for row, (family, its) in zip(axes, points.items(), strict=True):
        for ax, (cost, label) in zip(row, COSTS.items(), strict=True):
            for kind, (colour, mark) in KINDS.items():
                chosen = [point for point in its if point["name"].startswith(kind)]
                x, y = [point[cost] for point in chosen], [sum(point["halves"]) / 2 for point in chosen]
                ax.scatter(x, y, s=24, color=colour, marker=mark, label=kind, alpha=0.85, linewidths=0)
            ax.set_xscale("log")
            ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            ax.xaxis.set_minor_formatter(NullFormatter())
            ax.set_xlabel(label)
            ax.grid(alpha=0.25)
        row[0].set_ylabel(f"{family}: right, %")
    axes[0][1].legend(fontsize=8, frameon=False, loc="best")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
