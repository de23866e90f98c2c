"""People's own documents: a JSON Lines file to a directory that can be trained on, and back to documents."""

import hashlib
import json
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from castalia.data.media import MediaReader, MediaWriter
from castalia.data.messages import parse_messages
from castalia.document import Call, Document, Image, Part, Speech
from castalia.errors import CastaliaError, DataError, DocumentError

DOCUMENTS, OFFSETS, SIDES, SUMMARY = "documents.jsonl", "offsets.npy", "held_out.npy", "dataset.json"
FORMAT = 2
HELD_OUT = 10
"""One in so many documents is not trained on: held-out loss is measured on these."""
FLAGS = ("learned", "thought", "spelled")
"""What is written down of a part beside its content and author, where it is so."""
KEPT = ("source", "licence", "license")
"""Fields of a line, beside its messages, that say where a document comes from; ``license`` is kept as ``licence``."""


@dataclass
class Built:
    """What `build` made: documents written, lines skipped and why, exact duplicates dropped, pictures and sounds."""

    directory: Path
    documents: int = 0
    skipped: int = 0
    duplicates: int = 0
    images: int = 0
    sounds: int = 0
    problems: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """Return one line for the person who built it."""
        return (
            f"{self.documents} documents ({self.images} pictures, {self.sounds} sounds) in {self.directory}; "
            f"{self.skipped} lines skipped, {self.duplicates} duplicates dropped"
        )


def build(file: Path, out: Path) -> Built:
    """Make the documents of `file` trainable: write the directory `out`, in place of what an earlier build left there.

    Each line is ``{"messages": [...]}`` in OpenAI's format (see `parse_messages`), with ``source`` and ``licence`` if
    you like; paths are relative to the file. A line that cannot be read is skipped and its cause, as ``mine.jsonl line
    3: ...``, is among the problems returned. `out` appears whole or not at all.

    Raises DataError if the file cannot be read, if no line of it is good, or if `out` holds something else.
    """
    file, out = Path(file), Path(out)
    built = Built(out)
    with _replaced(out) as unfinished, MediaWriter(unfinished) as media:
        digests: dict[bytes, None] = {}  # in the order of the documents
        offsets = [0]
        with (unfinished / DOCUMENTS).open("wb") as written:
            for number, line in _lines(file):
                try:
                    record = _record(line, file.parent, media)
                except CastaliaError as error:
                    built.skipped += 1
                    built.problems.append(f"{file.name} line {number}: {' '.join(str(error).split())}")
                    continue
                digest = hashlib.sha256(json.dumps(record["parts"]).encode()).digest()
                if digest in digests:
                    built.duplicates += 1
                    continue
                digests[digest] = None
                written.write(json.dumps(record | {"line": number}, ensure_ascii=False).encode() + b"\n")
                offsets.append(written.tell())
        built.documents, built.images, built.sounds = len(offsets) - 1, media.images, media.sounds
        if not built.documents:
            first = f"; the first: {built.problems[0]}" if built.problems else ""
            raise DataError(f"there is no document in {file} that can be used{first}")
        np.save(unfinished / OFFSETS, np.array(offsets, np.int64))
        least = min(digests)
        held_out = [digest[0] < 256 / HELD_OUT or digest == least for digest in digests]
        np.save(unfinished / SIDES, np.array(held_out))
        said = {name: getattr(built, name) for name in ("documents", "skipped", "duplicates", "images", "sounds")}
        (unfinished / SUMMARY).write_text(json.dumps({"format": FORMAT, "file": file.name, **said}))
    return built


class DocumentDataset:
    """Reads what `build` wrote; the same index always gives the same document. Can be sent to worker processes."""

    def __init__(self, directory: Path) -> None:
        """Open the directory; raises DataError if it is not one that `build` wrote."""
        self.directory = Path(directory)
        try:
            said = json.loads((self.directory / SUMMARY).read_text())
            if said.get("format") != FORMAT:
                raise DataError(f"{directory} was built by another version: run `castalia data build` again")
            self._offsets, self._held_out = (np.load(self.directory / name) for name in (OFFSETS, SIDES))
        except (OSError, ValueError) as error:
            raise DataError(f"{directory} holds no documents: make it with `castalia data build`") from error
        self._media = MediaReader(self.directory)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, index: int) -> Document:
        return Document(tuple(self._part(part) for part in self._read(index)["parts"]))

    def side(self, held_out: bool) -> list[int]:
        """Return the indices of one side: one in ten documents is held out; of fewer than ten all are on both sides.

        What is held out follows from what a document says, so that it stays so when others are added.
        """
        if len(self) < HELD_OUT:
            return [*range(len(self))]
        return np.flatnonzero(self._held_out == held_out).tolist()

    def __iter__(self) -> Iterator[Document]:
        return (self[index] for index in range(len(self)))

    def provenance(self, index: int) -> dict[str, Any]:
        """Return ``source`` and ``licence`` of a document, where the file said them, and the ``line`` it stood on."""
        return {name: value for name, value in self._read(index).items() if name != "parts"}

    def _read(self, index: int) -> dict[str, Any]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"document {index} of {len(self)}")
        start, stop = self._offsets[index % len(self)], self._offsets[index % len(self) + 1]
        with (self.directory / DOCUMENTS).open("rb") as file:
            file.seek(int(start))
            return json.loads(file.read(int(stop - start)))

    def _part(self, part: dict[str, Any]) -> Part:
        if "image" in part:
            content: str | Image | Speech | Call = self._media.image(part["image"])
        elif "speech" in part:
            content = self._media.speech(part["speech"], part.get("synthetic", False))
        elif "call" in part:
            content = Call(part["call"], part["arguments"])
        else:
            content = part["text"]
        return Part(content, part["author"], **{name: part.get(name, False) for name in FLAGS})


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, line.removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error


def _record(line: bytes, base: Path, media: MediaWriter) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except RecursionError as error:
        raise DocumentError("the JSON is nested too deeply") from error
    except ValueError as error:
        raise DocumentError(f"not JSON: {error}") from error
    if not isinstance(said, dict) or "messages" not in said:
        raise DocumentError('a line must be an object with a field "messages"')
    document = parse_messages(said["messages"], base, open_urls=True)
    if not any(part.learned for part in document):
        raise DocumentError("there is nothing to learn: no message of the assistant's")
    kept = {"licence" if name == "license" else name: said[name] for name in KEPT if name in said}
    try:
        json.dumps(kept, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise DocumentError(f"{' and '.join(kept)} must be text that can be written: {error.reason}") from error
    return {"parts": [_part_record(part, media) for part in document], **kept}


def _part_record(part: Part, media: MediaWriter) -> dict[str, Any]:
    content = part.content
    if isinstance(content, Image):
        record: dict[str, Any] = {"image": media.add_image(content)}
    elif isinstance(content, Speech):
        record = {"speech": media.add_speech(content)} | ({"synthetic": True} if content.synthetic else {})
    elif isinstance(content, Call):
        record = {"call": content.name, "arguments": content.arguments}
    else:
        record = {"text": content}
    flags = {name: True for name in FLAGS if getattr(part, name)}
    return {"author": part.author} | flags | record


@contextmanager
def _replaced(out: Path) -> Generator[Path]:
    """Yield an empty directory that takes the place of `out` if all goes well and is removed if not."""
    if out.exists() and not (out / SUMMARY).is_file() and not (out.is_dir() and not any(out.iterdir())):
        raise DataError(f"{out} is there already and holds something else: give another directory with --out")
    unfinished, old = (out.with_name(f".{out.name}.{word}") for word in ("unfinished", "old"))
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        yield unfinished
        if out.exists():
            shutil.rmtree(old, ignore_errors=True)
            out.rename(old)
        unfinished.rename(out)
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
