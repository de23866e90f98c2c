"""What people think of answers: kept with the conversation, for the model to learn from."""

import asyncio

from castalia.errors import CastaliaError
from castalia.serve.api.answering import House
from castalia.serve.database import Feedback
from castalia.serve.page.turn import Conversation

MOST_CHARACTERS = 20_000
THANKS = {
    "up": "Thank you. Stored as a good answer.",
    "down": "Thank you. Stored as a bad answer.",
    "correction": "Thank you. The correction is stored.",
}


async def give(house: House, secret: str | None, conversation: Conversation, number: int, kind: str, text: str) -> None:
    """Store feedback about turn `number` and note in the turn what has become of it."""
    if not 0 <= number < len(conversation.turns) or conversation.turns[number].status == "running":
        return
    turn, text = conversation.turns[number], text.strip()[:MOST_CHARACTERS]
    if kind == "correction" and not text:
        turn.note = "Write what would have been right."
    else:
        try:
            key = await asyncio.to_thread(house.gate.known, secret)
            row = Feedback(
                kind=kind, text=text, conversation=conversation.messages(turn), key_id=None if key is None else key.id
            )
            await asyncio.to_thread(house.database.add, row)
            turn.note, turn.given = f"{THANKS[kind]} (No. {row.id})", kind
        except CastaliaError as error:
            turn.note = f"Not stored: {error}"
    turn.changed()
