"""Enacting: reference thoughts say what is called; carrying it out adds what the calls return."""

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace

from castalia.actions.action import Action, Session, State
from castalia.document import Call, Document, Part
from castalia.errors import ActionError


def enact(document: Document, actions: Mapping[str, Action], **settings: int) -> Document:
    """Return `document` with every call of the assistant followed by what it returned, said by the tool.

    A call that the tool has answered already is left as it is. After every turn of the user's the state is made afresh
    of all pictures shown so far, as it is for a prompt; `settings` are those of `State`, such as ``max_side``. What
    goes wrong in an action is said by what it returns. Raises ActionError for a call that sends out agents: there is no
    model here to be them.
    """
    parts: list[Part] = []
    session: Session | None = None
    for index, part in enumerate(document):
        parts.append(part)
        if part.author == "user":
            session = None
        answered = any(following.author == "tool" for following in document.parts[index + 1 : index + 2])
        if part.author == "assistant" and isinstance(part.content, Call) and not answered:
            session = session or Session(actions, State.of(Document(tuple(parts)), **settings))
            parts += [replace(said, author="tool", thought=False) for said in _outcome(session, part.content)]
    return Document(tuple(parts))


def _outcome(session: Session, call: Call) -> Document:
    outcome = session.act(call)
    if isinstance(outcome, Future):
        outcome = outcome.result()
    if not isinstance(outcome, Document):
        raise ActionError(f"{call.name} sends out agents, and here are none: write what they found after the call")
    return outcome.unlearned()
