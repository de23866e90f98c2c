"""Streams of packed batches made by worker processes, each resumable at any batch."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch.utils.data
from threadpoolctl import threadpool_limits

from castalia.data.mixture import Mixture
from castalia.errors import RecipeError
from castalia.perception.packing import Batch, Packer, concatenate
from castalia.perception.perceive import Perception
from castalia.perception.sequence import Sequence
from castalia.processes import end_with_parent
from castalia.settings import require

Position = list[int]
"""Where a stream goes on: indices of documents that wait in its packer, then the index to be drawn next."""


@dataclass(frozen=True)
class Feed:
    """One global batch is the union of `streams` smaller ones of `rows / streams` rows.

    Stream s holds the documents at indices s, s + streams, s + 2 · streams, ... It is the unit of everything: a process
    of a distributed run reads its share of the streams, a worker makes some of them, and a checkpoint keeps the
    `Position` of each. So what is learned at step n does not depend on how many processes or workers there are.
    """

    rows: int
    length: int
    streams: int
    workers: int = 1

    def __post_init__(self) -> None:
        require(self, 1, "rows", "length", "streams")
        require(self, 0, "workers")
        if self.rows % self.streams:
            raise ValueError(f"rows {self.rows} must be a multiple of streams {self.streams}")


class _Streams(torch.utils.data.IterableDataset):
    """Runs in a worker: yields (stream, batch, where the stream goes on), its streams in turn."""

    def __init__(
        self,
        make: Callable[[], tuple[Mixture, Perception]],
        feed: Feed,
        mine: list[int],
        positions: list[Position],
    ) -> None:
        super().__init__()
        self.make, self.feed, self.mine, self.positions = make, feed, mine, positions

    def __iter__(self) -> Iterator[tuple[int, Batch, Position]]:
        info = torch.utils.data.get_worker_info()
        if info:
            end_with_parent()
            # NumPy's products would start a thread a core in each worker, and these would wait for work by spinning.
            threadpool_limits(1)
        number, count = (info.id, info.num_workers) if info else (0, 1)
        mixture, perception = self.make()
        streams = {s: self._batches(s, mixture, perception) for s in self.mine[number::count]}
        while True:
            for stream, batches in streams.items():
                batch, position = next(batches)
                yield stream, batch, position

    def _batches(self, stream: int, mixture: Mixture, perception: Perception) -> Iterator[tuple[Batch, Position]]:
        packer = Packer(self.feed.rows // self.feed.streams, self.feed.length, perception.special["pad"])
        *waiting, following = self.positions[stream]
        packed: dict[int, Sequence] = {}  # what is in the packer, by index
        for index in itertools.chain(waiting, itertools.count(following, self.feed.streams)):
            sequence = perception(mixture.document(index)).whole_answers(self.feed.length, perception.special["end"])
            if sequence is None:
                continue
            packed[index] = sequence
            if (batch := packer.add(sequence)) is not None:
                left = set(map(id, packer.sequences()))
                packed = {i: s for i, s in packed.items() if id(s) in left}
                yield batch, [*packed, index + self.feed.streams]


class Loader:
    """Yields one process's share of every global batch; `positions` is where each of its streams goes on."""

    def __init__(
        self,
        make: Callable[[], tuple[Mixture, Perception]],
        feed: Feed,
        positions: list[Position] | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """Open the streams of process `rank` of `world`; `make` builds mixture and perception inside the worker."""
        if feed.streams % world:
            rows = -(-feed.rows // world) * world
            raise RecipeError(
                f"{feed.streams} streams cannot be shared by {world} processes: "
                f"--set feed.streams={world} feed.rows={rows}"
            )
        self.positions = list(positions or ([stream] for stream in range(feed.streams)))
        self.mine = list(range(rank, feed.streams, world))
        workers = min(feed.workers, len(self.mine))
        while workers and len(self.mine) % workers:
            workers -= 1
        dataset = _Streams(make, feed, self.mine, list(self.positions))
        self._items = iter(
            torch.utils.data.DataLoader(
                dataset,
                batch_size=None,
                num_workers=workers,
                collate_fn=_same,
                prefetch_factor=2 * len(self.mine) if workers else None,
            )
        )

    def state(self, gather: Callable[[Any], list]) -> list[Position]:
        """Return where every stream goes on; `gather` returns what all processes have, who read one stream each."""
        shares: list[list[Position]] = gather(self.positions)
        # The others never move what is not theirs.
        return [max(positions, key=lambda position: position[-1]) for positions in zip(*shares, strict=True)]

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        batches = []
        for _ in self.mine:
            stream, batch, position = next(self._items)
            batches.append(batch)
            self.positions[stream] = position
        return concatenate(batches)


def _same(item: object) -> object:
    return item
