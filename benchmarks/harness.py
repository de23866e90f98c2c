"""What all benchmarks share: their options, runs in turn, and how figures are printed and recorded."""

import argparse
import json
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from castalia.origin import origin
from castalia.training.run import load_recipe_of

FIGURES = Path(__file__).parents[1] / "docs" / "figures"
RESULTS = FIGURES.parent / "results"


def options(about: str, *, run: bool = False) -> argparse.ArgumentParser:
    """Return a parser with the options every benchmark has; with `run`, that of the trained model to use too."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="under two minutes, coarser")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON: figure names to numbers")
    parser.add_argument(
        "--record", action="store_true", help="write docs/figures/, which the tables of README and docs come from"
    )
    if run:
        which = "run directories, of which the first that fits is taken (default: the newest that fits)"
        parser.add_argument("--run", type=Path, nargs="+", help=which)
    return parser


def trained(arguments: argparse.Namespace, families: Iterable[str], *, merging: bool = False) -> Path:
    """Return the first run of ``--run``, or else the newest local one, that was trained on all `families`; say which.

    With `merging`, it must have learned to be several agents, too.
    """
    local = sorted(Path("runs").glob("*/checkpoints"), key=lambda path: path.stat().st_mtime, reverse=True)
    data = {run: load_recipe_of(run).data for run in arguments.run or [path.parent for path in local]}
    fit = (run for run, its in data.items() if set(families) <= set(its.mixture) and (its.merging or not merging))
    run = next(fit, None)
    if run is None:
        sys.exit(f"no run was trained on {', '.join(families)}: give one by --run")
    print(f"run: {run}", flush=True)
    return run


def in_turns(candidates: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Run the candidates one after the other, `rounds` times over; return the seconds of every run.

    Machines are noisy: what is compared must run side by side, so that a slow moment hits all.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, run in candidates.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def median_ratio(above: list[float], below: list[float]) -> float:
    """Return the median of the ratios, round by round."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def gemm(size: int = 1024) -> tuple[Callable[[], torch.Tensor], float]:
    """Return a matrix product that shows this machine's peak, and its number of operations."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    return lambda: a @ b, 2.0 * size**3


def finish(name: str, figures: dict[str, float], arguments: argparse.Namespace) -> None:
    """Print the figures, as JSON where wanted, and record them where wanted."""
    rounded = {key: float(f"{value:.4g}") for key, value in figures.items()}
    if arguments.record:
        words = [word for word in sys.argv[1:] if word != "--record"]
        said = origin(shlex.join(["python", f"benchmarks/{name}.py", *words])) | {"figures": rounded}
        FIGURES.mkdir(parents=True, exist_ok=True)
        (FIGURES / f"{name}.json").write_text(json.dumps(said, indent=2) + "\n")
    if arguments.json:
        print(json.dumps(rounded))
