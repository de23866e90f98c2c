"""The scaling page: how a model grows by school, by homework and by attempts, each as foretold and as measured."""

import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from castalia.errors import CastaliaError
from castalia.forecast.coverage import LEAST_PROBLEMS, fit_coverage
from castalia.forecast.fits import fit
from castalia.forecast.forecast import FORECAST, Forecast, read_forecasts
from castalia.forecast.outcome import read_outcome
from castalia.forecast.practice import LogLinear
from castalia.plot import Plot
from castalia.rl.measure import pass_at
from castalia.training.metrics import read_metrics
from castalia.training.run import HOMEWORK

BLOCKS = 16
"""Of so many blocks of what is planned each is one point of what was practised: a single step's replies are few."""
KNOWN = 0.25
"""Share of the planned homework from which its end is foretold."""
LEAST_SAMPLES = 4
"""Of fewer attempts a problem nothing is foretold."""
POWERS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""Numbers of attempts of which pass@k is drawn."""
CAPTIONS = {
    "School": "Fitted to small runs before this one began; the band holds nine of ten runs.",
    "Homework": "Foretold from its first quarter, as planned; a dot is a sixteenth of it, difficulties count alike.",
    "Attempts": "How often one of k attempts is right: foretold from a quarter of what was tried.",
}


def scaling_plots(run: Path) -> dict[str, list[Plot]]:
    """Return the charts of a run by what they are along: school, homework, attempts; those that there are."""
    homework = run / HOMEWORK if (run / HOMEWORK).is_dir() else run
    began = homework / "homework.json"
    practised = read_metrics(homework / "metrics.jsonl") if began.exists() else []
    training = json.loads(began.read_text())["training"] if practised else {}
    found = {"School": school_plots(run), "Homework": homework_plots(practised, training)}
    return {name: plots for name, plots in (found | {"Attempts": attempts_plots(practised)}).items() if plots}


def school_plots(run: Path) -> list[Plot]:
    """Return what was forecast of a run before it began, with what was measured if it has ended; [] without any."""
    try:
        forecasts = read_forecasts(run / FORECAST)
    except CastaliaError:
        return []
    measured = read_outcome(run)
    return [forecast.plot(sorted(measured.get(forecast.of, {}).items())) for forecast in forecasts]


def homework_plots(metrics: Sequence[dict[str, Any]], training: Mapping[str, Any]) -> list[Plot]:
    """Return how often replies were right while practising, and what the first quarter of it had foretold.

    A quarter of what was planned: `training` says how many steps, or minutes. What is foretold is so the same whenever
    it is looked at, and before that quarter is over there is none.
    """
    blocks: dict[int, list[dict[str, Any]]] = {}
    last = 0.0
    for line in (line for line in metrics if "right_by_difficulty" in line):
        steps = training["steps"]
        done = line["step"] / steps if steps else line["clock"]["seconds"] / (60 * training["minutes"])
        blocks.setdefault(math.ceil(BLOCKS * done), []).append(line)
        last = max(last, line["step"] if done <= KNOWN else 0.0)
    points = {block: (float(np.mean([line["step"] for line in its])), _right(its)) for block, its in blocks.items()}
    known = [point for block, point in points.items() if block <= KNOWN * BLOCKS]
    later = [point for block, point in points.items() if block > KNOWN * BLOCKS]
    if len(known) < 3 or not later:
        return []
    found = fit(LogLinear(), *map(np.array, zip(*known, strict=True)))
    return [Forecast.make("rollouts right", "steps of homework", found, known, [last / KNOWN]).plot(later)]


def _right(lines: Sequence[dict[str, Any]]) -> float:
    """Return how often rollouts were right, every task and difficulty counting alike: which are practised changes."""
    shares: dict[str, list[float]] = {}
    for line in lines:
        for key, share in line["right_by_difficulty"].items():
            shares.setdefault(key, []).append(share)
    return float(np.mean([np.mean(its) for its in shares.values()]))


def attempts_plots(metrics: Sequence[dict[str, Any]]) -> list[Plot]:
    """Return pass@k of every task as homework last measured it, foretold from a few of the attempts."""
    last = next((line for line in reversed(metrics) if "right" in line and "samples" in line), None)
    if last is None or last["samples"] < LEAST_SAMPLES:
        return []
    tasks: dict[str, list[int]] = last["right"].get("held_out", {})
    enough = {task: tuple(counts) for task, counts in tasks.items() if len(counts) >= LEAST_PROBLEMS}
    return [coverage_plot(task, last["samples"], counts) for task, counts in enough.items()]


@lru_cache(maxsize=32)
def coverage_plot(task: str, samples: int, right: tuple[int, ...]) -> Plot:
    """Return the chart of pass@k of questions that were each tried `samples` times and were `right` so often.

    A quarter of the attempts at each, drawn from all, foretell what all give. A page that is looked at while a run goes
    on asks for the same chart again and again.
    """
    forecast, measured = foretell_coverage(task, samples, right, max(2, samples // 4))
    return forecast.plot(measured)


def foretell_coverage(
    task: str, samples: int, right: Sequence[int], few: int, seed: int = 0
) -> tuple[Forecast, list[tuple[float, float]]]:
    """Return the forecast of pass@k from `few` of the attempts, and what all of them measure beyond: (k, pass@k)."""
    right_N = np.asarray(right)
    right_few = np.random.default_rng(seed).hypergeometric(right_N, samples - right_N, few).tolist()

    def rates(attempts: int, counts: Sequence[int], places: Sequence[int]) -> list[tuple[float, float]]:
        return [(float(k), float(np.mean([pass_at(k, attempts, count) for count in counts]))) for k in places]

    known = rates(few, right_few, [k for k in POWERS if k <= few])
    measured = rates(samples, right, sorted({*(k for k in POWERS if few < k <= samples), samples}))
    found = fit_coverage(right_few, few)
    return Forecast.make(f"pass@k, {task}", "attempts", found, known, [k for k, _ in measured]), measured


def scaling_html(run: Path) -> str:
    """Return the section of a page: a heading and charts for all that there is; "" if there is nothing."""
    parts = [
        f'<h3>{name}</h3><p class="dim">{CAPTIONS[name]}</p>'
        f'<div class="curves">{"".join(plot.html() for plot in plots)}</div>'
        for name, plots in scaling_plots(run).items()
    ]
    if not parts:
        return ""
    return f'<section aria-labelledby="scaling"><h2 id="scaling">Scaling</h2>{"".join(parts)}</section>'
