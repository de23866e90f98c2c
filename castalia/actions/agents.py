"""Sending out agents: a brief for each, run side by side; their conclusions come back, their thoughts do not."""

from dataclasses import dataclass
from typing import Any

from castalia.actions.action import Branches, Outcome, Parameter, State, said
from castalia.document import Document, Part
from castalia.errors import ActionError


@dataclass(frozen=True)
class Spawn:
    """Sends out an agent for every brief and joins what they conclude.

    Agents start from everything so far, which the cache holds once, and may act too. How many there may be in all, and
    to what depth, is in the state; `tokens` is what each may write.
    """

    name: str = "spawn"
    about: str = "send out agents, one for each brief; what they conclude comes back"
    parameters: tuple[Parameter, ...] = (
        Parameter(
            "briefs", {"type": "array", "items": {"type": "string", "maxLength": 500}, "minItems": 1, "maxItems": 64}
        ),
    )
    tokens: int = 128

    def run(self, arguments: dict[str, Any], state: State) -> Outcome:
        """Return the branches to be run. Raises ActionError if no more agents may be sent out."""
        briefs = arguments["briefs"]
        if state.depth < 1:
            raise ActionError("an agent this deep sends out no agents of its own")
        if len(briefs) > state.allowance.agents:
            raise ActionError(f"{len(briefs)} agents are too many: {state.allowance.agents} may still be sent out")
        state.allowance.agents -= len(briefs)
        return Branches(tuple(said(brief) for brief in briefs), join, self.tokens)


def join(documents: list[Document]) -> Document:
    """Return what agents concluded, in the order of their briefs; of one that came to no answer only a dash."""
    answers = []
    for document in documents:
        said_last = [part for part in document if part.author == "assistant" and not part.thought]
        answers.append(" ".join(p.content.strip() for p in said_last if isinstance(p.content, str)) or "-")
    return Document((Part("; ".join(answers), "tool"),))
