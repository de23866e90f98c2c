"""Speed of the data pipeline: what one worker process makes, against what the trainer uses.

    python benchmarks/data.py            about six minutes
    python benchmarks/data.py --quick    shorter turns

For every family of the recipe `pocket` and for their mixture: positions and documents a second that come out of one
worker process, drawn, perceived, packed and sent over, while nothing else runs. In turn with it the trainer takes steps
on batches of the mixture that are ready in memory, on all cores, compiled; `feed_ratio` is the median over turns of
the worker's positions a second over the trainer's.

Other programs slow the trainer far more than the worker, for its threads wait for each other: with one core taken the
ratio came out far too good. So turns in which others took more than a tenth of a core do not count (where it can be
seen: on Linux), and where fewer than three are left there is no figure.
"""

import dataclasses
import functools
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from harness import finish, options

from castalia.data.stream import Loader
from castalia.model import Decoder
from castalia.perception.packing import Batch
from castalia.recipes import load_recipe
from castalia.training.memory import keep_freed_memory
from castalia.training.pretrain import open_data
from castalia.training.recipe import Recipe
from castalia.training.run import create_run
from castalia.training.trainer import Trainer

READY = 32
"""Batches that the trainer is given in turn."""
MOST_OTHERS = 0.1
"""Cores that other programs may take during a turn that counts."""


def main() -> None:
    """Measure and print."""
    arguments = options(__doc__ or "").parse_args()
    keep_freed_memory()
    turns, seconds, warm = (5, 2.0, 4.0) if arguments.quick else (15, 5.0, 20.0)
    directory = Path(tempfile.mkdtemp()) / "run"
    recipe = create_run(load_recipe("pocket"), directory)
    figures: dict[str, float] = {}
    print(f"{'one worker process':20}{'positions/s':>14}{'documents/s':>14}{'cores others took':>20}")
    for family in recipe.data.mixture:
        alone = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, mixture={family: 1.0}))
        worker = Worker(alone, directory)
        worker.turn(warm / 2)
        turn = worker.turn(seconds)
        del worker  # ends its process
        show(family, turn)
        figures |= {f"{name}_per_second_{family}": getattr(turn, name) for name in ("positions", "documents")}
    figures |= against_trainer(recipe, directory, turns, seconds, warm)
    finish("data", figures, arguments)


class Turn(NamedTuple):
    """Positions and documents a second, and the cores that other programs took meanwhile."""

    positions: float
    documents: float
    others: float


def show(name: str, turn: Turn) -> None:
    """Print a line of the table."""
    print(f"{name:20}{turn.positions:14,.0f}{turn.documents:14,.0f}{turn.others:20.2f}", flush=True)


class Worker:
    """One worker process making the batches of a recipe."""

    def __init__(self, recipe: Recipe, directory: Path) -> None:
        feed = dataclasses.replace(recipe.feed, workers=1)
        self.batches = Loader(functools.partial(open_data, recipe, directory), feed)

    def turn(self, seconds: float) -> Turn:
        """Take batches for `seconds`, without those that lay ready."""
        for _ in range(4):
            next(self.batches)
        return take(self.batches, seconds, helpers=1)


def take(batches: Iterator[Batch], seconds: float, helpers: int) -> Turn:
    """Run through `batches` for `seconds`; `helpers` is how many processes of ours work beside this one."""
    positions = documents = 0
    started, busy, own = time.perf_counter(), busy_seconds(), time.process_time()
    while (elapsed := time.perf_counter() - started) < seconds:
        batch = next(batches)
        positions, documents = positions + batch.positions, documents + batch.documents
    others = (busy_seconds() - busy - (time.process_time() - own)) / elapsed - helpers
    return Turn(positions / elapsed, documents / elapsed, max(0.0, others))


def busy_seconds() -> float:
    """Return how long all cores together have worked since the machine started; 0 where it cannot be seen."""
    try:
        user, nice, system, _, _, *interrupts = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9])
    except OSError:
        return 0.0
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def against_trainer(recipe: Recipe, directory: Path, turns: int, seconds: float, warm: float) -> dict[str, float]:
    """Let both work in turn until enough turns were undisturbed, or too many disturbed."""
    worker = Worker(recipe, directory)
    ready = itertools.cycle([next(worker.batches) for _ in range(READY)])
    trainer = Trainer(Decoder(recipe.model).initialise(0), recipe.training, directory)

    def learned() -> Iterator[Batch]:
        for batch in ready:
            trainer.step(batch)
            yield batch

    next(learned())  # compiles
    take(learned(), warm, helpers=0)
    worker.turn(warm)
    both: list[tuple[Turn, Turn]] = []
    disturbed = 0
    while len(both) < turns and disturbed < turns:
        made = worker.turn(seconds)
        take(learned(), 0.5, helpers=0)  # meanwhile the worker fills its queue, and then waits
        used = take(learned(), seconds, helpers=0)
        if max(made.others, used.others) <= MOST_OTHERS:
            both.append((made, used))
        else:
            disturbed += 1
    if len(both) < 3:
        raise SystemExit(f"other programs disturbed {disturbed} turns of {disturbed + len(both)}: no figure to give")
    made, used = (Turn(*map(statistics.median, zip(*side, strict=True))) for side in zip(*both, strict=True))
    ratio = statistics.median(ours.positions / its.positions for ours, its in both)
    show("mixture", made)
    show("the trainer uses", used)
    print(f"one worker makes {ratio:.2f} times what the trainer uses ({len(both)} turns, {disturbed} more disturbed)")
    rates = {"positions_per_second": made.positions, "documents_per_second": made.documents}
    return {"feed_ratio": ratio, **rates, "trainer_positions_per_second": used.positions}


if __name__ == "__main__":
    main()
