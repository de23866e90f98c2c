"""What a run has learned from, made anew: a document is a function of its index."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

from castalia.data.catalog import build_task, sources_of
from castalia.data.mixture import Mixture
from castalia.document import Document
from castalia.errors import DataError
from castalia.rl.homework import PracticeConfig
from castalia.rl.practice import hash_of
from castalia.rl.run import load_homework_of
from castalia.training.checkpoint import list_checkpoints
from castalia.training.run import HOMEWORK, load_recipe_of, load_sources_of, load_state

PRACTISED = "practised"
"""Entry in the state of a published run: how many prompts it has practised on."""


class Learned:
    """All documents that a run has learned from at school, then every prompt of its homework, by their numbers.

    The few that wait to be packed are among them. Questions that were asked by voice, inside the picture or in other
    words are given as the texts that they were made of.
    """

    def __init__(self, directory: Path) -> None:
        """Open the run at `directory`, which may be published or of homework alone.

        Raises CheckpointError if it has learned nothing yet, DataError if what it was made of is not what is here.
        """
        school, homework = directory, directory / HOMEWORK
        if (directory / "homework.json").exists():
            school, homework = directory.parent, directory
            if not (school / "recipe.json").exists():  # it stands beside its school, not in it
                school = school / load_homework_of(directory)[1]
        check_sources(school)
        recipe = load_recipe_of(school)
        written = replace(recipe.data, media={"text": 1.0}, reworded=0.0)
        self._mixture = Mixture(written, build_task, perception=recipe.perception)
        self._schooled = max(indices[-1] for indices in load_state(school)["data"])
        self._drawn = practised(directory)
        self._practice = load_homework_of(homework)[0].practice if self._drawn else PracticeConfig()
        self._tasks = [
            (build_task(name), level) for name in self._practice.tasks for level in self._practice.difficulties
        ]

    def __len__(self) -> int:
        return self._schooled + self._drawn * len(self._tasks)

    def __iter__(self) -> Iterator[Document]:
        return map(self.document, range(len(self)))

    def document(self, number: int) -> Document:
        """Make one anew, from 0 on."""
        if number < self._schooled:
            return self._mixture.document(number)
        drawn, which = divmod(number - self._schooled, len(self._tasks))
        task, difficulty = self._tasks[which]
        return task.sample(hash_of(self._practice.seed, drawn), difficulty).prompt()


def check_sources(directory: Path) -> None:
    """Raise DataError if the run at `directory` was made of other sources than are here."""
    used, here = load_sources_of(directory), sources_of(load_recipe_of(directory).data.mixture)
    missing, more = ({*chain(*one.values())} - {*chain(*other.values())} for one, other in ((used, here), (here, used)))
    said = [f"{', '.join(sorted(missing))} missing (castalia data fetch)"] if missing else []
    said += [f"{', '.join(sorted(more))} more"] if more else []
    if used and said:
        raise DataError(
            f"{directory} was made of other sources than are here, and cannot be audited: {'; '.join(said)}"
        )


def practised(directory: Path) -> int:
    """Return how many prompts the run at `directory`, which may be published or of homework alone, has practised on."""
    homework = directory if (directory / "homework.json").exists() else directory / HOMEWORK
    if list_checkpoints(homework / "checkpoints"):
        return load_state(homework)["data"]["practice"]["drawn"]
    return load_state(directory).get(PRACTISED, 0)
