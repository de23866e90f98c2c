"""Which document stands at which index of the training data: task families mixed by weight, difficulty and medium."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from castalia.actions.action import Action
from castalia.data.catalog import is_documents
from castalia.document import Document
from castalia.errors import RecipeError, nearest
from castalia.perception.perceive import PerceptionConfig
from castalia.tasks.effort import EFFORTS, Effort, limit, tell
from castalia.tasks.merging import Explorer, alongside, sending
from castalia.tasks.steps import CELL, NOTHING
from castalia.tasks.task import Split, Task
from castalia.tasks.wording import restated, reword


@dataclass(frozen=True)
class DataConfig:
    """What a run learns from."""

    mixture: dict[str, float] = field(default_factory=dict)
    """Share of documents by task name, or by the directory of one's own documents (`castalia data build`)."""
    difficulties: tuple[int, ...] = (1, 2, 3)
    """Difficulties drawn from, all alike."""
    media: dict[str, float] = field(default_factory=lambda: {"text": 1.0})
    """How questions are asked: as text, by (synthetic) voice, or written inside the picture."""
    reworded: float = 0.0
    """Share of documents whose questions are asked in other words, and as people type; thoughts then begin with the
    plain ones, as they do where a question is heard or read from a picture; not at minimal effort."""
    acting: float = 0.0
    """Share of documents that are told they may act: mark, draw, reckon by calculator. Where there is no answer without
    acting, as in ``search``, all do."""
    acting_in: tuple[str, ...] = ()
    """Tasks whose thoughts then act; none named: all that can."""
    efforts: dict[str, float] = field(default_factory=dict)
    """Share of documents by effort: how much thought is wanted, which the model is told. None: all at medium."""
    questions: int = 0
    """Questions a document at most; 0: all that an example has, so that its picture is read once for all of them."""
    merging: float = 0.0
    """Share of documents that are an agent's among several, or merge what agents have concluded."""
    seed: int = 0

    @property
    def acts(self) -> bool:
        """Whether acting is learned."""
        return self.acting > 0 or self.mixture.get("search", 0) > 0


SENDING_SHARE = 0.4
"""Share of the documents with several agents in which it is the model that sends them out."""

Source = Callable[[random.Random, int], Document]


class Mixture:
    """Maps an index to a document: the same index gives the same document on every machine and in every process."""

    def __init__(
        self,
        config: DataConfig,
        build_task: Callable[[str], Task],
        split: Split = "train",
        perception: PerceptionConfig | None = None,
    ) -> None:
        """Open every source of `config.mixture`; `build_task` makes a task from its name.

        `perception` says in which size pictures will be seen: what is done in them is counted in their cells. Raises
        RecipeError if nothing is to be learned, or if what acts would miss its place.
        """
        self.config, self.split, self.perception = config, split, perception or PerceptionConfig()
        for share in ("acting", "merging", "reworded"):
            if not 0 <= getattr(config, share) <= 1:
                raise RecipeError(f"data.{share} is a share from 0 to 1, not {getattr(config, share)}")
        for shares in ("media", "efforts", "mixture"):
            if not all(share >= 0 for share in getattr(config, shares).values()):
                raise RecipeError(f"data.{shares} has a share below 0")
        if not any(config.media.values()):
            raise RecipeError("data.media needs a medium with a share above 0")
        if unknown := next((effort for effort in config.efforts if effort not in EFFORTS), None):
            raise RecipeError(f"data.efforts has an unknown effort {unknown!r}: {nearest(unknown, EFFORTS)}")
        self.names = sorted(name for name, share in config.mixture.items() if share > 0)
        if not self.names or not config.difficulties:
            raise RecipeError("data.mixture needs a task with a share above 0, and data.difficulties a difficulty")
        self.shares = [config.mixture[name] for name in self.names]
        self.sources = [self._open(name, build_task) for name in self.names]

    def _open(self, name: str, build_task: Callable[[str], Task]) -> Source:
        if is_documents(name):
            from castalia.data.build import DocumentDataset

            documents = DocumentDataset(Path(name))
            side = documents.side(held_out=self.split != "train")
            return lambda generator, index: documents[generator.choice(side)]
        task = build_task(name)
        media, shares = zip(*sorted(self.config.media.items()), strict=True)
        self._check_places(name, task)

        def sample(generator: random.Random, index: int) -> Document:
            difficulty = generator.choice(self.config.difficulties)
            example = task.sample(index, difficulty, self.split)
            if 0 < self.config.questions < len(example.questions):
                kept = sorted(generator.sample(range(len(example.questions)), self.config.questions))
                example = replace(example, questions=tuple(example.questions[index] for index in kept))
            medium = generator.choices(media, shares)[0]
            # At a share of 0 nothing is drawn: documents are the same as without the setting.
            several = not example.hidden and self.config.merging > 0 and generator.random() < self.config.merging
            acting = example.hidden or (self.config.acting > 0 and generator.random() < self.config.acting)
            acts = acting and (example.hidden or not self.config.acting_in or name in self.config.acting_in)
            if several and isinstance(task, Explorer) and generator.random() < SENDING_SHARE:
                effort = self._effort(generator, acting=True)  # to send out agents is to act
                return tell(effort, agents=True) + limit(sending(task, example, generator), effort)
            effort = self._effort(generator, acting)
            made = alongside(task, example, generator, acting=acts) if several else task.trace(example, acting=acts)
            other_words = not several and self.config.reworded > 0 and generator.random() < self.config.reworded
            if (other_words or medium != "text") and effort != "minimal":  # whose few tokens it would take
                made = restated(made, len(example.context.parts))
            if other_words:
                made = reword(made, generator)
            if medium != "text":
                from castalia.tasks.asking import present

                made = present(made, medium, generator)
            made = self._enacted(made) if acts else made
            unfinished = NOTHING if several and isinstance(task, Explorer) and task.whole and not acts else None
            return tell(effort, acting=acting) + limit(made, effort, unfinished)

        return sample

    def _effort(self, generator: random.Random, acting: bool) -> Effort:
        """Draw an effort; acting takes medium or high."""
        possible = ("medium", "high") if acting else EFFORTS
        shares = [self.config.efforts.get(effort, 0.0) for effort in possible]
        return generator.choices(possible, shares)[0] if any(shares) else "medium"

    def _check_places(self, name: str, task: Task) -> None:
        seen_side = getattr(task, "seen_side", None)
        if seen_side not in (None, self.perception.max_side):
            raise RecipeError(f"{name} is drawn to be seen at {seen_side} pixels: set perception.max_side={seen_side}")
        if (seen_side or self.config.acting) and self.perception.patch_size != CELL:
            raise RecipeError(f"{name} acts in cells of {CELL} pixels: set perception.patch_size={CELL}")

    def _enacted(self, document: Document) -> Document:
        from castalia.actions.enact import enact

        return enact(document, self._actions, cell=self.perception.patch_size, max_side=self.perception.max_side)

    @cached_property
    def _actions(self) -> dict[str, Action]:
        from castalia.actions.catalog import build_actions

        return build_actions(("canvas", "tools"))

    def document(self, index: int) -> Document:
        """Return the document at `index` (any integer from 0)."""
        generator = random.Random(f"{self.config.seed}/{self.split}/{index}")
        source = generator.choices(self.sources, self.shares)[0]
        return source(generator, index + self.config.seed * 1_000_000_007)
