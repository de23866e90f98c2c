"""Speed of the data pipeline: what one worker process makes, against what the trainer uses.

    python benchmarks/data.py            about six minutes
    python benchmarks/data.py --quick    shorter turns

For every family of the recipe `pocket` and for their mixture: positions and documents a second that come out of one
worker process, drawn, perceived, packed and sent over, while nothing else runs. In turn with it the trainer takes steps
on batches of the mixture that are ready in memory, on all cores, compiled; `feed_ratio` is the median over turns of
the worker's positions a second over the trainer's.
"""

import dataclasses
import functools
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

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


def main() -> None:
    """Measure and print."""
    arguments = options(__doc__ or "").parse_args()
    keep_freed_memory()
    turns, seconds, warm = (5, 2.0, 4.0) if arguments.quick else (15, 5.0, 20.0)
    directory = Path(tempfile.mkdtemp()) / "run"
    recipe = create_run(load_recipe("pocket"), directory)
    figures: dict[str, float] = {}
    print(f"{'one worker process':20}{'positions/s':>14}{'documents/s':>14}")
    for family in recipe.data.mixture:
        alone = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, mixture={family: 1.0}))
        loader = Worker(alone, directory)
        loader.take(warm / 2)
        positions, documents = loader.take(seconds)
        loader.close()
        show(family, positions, documents)
        figures |= {f"positions_per_second_{family}": positions, f"documents_per_second_{family}": documents}
    figures |= against_trainer(recipe, directory, turns, seconds, warm)
    finish("data", figures, arguments)


def show(name: str, positions: float, documents: float) -> None:
    """Print a line of the table."""
    print(f"{name:20}{positions:14,.0f}{documents:14,.0f}", flush=True)


class Worker:
    """One worker process making the batches of a recipe."""

    def __init__(self, recipe: Recipe, directory: Path) -> None:
        feed = dataclasses.replace(recipe.feed, workers=1)
        self._batches = Loader(functools.partial(open_data, recipe, directory), feed)

    def batch(self) -> Batch:
        """Return the next batch."""
        return next(self._batches)

    def take(self, seconds: float) -> tuple[float, float]:
        """Take batches for `seconds`; return positions and documents a second, without those that lay ready."""
        for _ in range(4):
            self.batch()
        return rates((self.batch() for _ in itertools.count()), seconds)

    def close(self) -> None:
        """End the process."""
        del self._batches


def rates(batches: Iterator[Batch], seconds: float) -> tuple[float, float]:
    """Run through `batches` for `seconds`; return their positions and documents a second."""
    started = time.perf_counter()
    positions = documents = 0
    for batch in batches:
        positions += batch.positions
        documents += batch.documents
        if (elapsed := time.perf_counter() - started) >= seconds:
            return positions / elapsed, documents / elapsed
    raise ValueError("the batches came to an end")


def against_trainer(recipe: Recipe, directory: Path, turns: int, seconds: float, warm: float) -> dict[str, float]:
    """Let a worker and the trainer work in turn."""
    worker = Worker(recipe, directory)
    ready = itertools.cycle([worker.batch() for _ in range(READY)])
    trainer = Trainer(Decoder(recipe.model).initialise(0), recipe.training, directory)

    def learned() -> Iterator[Batch]:
        for batch in ready:
            trainer.step(batch)
            yield batch

    for _ in itertools.islice(learned(), 2 * READY):  # compiles
        pass
    worker.take(warm)
    made, used = [], []
    for _ in range(turns):
        made.append(worker.take(seconds))
        for _ in itertools.islice(learned(), 4):  # meanwhile the worker fills its queue, and then waits
            pass
        used.append(rates(learned(), seconds))
    worker.close()
    (positions, documents), (trained, _) = (map(statistics.median, zip(*turn, strict=True)) for turn in (made, used))
    ratio = statistics.median(ours[0] / its[0] for ours, its in zip(made, used, strict=True))
    show("mixture", positions, documents)
    print(f"{'the trainer uses':20}{trained:14,.0f}\none worker makes {ratio:.2f} times what the trainer uses")
    return {
        "feed_ratio": ratio,
        "positions_per_second": positions,
        "documents_per_second": documents,
        "trainer_positions_per_second": trained,
    }


if __name__ == "__main__":
    main()
