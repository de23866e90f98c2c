"""Effort: how much thought is wanted, how the model is told, and reference thoughts that keep within it."""

from dataclasses import replace
from typing import Literal, get_args

from castalia.document import Call, Document, Part

Effort = Literal["none", "minimal", "low", "medium", "high"]
EFFORTS: tuple[Effort, ...] = get_args(Effort)

THINKING: dict[Effort, int] = {"none": 0, "minimal": 16, "low": 48, "medium": 128, "high": 512}
"""Tokens of thought at most, by effort; at the limit thoughts are ended and the model answers."""


def tell(effort: Effort, *, acting: bool = False, agents: bool = False) -> Document:
    """Return how the model is told of the effort, and that it may act or send out agents.

    Medium effort goes without saying.
    """
    words = ([] if effort == "medium" else [effort]) + (["act"] if acting else []) + (["agents"] if agents else [])
    return Document((Part(" ".join(words), "system"),) if words else ())


def limit(document: Document, effort: Effort, unfinished: str | None = None) -> Document:
    """Return a trace whose thoughts end where those of `effort` are ended: before each answer, when they are spent.

    No text has more tokens than bytes, so bytes are counted. That the thoughts end there is not learned, for the model
    does not choose it; the answer after them is, or what is said when they are `unfinished`. At ``none`` there are no
    thoughts.
    """
    if effort == "none":
        return Document(tuple(part for part in document if not (part.thought and part.author == "assistant")))
    parts: list[Part] = []
    left, cut = THINKING[effort], False
    for part in document:
        if part.author == "user":
            left, cut = THINKING[effort], False
        if part.author != "assistant" or not part.thought:
            if cut and unfinished and part.author == "assistant":
                parts.append(replace(part, content=unfinished))
            elif not (cut and part.author == "tool"):
                parts.append(part)
            continue
        if cut:
            continue
        written = part.content
        assert isinstance(written, str | Call)
        text = written if isinstance(written, str) else f"{written.name} {written.arguments}  "
        length = len(text.encode())
        if length > left:
            cut = True
            kept = text.encode()[:left].decode(errors="ignore") if isinstance(written, str) else ""
            parts += [replace(part, content=kept), replace(part, content="", learned=False)]
        else:
            parts.append(part)
        left -= length
    return Document(tuple(parts))
