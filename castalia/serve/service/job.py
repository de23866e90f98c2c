"""What is asked of a model (`Job`), and what comes back piece by piece (`Update`), whatever model it is."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeGuard

from castalia.document import Call, Document, Image
from castalia.engine.request import Sampling
from castalia.serve.service.functions import Function, ToolChoice
from castalia.serve.service.pieces import Acted, Done, Piece, Seen, Token, Words
from castalia.serve.service.usage import Usage
from castalia.tasks.effort import Effort

LIGHT = 10_000
"""Characters of a prompt that is perceived at once."""


@dataclass(frozen=True)
class Contemplating:
    """How many agents think, and after how many seconds there must be an answer."""

    agents: int
    seconds: float | None = None


@dataclass(frozen=True)
class Job:
    """What is asked: a prompt, how to think about it and to draw, and what the answer must be like.

    `actions` are names of what the model may do by itself (None: what it has learned); `functions` are the client's.
    `schema` holds the answer to a JSON schema; {} to any JSON object. With `logprobs` every word has its tokens.
    """

    prompt: Document
    effort: Effort = "medium"
    max_tokens: int | None = None
    sampling: Sampling = field(default_factory=Sampling)
    contemplate: Contemplating | None = None
    actions: tuple[str, ...] | None = None
    functions: tuple[Function, ...] = ()
    tool_choice: ToolChoice = "auto"
    parallel: bool = True
    schema: dict[str, Any] | None = None
    logprobs: bool = False
    stopped: list[Usage] = field(default_factory=list)
    """What was spent on replies that nobody waited for to the end: written when they are stopped."""

    def choice(self) -> "Choice":
        """Return a reply to this, of which nothing has come yet."""
        names = () if self.tool_choice == "none" else [function.name for function in self.functions]
        return Choice(names=frozenset(names))

    @property
    def is_light(self) -> bool:
        """Whether it is words alone, and few: ready for the engine sooner than a thread begins."""
        words = [part.content for part in self.prompt if isinstance(part.content, str)]
        is_plain = not self.functions and self.schema is None and len(words) == len(self.prompt.parts)
        return is_plain and self.sampling.n * sum(map(len, words)) < LIGHT


@dataclass(frozen=True)
class Update:
    """A piece of choice number `choice`; of one agent's, if an agent (from 0) of a round (from 0) wrote it."""

    choice: int
    piece: Piece
    agent: int | None = None
    round: int = 0


@dataclass
class Choice:
    """One reply as far as it has come: `trail` is all that happened in order; agents' pieces are not in it."""

    thoughts: str = ""
    answer: str = ""
    functions: list[Call] = field(default_factory=list)
    """Calls that are the client's to carry out."""
    tokens: list[Token] = field(default_factory=list)
    trail: list[Piece] = field(default_factory=list)
    images: list[Image] = field(default_factory=list)
    stopped: str = "cancelled"
    met: str | None = None
    """The text to stop at that ended it."""
    names: frozenset[str] = frozenset()
    """Names of the functions that are the client's; whatever else is called is carried out here."""

    def leaves(self, piece: Piece) -> TypeGuard[Acted]:
        """Return whether a piece is a call that is the client's to carry out."""
        return isinstance(piece, Acted) and not piece.thought and piece.call.name in self.names

    def add(self, piece: Piece) -> None:
        """Take in one more piece."""
        self.trail.append(piece)
        if isinstance(piece, Words):
            if piece.kind == "thought":
                self.thoughts += piece.text
            else:
                self.answer += piece.text
                self.tokens += piece.tokens
        elif self.leaves(piece):
            self.functions.append(piece.call)
        elif isinstance(piece, Seen):
            self.images += [part.content for part in piece.document if isinstance(part.content, Image)]
        elif isinstance(piece, Done):
            self.stopped, self.met = piece.stopped, piece.met


class Service(Protocol):
    """Whoever answers jobs: a model of ours in its engine, or one behind somebody's endpoint."""

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models that can be asked."""
        ...

    @property
    def is_alive(self) -> bool:
        """Whether it can still be asked."""
        ...

    def updates(self, job: Job) -> AsyncGenerator[list[Update]]:
        """Yield what happens until all choices are done. Raises CastaliaError if it cannot be asked."""
        ...

    @property
    def gauges(self) -> dict[str, tuple[str, Callable[[], float]]]:
        """What can be read of it at any time: by name, what it is, and how it is read."""
        ...

    async def count(self, job: Job) -> int:
        """Return how many positions the prompt of a job takes. Raises CastaliaError if it cannot be known."""
        ...

    def close(self) -> None:
        """End."""
        ...
