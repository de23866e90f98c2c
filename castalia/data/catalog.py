"""Names to tasks: which family is made of which sources."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from castalia.data.sources import SOURCES, Source, find
from castalia.errors import DataError, TaskError, nearest
from castalia.tasks.material import Clip, Handwriting, Passage, Picture
from castalia.tasks.task import Task

GYM = "reasoning_gym:"
"""Prefix of names such as ``reasoning_gym:leg_counting``."""


@dataclass(frozen=True)
class Entry:
    """How a task is made: `make` takes the material of those of `sources` that are there; `what` it shows."""

    what: str
    make: Callable[[list], Task]
    sources: tuple[str, ...] = ()


def material(name: str, cache: Path | None = None) -> Handwriting | list[Clip] | list[Picture] | list[Passage]:
    """Return the material of the source called `name`, by its kind, decoding it the first time.

    Raises DataError if there is no such source, it is not fetched, or it is no material by itself.
    """
    from castalia.data import parsers

    source = find(name)
    if not source.parser:
        raise DataError(f"{name} is no material by itself: other sources need it")
    makers = {
        "handwriting": parsers.handwriting_of, "speech": parsers.clips_of, "pictures": parsers.pictures_of,
        "text": parsers.passages_of,
    }  # fmt: skip
    return makers[source.kind](source, cache)


def available(entry: Entry, cache: Path | None = None) -> list[Source]:
    """Return those sources of a task, in order, that are on this machine with all they need."""
    from castalia.data.fetch import located

    sources = [find(name) for name in entry.sources]
    return [s for s in sources if all(located(part, cache) for part in (s, *map(find, s.needs)))]


def build_task(name: str, cache: Path | None = None) -> Task:
    """Make the task called `name`: one of `TASKS`, or ``reasoning_gym:SET``.

    Sources that are not on this machine are left out. Raises TaskError, naming the nearest, if there is no such task,
    and DataError if none of its sources is here.
    """
    if name.startswith(GYM):
        return _reasoning_gym(name.removeprefix(GYM))
    if name not in TASKS:
        raise TaskError(f"unknown task {name!r}: {nearest(name, [*TASKS, GYM + 'SET'])}")
    entry = TASKS[name]
    if not entry.sources:
        return entry.make([])
    found = available(entry, cache)
    if not found:
        raise DataError(f"the task {name!r} needs {entry.what}, and none is here: run `castalia data fetch`")
    return entry.make([material(source.name, cache) for source in found])


def tasks_of(mixture: Iterable[str]) -> dict[str, Task]:
    """Return the tasks of a mixture by name; directories of one's own documents have none."""
    return {name: build_task(name) for name in mixture if not is_documents(name)}


def is_documents(name: str) -> bool:
    """Say whether a name in a mixture means a directory of one's own documents: a task of that name goes before."""
    return name not in TASKS and not name.startswith(GYM) and Path(name).is_dir()


def sources_of(mixture: Iterable[str]) -> dict[str, list[str]]:
    """Return the names of the sources that the tasks of a mixture are made of on this machine, by task."""
    return {name: [source.name for source in available(TASKS[name])] for name in mixture if name in TASKS}


def _charts(material: list) -> Task:
    from castalia.tasks.charts import Charts

    return Charts()


def _scenes(material: list) -> Task:
    from castalia.tasks.scenes import Scenes

    return Scenes()


def _mazes(material: list) -> Task:
    from castalia.tasks.mazes import Mazes

    return Mazes()


def _search(material: list) -> Task:
    from castalia.tasks.search import Search

    return Search()


def _countdown(material: list) -> Task:
    from castalia.tasks.countdown import Countdown

    return Countdown()


def _loophole(material: list) -> Task:
    from castalia.tasks.loophole import Loophole

    return Loophole()


def _sums(material: list) -> Task:
    from castalia.tasks.sums import Sums

    return Sums()


def _talk(material: list) -> Task:
    from castalia.tasks.talk import Talk

    return Talk()


def _digits(material: list[Handwriting]) -> Task:
    from castalia.tasks.digits import Digits

    return Digits(material)


def _speech(material: list[list[Clip]]) -> Task:
    from castalia.tasks.speech import SpokenPrompts

    return SpokenPrompts([clip for clips in material for clip in clips])


def _captions(material: list[list[Picture]]) -> Task:
    from castalia.tasks.captions import Captions

    return Captions([picture for pictures in material for picture in pictures])


def _prose(material: list[list[Passage]]) -> Task:
    from castalia.tasks.prose import Prose

    return Prose([passage for passages in material for passage in passages])


def _reasoning_gym(set_name: str) -> Task:
    from castalia.tasks.reasoning_gym import ReasoningGym

    return ReasoningGym(set_name)


def _of_kind(kind: str) -> tuple[str, ...]:
    return tuple(source.name for source in SOURCES.values() if source.kind == kind and source.parser)


TASKS: dict[str, Entry] = {
    "charts": Entry("drawn charts", _charts),
    "scenes": Entry("drawn scenes", _scenes),
    "mazes": Entry("drawn mazes", _mazes),
    "search": Entry("drawn pictures with small details", _search),
    "countdown": Entry("numbers to be combined", _countdown),
    "loophole": Entry("numbers to be combined, and a verifier that can be cheated", _loophole),
    "sums": Entry("written arithmetic", _sums),
    "talk": Entry("what people say that is no task", _talk),
    "digits": Entry("handwritten digits", _digits, _of_kind("handwriting")),
    "speech": Entry("recorded speech", _speech, _of_kind("speech")),
    "captions": Entry("pictures with names", _captions, _of_kind("pictures")),
    "prose": Entry("passages of prose", _prose, _of_kind("text")),
}
"""Every task family by name; besides them there is ``reasoning_gym:SET``."""
