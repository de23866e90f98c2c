"""Plots from what benchmarks have recorded, with matplotlib."""

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
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    figure, axes = _pyplot().subplots(len(points), 2, figsize=(10, 3.2 * len(points)), squeeze=False, sharey="row")
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
    _save(figure, path)


def accuracy_and_length(points: Mapping[str, Sequence[tuple[int, float, float]]], path: Path) -> None:
    """Draw accuracy and tokens over steps, and accuracy over tokens, a row for every arm; a line is a seed.

    `points` has, by ``ARM-SEED``, (step, accuracy in points, tokens).
    """
    pyplot = _pyplot()
    arms = list(dict.fromkeys(name.rpartition("-")[0] for name in points))
    figure, axes = pyplot.subplots(len(arms), 3, figsize=(11, 2.5 * len(arms)), squeeze=False, sharey="col")
    for row, arm in zip(axes, arms, strict=True):
        for name, its in points.items():
            if name.rpartition("-")[0] != arm:
                continue
            steps, accuracies, tokens = zip(*its, strict=True)
            for ax, x, y in zip(row, (steps, steps, tokens), (accuracies, tokens, accuracies), strict=True):
                ax.plot(x, y, linewidth=1, alpha=0.8, marker="." if x is tokens else None)
        row[0].set_ylabel(f"{arm}: right, %")
        row[1].set_ylabel("tokens")
        row[2].set_ylabel("right, %")
        for ax in row:
            ax.grid(alpha=0.25)
    for ax, label in zip(axes[-1], ("steps", "steps", "tokens a reply"), strict=True):
        ax.set_xlabel(label)
    _save(figure, path)


def practice_curves(curves: Mapping[str, tuple[Sequence[float], Sequence[float], Any, Any]], path: Path) -> None:
    """Draw pass@k over steps with its line, and what was foretold from the first quarter, with its interval.

    `curves` has, by k: steps, rates, the curve of all of it, and that of its first quarter.
    """
    import numpy as np
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    pyplot = _pyplot()
    figure, axes = pyplot.subplots(1, len(curves), figsize=(5 * len(curves), 3.4), squeeze=False)
    for ax, (k, (steps, rates, whole, early)) in zip(axes[0], curves.items(), strict=True):
        along = np.geomspace(min(steps), max(steps), 100)
        low, high = early.interval(along)
        ax.fill_between(along, 100 * low, 100 * high, color="#dd6600", alpha=0.15, linewidth=0)
        ax.plot(along, 100 * early.at(along), color="#dd6600", label="foretold from the first quarter, 90 %")
        ax.plot(along, 100 * whole.at(along), "--", color="#3366cc", label=f"log-linear, R² {whole.r_squared:.2f}")
        ax.plot(steps, [100 * rate for rate in rates], "o", markersize=3, color="#222222", label="measured")
        ax.axvline(max(steps) / 4, color="#999999", linewidth=0.8, linestyle=":")
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_xlabel("steps")
        ax.set_ylabel(f"pass@{k}, held out, %")
        ax.grid(alpha=0.25)
        ax.legend(fontsize=8, frameon=False)
    _save(figure, path)


def forecast_panels(panels: Sequence[tuple[Any, Sequence[tuple[float, float]]]], path: Path) -> None:
    """Draw forecasts, a panel each: the curve with its interval, what it was fitted to, and what was measured."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = _pyplot().subplots(rows, columns, figsize=(3.6 * columns, 2.9 * rows), squeeze=False)
    for ax in axes.flat[len(panels) :]:
        ax.axis("off")
    for ax, (forecast, measured) in zip(axes.flat, panels, strict=False):
        scale = 100 if forecast.in_points else 1
        x, y = [e.x for e in forecast.curve], [scale * e.value for e in forecast.curve]
        ends = ([scale * getattr(e, name) for e in forecast.curve] for name in ("low", "high"))
        ax.fill_between(x, *ends, color="#dd6600", alpha=0.15, linewidth=0)
        ax.plot(x, y, color="#dd6600", linewidth=1.2, label=f"forecast, {forecast.share:.0%}")
        for points, colour, label in (
            (forecast.points, "#3366cc", "fitted to"), (measured, "#1d7a46", "measured after")
        ):  # fmt: skip
            ax.plot(
                [a for a, _ in points], [scale * b for _, b in points], "o", markersize=3.5, color=colour, label=label
            )
        ax.set_xscale("log")
        if x[-1] < 200 * x[0]:
            ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_title(forecast.of + (", %" if forecast.in_points else ""), fontsize=9)
        ax.set_xlabel(forecast.along, fontsize=8)
        ax.tick_params(labelsize=8)
        ax.grid(alpha=0.25)
    axes[0][0].legend(fontsize=7, frameon=False)
    _save(figure, path)


def accuracy_by_compute(
    points: Mapping[str, Sequence[tuple[float, float]]], curves: Mapping[str, Any], path: Path
) -> None:
    """Draw accuracy (per cent) over FLOPs, measured and fitted: the first two ladders, and the first beside all others.

    `points` and `curves` (fits of shares) are by the name of the ladder.
    """
    import numpy as np
    from matplotlib.ticker import LogLocator, NullFormatter

    figure, axes = _pyplot().subplots(1, 2, figsize=(11, 4), sharey=True)
    names = list(points)
    for ax, shown in ((axes[0], names[:2]), (axes[1], [names[0], *names[2:]])):
        for name in shown:
            flops = [x for x, _ in points[name]]
            along = np.geomspace(min(flops), max(flops), 50)
            (line,) = ax.plot(along, 100 * curves[name].at(along), linewidth=1.2, label=name)
            ax.plot(flops, [y for _, y in points[name]], "o", markersize=3, color=line.get_color())
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_xlabel("FLOPs")
        ax.grid(alpha=0.25)
        ax.legend(fontsize=7, frameon=False)
    axes[0].set_ylabel("right, mean of families, %")
    _save(figure, path)


def hack_rates(points: Mapping[str, Sequence[tuple[int, float, float]]], path: Path) -> None:
    """Draw how often was cheated and how often right, over steps; a line for every set of defences.

    `points` has, by their name: (step, hacked in per cent, right in per cent).
    """
    figure, axes = _pyplot().subplots(1, 2, figsize=(10, 3.4))
    for name, its in points.items():
        steps, hacked, right = zip(*its, strict=True)
        for ax, rates in zip(axes, (hacked, right), strict=True):
            ax.plot(steps, rates, marker=".", linewidth=1.2, label=name)
    for ax, label in zip(axes, ("impossible: cheated, %", "possible: right, %"), strict=True):
        ax.set_xlabel("steps")
        ax.set_ylabel(label)
        ax.set_ylim(bottom=0)
        ax.grid(alpha=0.25)
    axes[0].legend(fontsize=8, frameon=False)
    _save(figure, path)


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
