"""What comes back from a model, piece by piece: words, calls, what they returned, and the end."""

from dataclasses import dataclass
from typing import Literal

from castalia.document import Call, Document
from castalia.serve.service.usage import Usage

Kind = Literal["thought", "answer"]


@dataclass(frozen=True)
class Token:
    """A token of an answer: how it reads (in bytes, for it may be part of a character), and its log-probability."""

    raw: bytes
    logprob: float
    others: tuple["Token", ...] = ()
    """The likeliest tokens in its place, itself among them, where they are wanted."""


@dataclass(frozen=True)
class Words:
    """More words of a thought or of the answer."""

    kind: Kind
    text: str
    tokens: tuple[Token, ...] = ()


@dataclass(frozen=True)
class Acted:
    """A call, in thought or not, with its number among the calls."""

    call: Call
    number: int
    thought: bool


@dataclass(frozen=True)
class Seen:
    """What a call has returned."""

    document: Document


@dataclass(frozen=True)
class Done:
    """The reply is complete: why it stopped, the whole answer, its cost, and the text to stop at that it has met."""

    stopped: str
    answer: str
    usage: Usage
    met: str | None = None


Piece = Words | Acted | Seen | Done
