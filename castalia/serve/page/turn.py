"""A conversation as the page keeps it: what was asked with which pictures and sounds, and all that came back."""

import time
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from castalia.document import Document, Image, Part
from castalia.serve.page.question import Question
from castalia.serve.service.job import Choice, Contemplating, Job, Update
from castalia.serve.service.pieces import Acted, Done, Piece, Seen, Words
from castalia.serve.service.usage import Usage
from castalia.tasks.effort import Effort

Status = Literal["running", "done", "stopped", "failed"]


@dataclass(frozen=True)
class Manner:
    """How a question is to be thought about: with how much effort, and by how many agents until when."""

    effort: Effort = "medium"
    agents: int = 0
    seconds: float | None = None

    def job(self, prompt: Document) -> Job:
        """Return what the service is asked."""
        return Job(prompt, self.effort, contemplate=Contemplating(self.agents, self.seconds) if self.agents else None)


@dataclass(eq=False)
class Turn:
    """One question and its answer, as far as it has come."""

    question: Question
    manner: Manner
    is_new: bool = False
    """Whether it begins a new subject, to which nothing that was said before belongs."""
    status: Status = "running"
    choice: Choice = field(default_factory=Choice)
    rounds: list[dict[int, Choice]] = field(default_factory=list)
    """What agents have written, by round and number."""
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    error: str = ""
    note: str = ""
    """What has become of feedback, for the person who gave it."""
    given: str = ""
    """The last kind of feedback."""
    version: int = 0
    """Grows with every change."""
    pictures: dict[Image, str] = field(default_factory=dict)
    """Addresses of pictures that have been shown: they are made once."""
    drawn: tuple[int, list[str]] = (-1, [])
    """How it was shown last, with its version then."""
    _began: float = field(default_factory=time.perf_counter)

    def take(self, updates: list[Update]) -> None:
        """Take in what has happened."""
        for update in updates:
            if update.agent is None:
                self.choice.add(update.piece)
            else:
                while len(self.rounds) <= update.round:
                    self.rounds.append({})
                self.rounds[update.round].setdefault(update.agent, Choice()).add(update.piece)
            if isinstance(update.piece, Done):
                self.usage = update.piece.usage if update.agent is None else self.usage + update.piece.usage
        self.changed()

    def changed(self) -> None:
        """Take note of a change; while it runs, of the time too."""
        self.version += 1
        if self.status == "running":
            self.seconds = time.perf_counter() - self._began

    def end(self, status: Status, error: str = "") -> None:
        """Take note that nothing more will come."""
        self.changed()
        self.status, self.error = status, error

    @property
    def answer(self) -> str:
        """The answer as far as it is written."""
        return self.choice.answer.strip()

    @property
    def document(self) -> Document:
        """Question and answer, thoughts with what was done and seen among them, for the next question to follow on."""
        parts: list[Part] = []
        for piece in self.choice.trail:
            parts += _parts(piece, parts)
        if not any(not part.thought and part.author == "assistant" for part in parts):
            parts.append(Part("", "assistant"))
        return self.question.document + Document(tuple(parts))

    def messages(self) -> list[dict[str, Any]]:
        """Return question and answer as messages in OpenAI's format, with thoughts as ``reasoning_content``."""
        thoughts = self.choice.thoughts.strip()
        said = {"role": "assistant", "content": self.answer} | ({"reasoning_content": thoughts} if thoughts else {})
        return [self.question.message(), said]


def _parts(piece: Piece, before: list[Part]) -> list[Part]:
    """Return what a piece adds to a document; words that go on with the last part are joined to it."""
    if isinstance(piece, Words):
        thought, last = piece.kind == "thought", before[-1] if before else None
        if last and isinstance(last.content, str) and last.author == "assistant" and last.thought == thought:
            before[-1] = replace(last, content=last.content + piece.text)
            return []
        return [Part(piece.text.lstrip(), "assistant", thought=thought)]
    if isinstance(piece, Acted):
        return [Part(piece.call, "assistant", thought=piece.thought)]
    if isinstance(piece, Seen):
        return list(piece.document)
    return []


@dataclass(eq=False)
class Conversation:
    """Turns, oldest first."""

    turns: list[Turn] = field(default_factory=list)

    def subject(self, last: Turn) -> list[Turn]:
        """Return the turns on one subject, as long as they came to something, up to `last`."""
        until = self.turns.index(last)
        start = max((number for number in range(until + 1) if self.turns[number].is_new), default=0)
        return [turn for turn in self.turns[start:until] if turn.status in ("done", "stopped")] + [last]

    def prompt(self, last: Turn) -> Document:
        """Return what was said on the subject before, and the question of `last`."""
        *before, _ = self.subject(last)
        return sum((turn.document for turn in before), Document()) + last.question.document

    def messages(self, last: Turn) -> list[dict[str, Any]]:
        """Return what was said on a subject up to a turn, as messages in OpenAI's format."""
        return [message for turn in self.subject(last) for message in turn.messages()]
