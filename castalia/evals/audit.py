"""Contamination audit: is anything of an exam, exactly or nearly, among what a model was trained on?

What is shown or said is compared by prints: a digest, equal only for the same content, and a vector whose cosine is
near one for what is nearly the same (a picture under noise or compressed anew, a sound louder, noisier or later, a
sentence with a letter changed). Questions about a picture or a sound are told by it; others by their words.
"""

import hashlib
import multiprocessing
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image as pillow
from PIL import ImageFilter
from threadpoolctl import threadpool_limits

from castalia.document import Content, Document, Image, Part, Speech
from castalia.errors import DataError
from castalia.evals.learned import Learned
from castalia.perception.speech import BANDS, frames
from castalia.processes import end_with_parent, without_interrupt

Modality = Literal["text", "picture", "sound"]
NEAR: dict[Modality, float] = {"text": 0.95, "picture": 0.99, "sound": 0.97}
"""Cosine from which on two are nearly the same."""
SIZE = 512
"""Length of a print's vector."""
BLOCK = 4096
"""Trained contents that are compared at once."""
SHARE = 2000
"""Documents of a run that a process makes anew and compares at a time."""


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
    """Return the prints of all that is in a document: its pictures and sounds, or without any, its texts.

    What the assistant says in several parts, as a passage and its end, is also one text.
    """
    said = [part for part in document if part.author != "tool" and not part.thought]
    begun = [part for part in said if part.author == "assistant"]
    whole = [_joined(said)] if len(begun) > 1 else []
    return [print_of(content) for content in _shown(document) or [*(part.content for part in said), *whole]]


def subject_of(prompt: Document) -> list[Print]:
    """Return the prints of what a prompt is about: its pictures and sounds; or the passage whose end is asked for, with
    that end, which then stands behind it; or the question."""
    passage = [_joined(prompt)] if any(part.author == "assistant" for part in prompt) else []
    asked = [part.content for part in prompt if part.author == "user"]
    return [print_of(content) for content in _shown(prompt) or passage or asked[-1:]]


def _joined(parts: Iterable[Part]) -> str:
    return " ".join(str(part.content) for part in parts if part.author == "assistant")


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


class Items:
    """What is asked about, by modality, each once: its prints, and the row of the report that each counts in."""

    def __init__(self, items: Sequence[Document], families: Sequence[str] | None = None) -> None:
        self.marks: dict[Modality, list[Print]] = {}
        self.rows: dict[Modality, list[str]] = {}
        known: set[tuple[str, bytes]] = set()
        for number, item in enumerate(items):
            for mark in subject_of(item):
                row = f"{families[number]}, {mark.modality}" if families else mark.modality
                if (row, mark.digest) in known:
                    continue
                known.add((row, mark.digest))
                self.marks.setdefault(mark.modality, []).append(mark)
                self.rows.setdefault(mark.modality, []).append(row)
        self.vectors_ID = {m: np.stack([mark.vector_D for mark in marks]) for m, marks in self.marks.items()}


@dataclass
class Compared:
    """What a part of what was trained on has in common with the items of one modality."""

    best_I: np.ndarray
    """Cosine of every item to what is nearest to it."""
    trained: set[bytes] = field(default_factory=set)
    """Digests of what was compared with them."""

    def join(self, other: "Compared") -> None:
        """Add what was compared elsewhere."""
        self.best_I = np.maximum(self.best_I, other.best_I)
        self.trained |= other.trained


def audit(
    items: Sequence[Document], trained: Iterable[Document], families: Sequence[str] | None = None
) -> dict[str, Found]:
    """Return, by modality, which of `items`, prompts, are among the documents `trained`, prompts or whole traces.

    With the `families` of the items, the rows are "family, modality".
    """
    asked = Items(items, families)
    return _found(asked, compare(asked, trained))


def audit_run(
    items: Sequence[Document],
    directory: Path,
    families: Sequence[str] | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> dict[str, Found]:
    """Return `audit` of all that the run at `directory` has learned from, made anew by a process a core.

    `progress` is told which share is done. Raises what `Learned` raises.
    """
    asked, learned = Items(items, families), len(Learned(directory))
    shares = [range(start, min(start + SHARE, learned)) for start in range(0, learned, SHARE)]
    compared = compare(asked, ())
    # Spawned, as a process that has threads must not be forked.
    pool = ProcessPoolExecutor(
        max(1, min(len(shares), os.cpu_count() or 1)), multiprocessing.get_context("spawn"), _begin, (asked, directory)
    )
    try:
        with without_interrupt():  # Ctrl-C is for whoever waits for the processes
            found = pool.map(_compare_share, shares)
        for number, share in enumerate(found, 1):
            for modality, it in share.items():
                compared[modality].join(it)
            progress(number / len(shares))
    except BrokenProcessPool as error:
        raise DataError("a process of the audit was ended from outside, perhaps for want of memory") from error
    finally:
        pool.shutdown(cancel_futures=True)
    return _found(asked, compared)


_at_work: tuple[Items, Learned]
"""In a process of the pool: what is asked about, and what was learned."""


def _begin(asked: Items, directory: Path) -> None:
    global _at_work
    end_with_parent()
    threadpool_limits(1)
    _at_work = asked, Learned(directory)


def _compare_share(share: range) -> dict[Modality, Compared]:
    asked, learned = _at_work
    return compare(asked, map(learned.document, share))


def compare(asked: Items, trained: Iterable[Document]) -> dict[Modality, Compared]:
    """Return, by modality, what the documents `trained` have in common with what is asked about."""
    compared = {m: Compared(np.full(len(marks), -1.0, np.float32)) for m, marks in asked.marks.items()}
    for modality, block in _blocks(trained, compared):
        cosines_IB = asked.vectors_ID[modality] @ np.stack([mark.vector_D for mark in block]).T
        np.maximum(compared[modality].best_I, cosines_IB.max(1), out=compared[modality].best_I)
    return compared


def _blocks(trained: Iterable[Document], compared: dict[Modality, Compared]) -> Iterator[tuple[Modality, list[Print]]]:
    """Yield prints of those modalities, many at a time; what comes again is left out."""
    waiting: dict[Modality, list[Print]] = {modality: [] for modality in compared}
    for document in trained:
        for mark in prints_of(document):
            if mark.modality in compared and mark.digest not in compared[mark.modality].trained:
                compared[mark.modality].trained.add(mark.digest)
                waiting[mark.modality].append(mark)
                if len(waiting[mark.modality]) == BLOCK:
                    yield mark.modality, waiting[mark.modality]
                    waiting[mark.modality] = []
    for modality, block in waiting.items():
        if block:
            yield modality, block


def _found(asked: Items, compared: dict[Modality, Compared]) -> dict[str, Found]:
    found: dict[str, Found] = {}
    for modality, marks in asked.marks.items():
        it = compared[modality]
        for row, mark, cosine in zip(asked.rows[modality], marks, it.best_I.tolist(), strict=True):
            counted = found.setdefault(row, Found(trained=len(it.trained), threshold=NEAR[modality]))
            exact = mark.digest in it.trained
            counted.items += 1
            counted.exact += exact
            counted.near += not exact and cosine >= counted.threshold
            counted.nearest.append(round(cosine, 4))
    return dict(sorted(found.items()))


def to_json(found: dict[str, Found]) -> dict[str, Any]:
    """Return the audit without every single item."""
    rows = {}
    for modality, it in found.items():
        rows[modality] = asdict(it) | {"nearest": max(it.nearest, default=0.0)}
    return rows
