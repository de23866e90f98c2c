"""Contamination audit: is anything of an exam, exactly or nearly, among what a model was trained on?

What is shown or said is compared by prints: a digest, equal only for the same content, and a vector whose cosine is
near one for what is nearly the same (a picture under noise or compressed anew, a sound louder, noisier or later, a
sentence with a letter changed). Questions about a picture or a sound are told by it; others by their words.
"""

import hashlib
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image as pillow
from PIL import ImageFilter

from castalia.data.catalog import build_task, sources_of
from castalia.data.mixture import Mixture
from castalia.document import Content, Document, Image, Speech
from castalia.errors import DataError
from castalia.perception.speech import BANDS, frames
from castalia.rl.practice import hash_of
from castalia.rl.run import load_homework_of
from castalia.training.checkpoint import list_checkpoints
from castalia.training.run import HOMEWORK, load_recipe_of, load_sources_of, load_state

Modality = Literal["text", "picture", "sound"]
NEAR: dict[Modality, float] = {"text": 0.95, "picture": 0.99, "sound": 0.97}
"""Cosine from which on two are nearly the same."""
SIZE = 512
"""Length of a print's vector."""
PRACTISED = "practised"
"""Entry in the state of a published run: how many prompts it has practised on."""
BLOCK = 4096
"""Trained contents that are compared at once."""


@dataclass(frozen=True)
class Print:
    """How one content is recognised: `digest` the same, `vector_D` (of length one) nearly the same."""

    modality: Modality
    digest: bytes
    vector_D: np.ndarray


@dataclass
class Found:
    """What one modality's items have in common with what was trained on."""

    items: int = 0
    trained: int = 0
    """Contents that were compared with them, each once."""
    exact: int = 0
    near: int = 0
    """Items of which something nearly the same was trained on, those that are the same not counted."""
    threshold: float = 0.0
    nearest: list[float] = field(default_factory=list)
    """Cosine of every item to what is nearest to it."""


def prints_of(document: Document) -> list[Print]:
    """Return the prints of all that is in a document: its pictures and sounds, or without any, its texts."""
    said = [part.content for part in document if part.author != "tool" and not part.thought]
    return [print_of(content) for content in _shown(document) or said]


def subject_of(prompt: Document) -> list[Print]:
    """Return the prints of what a prompt is about: its pictures and sounds; or what stands before its question, as the
    passage does whose end is asked for; or the question."""
    before = [part.content for part in prompt if part.author == "assistant"]
    asked = [part.content for part in prompt if part.author == "user"]
    return [print_of(content) for content in _shown(prompt) or before[-1:] or asked[-1:]]


def _shown(document: Document) -> list[Content]:
    return [part.content for part in document if part.author == "user" and isinstance(part.content, Image | Speech)]


def print_of(content: Content) -> Print:
    """Return the print of a picture, a sound or a text."""
    if isinstance(content, Image):
        raw, values, modality = content.pixels_HWC.tobytes(), _thumbnail(content), "picture"
        raw = repr(content.pixels_HWC.shape).encode() + raw
    elif isinstance(content, Speech):
        raw, values, modality = content.samples.tobytes(), _spectrum(content), "sound"
    else:
        text = " ".join(re.findall(r"\w+|[^\w\s]", str(content).lower()))
        raw, values, modality = text.encode(), _grams(text), "text"
    length = float(np.linalg.norm(values))
    return Print(modality, hashlib.blake2b(raw, digest_size=16).digest(), (values / max(length, 1e-9)).astype("f4"))


def _thumbnail(image: Image) -> np.ndarray:
    grey = (
        pillow.fromarray(image.pixels_HWC)
        .convert("L")
        .filter(ImageFilter.GaussianBlur(max(image.pixels_HWC.shape) / 48))
    )
    values = np.asarray(grey.resize((32, 16), pillow.Resampling.BOX), np.float32).ravel()
    return values - values.mean()


def _spectrum(speech: Speech) -> np.ndarray:
    bands_TF = frames(speech).features_MF.reshape(-1, BANDS)
    if not len(bands_TF):
        return np.zeros(SIZE, np.float32)
    small = pillow.fromarray(np.maximum(bands_TF, 0)).resize((16, 32), pillow.Resampling.BOX)  # what is loud alone
    values = np.asarray(small, np.float32).ravel()
    return values - values.mean()


def _grams(text: str) -> np.ndarray:
    counts = np.zeros(SIZE, np.float32)
    padded = f"  {text}  "
    for start in range(len(padded) - 2):
        counts[zlib.crc32(padded[start : start + 3].encode()) % SIZE] += 1
    return counts


def audit(
    items: Sequence[Document], trained: Iterable[Document], families: Sequence[str] | None = None
) -> dict[str, Found]:
    """Return, by modality, which of `items`, prompts, are among the documents `trained`, prompts or whole traces.

    With the `families` of the items, the rows are "family, modality".
    """
    wanted: dict[Modality, list[Print]] = {}
    rows: dict[Modality, list[str]] = {}
    for number, item in enumerate(items):
        for mark in subject_of(item):
            wanted.setdefault(mark.modality, []).append(mark)
            rows.setdefault(mark.modality, []).append(
                f"{families[number]}, {mark.modality}" if families else mark.modality
            )
    digests = {m: {mark.digest for mark in p} for m, p in wanted.items()}
    vectors = {m: np.stack([mark.vector_D for mark in p]) for m, p in wanted.items()}
    best = {m: np.full(len(p), -1.0, np.float32) for m, p in wanted.items()}
    same: dict[Modality, set[bytes]] = {m: set() for m in wanted}
    compared = dict.fromkeys(wanted, 0)
    for modality, block in _blocks(trained, set(wanted)):
        compared[modality] += len(block)
        same[modality] |= digests[modality].intersection(mark.digest for mark in block)
        cosines_IB = vectors[modality] @ np.stack([mark.vector_D for mark in block]).T
        np.maximum(best[modality], cosines_IB.max(1), out=best[modality])
    found: dict[str, Found] = {}
    for modality, marks in wanted.items():
        for row, mark, cosine in zip(rows[modality], marks, best[modality].tolist(), strict=True):
            it = found.setdefault(row, Found(trained=compared[modality], threshold=NEAR[modality]))
            exact = mark.digest in same[modality]
            it.items += 1
            it.exact += exact
            it.near += not exact and cosine >= it.threshold
            it.nearest.append(round(cosine, 4))
    return dict(sorted(found.items()))


def _blocks(trained: Iterable[Document], modalities: set[Modality]) -> Iterator[tuple[Modality, list[Print]]]:
    """Yield prints of those modalities, many at a time; what comes again is left out."""
    waiting: dict[Modality, list[Print]] = {modality: [] for modality in modalities}
    known: set[bytes] = set()
    for document in trained:
        for mark in prints_of(document):
            if mark.modality in modalities and mark.digest not in known:
                known.add(mark.digest)
                waiting[mark.modality].append(mark)
                if len(waiting[mark.modality]) == BLOCK:
                    yield mark.modality, waiting[mark.modality]
                    waiting[mark.modality] = []
    for modality, block in waiting.items():
        if block:
            yield modality, block


def to_json(found: dict[str, Found]) -> dict[str, Any]:
    """Return the audit without every single item."""
    rows = {}
    for modality, it in found.items():
        rows[modality] = asdict(it) | {"nearest": max(it.nearest, default=0.0)}
    return rows


def trained_documents(directory: Path) -> Iterator[Document]:
    """Yield every document that the run at `directory` has learned from at school, and every prompt of its homework.

    Both are made anew: a document is a function of its index. The few that wait to be packed are among them. Questions
    that were asked by voice, inside the picture or in other words are given as the texts that they were made of.
    `directory` may be that of homework alone. Raises CheckpointError if it has learned nothing yet, DataError if what
    it was made of is not what is here.
    """
    school, homework = directory, directory / HOMEWORK
    if (directory / "homework.json").exists():
        school, homework = directory.parent, directory
        if not (school / "recipe.json").exists():  # it stands beside its school, not in it
            school = school / load_homework_of(directory)[1]
    recipe = load_recipe_of(school)
    check_sources(school)
    written = replace(recipe.data, media={"text": 1.0}, reworded=0.0)
    mixture = Mixture(written, build_task, perception=recipe.perception)
    for index in range(max(indices[-1] for indices in load_state(school)["data"])):
        yield mixture.document(index)
    if not (drawn := practised(directory)):
        return
    config = load_homework_of(homework)[0].practice
    tasks = {name: build_task(name) for name in config.tasks}
    for number in range(drawn):
        for name in tasks:
            for difficulty in config.difficulties:
                yield tasks[name].sample(hash_of(config.seed, number), difficulty).prompt()


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
