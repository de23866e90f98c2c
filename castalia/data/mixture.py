"""Which document stands at which index of the training data: task families mixed by weight, difficulty and medium."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from castalia.document import Document
from castalia.errors import RecipeError
from castalia.tasks.task import Split, Task


@dataclass(frozen=True)
class DataConfig:
    """What a run learns from."""

    mixture: dict[str, float] = field(default_factory=dict)
    """Share of documents by task name, or by the directory of one's own documents (`castalia data build`)."""
    difficulties: tuple[int, ...] = (1, 2, 3)
    """Difficulties drawn from, all alike."""
    media: dict[str, float] = field(default_factory=lambda: {"text": 1.0})
    """How questions are asked: as text, by (synthetic) voice, or written inside the picture."""
    seed: int = 0


Source = Callable[[random.Random, int], Document]


class Mixture:
    """Maps an index to a document: the same index gives the same document on every machine and in every process."""

    def __init__(self, config: DataConfig, build_task: Callable[[str], Task], split: Split = "train") -> None:
        """Open every source of `config.mixture`; `build_task` makes a task from its name."""
        self.config, self.split = config, split
        self.names = sorted(name for name, share in config.mixture.items() if share > 0)
        if not self.names or not config.difficulties:
            raise RecipeError("data.mixture needs a task with a share above 0, and data.difficulties a difficulty")
        self.shares = [config.mixture[name] for name in self.names]
        self.sources = [self._open(name, build_task) for name in self.names]

    def _open(self, name: str, build_task: Callable[[str], Task]) -> Source:
        if Path(name).is_dir():
            from castalia.data.build import DocumentDataset

            documents = DocumentDataset(Path(name))
            return lambda generator, index: documents[generator.randrange(len(documents))]
        task = build_task(name)
        media, shares = zip(*sorted(self.config.media.items()), strict=True)

        def sample(generator: random.Random, index: int) -> Document:
            difficulty = generator.choice(self.config.difficulties)
            document = task.trace(task.sample(index, difficulty, self.split))
            medium = generator.choices(media, shares)[0]
            if medium == "text":
                return document
            from castalia.tasks.asking import present

            return present(document, medium, generator)

        return sample

    def document(self, index: int) -> Document:
        """Return the document at `index` (any integer from 0)."""
        generator = random.Random(f"{self.config.seed}/{self.split}/{index}")
        source = generator.choices(self.sources, self.shares)[0]
        return source(generator, index + self.config.seed * 1_000_000_007)
