"""A conversation as HTML: questions, thoughts, agents, answers, and what people think of them."""

from html import escape

from castalia.document import Image
from castalia.serve.page.lanes import lanes_html
from castalia.serve.page.question import Question
from castalia.serve.page.thoughts import picture_html, trail_html
from castalia.serve.page.turn import Conversation, Turn

WELCOME = (
    '<section class="welcome"><h2>What shall we look at?</h2>'
    "<p>Ask about a picture, say it aloud, or begin with one of the samples. "
    "Thoughts unfold as they are written.</p></section>"
)
CUT_SHORT = {
    "length": "The answer ended at its limit of tokens.",
    "time": "The time was up.",
    "cancelled": "Stopped.",
}


def talk_html(conversation: Conversation) -> list[list[str]]:
    """Return one list of pieces of HTML a turn; joined they are the conversation."""
    return [turn_html(turn, number) for number, turn in enumerate(conversation.turns)] or [[WELCOME]]


def turn_html(turn: Turn, number: int) -> list[str]:
    """Return question, thoughts, agents, answer and feedback of one turn; made anew only if something has changed."""
    if turn.drawn[0] != turn.version:
        turn.drawn = turn.version, _turn_html(turn, number)
    return turn.drawn[1]


def _turn_html(turn: Turn, number: int) -> list[str]:
    return [
        f'<article class="turn {turn.status}" aria-label="Question {number + 1}">',
        question_html(turn.question, turn.pictures),
        '<div class="reply">',
        *reply_html(turn),
        _closing(turn, number),
        "</div></article>",
    ]


def question_html(question: Question, made: dict[Image, str]) -> str:
    """Return what was asked, with its pictures and sounds."""
    shown = [
        picture_html(attachment.content, "The picture that is asked about", made)
        if isinstance(attachment.content, Image)
        else f'<audio controls preload="metadata" aria-label="What is heard" src="{attachment.url}"></audio>'
        for attachment in question.attachments
    ]
    words = f"<p>{escape(question.text)}</p>" if question.text else ""
    return f'<div class="question">{"".join(shown)}{words}</div>'


def reply_html(turn: Turn) -> list[str]:
    """Return thoughts or agents, then the answer, then what it took."""
    chunks: list[str] = []
    if turn.manner.agents:
        chunks += ['<details class="thoughts" open><summary>Agents</summary>', *lanes_html(turn), "</details>"]
        if not turn.rounds and turn.status == "running":
            chunks.append('<p class="hint busy-line">Agents are setting out …</p>')
    elif trail := trail_html(turn.choice.trail, turn.pictures):
        chunks += [
            '<details class="thoughts" open><summary>Thoughts</summary><div class="trail">',
            *trail,
            "</div></details>",
        ]
    elif turn.status == "running" and not turn.answer:
        chunks.append('<p class="hint busy-line">Looking …</p>')
    chunks.append(f'<p class="answer">{escape(turn.answer)}</p>' if turn.answer else "")
    chunks.append(_ending(turn))
    return chunks


def error_html(cause: str) -> str:
    """Return what went wrong, for the person who reads it."""
    return f'<p class="error" role="alert"><b>That did not work:</b> {escape(cause)}</p>'


def _ending(turn: Turn) -> str:
    if turn.status == "failed":
        return error_html(turn.error)
    if turn.status == "stopped":
        return '<p class="hint">Stopped.</p>'
    if turn.status == "done" and turn.choice.stopped in CUT_SHORT:
        return f'<p class="hint">{CUT_SHORT[turn.choice.stopped]}</p>'
    return '<p class="hint">No answer.</p>' if turn.status == "done" and not turn.answer else ""


def cost_html(turn: Turn) -> str:
    """Return how a question was thought about, and what it took."""
    agents = f" · {turn.manner.agents} agents" if turn.manner.agents else ""
    thought = f" ({turn.usage.reasoning:,} in thought)" if turn.usage.reasoning else ""
    tokens = f" · {turn.usage.completion:,} tokens{thought}" if turn.usage.completion else ""
    return f'<span class="cost">effort {turn.manner.effort}{agents}{tokens} · {turn.seconds:.1f} s</span>'


def _closing(turn: Turn, number: int) -> str:
    """Return what the answer took and the means to say what one thinks of it."""
    if turn.status in ("running", "failed"):
        return '<footer class="closing"></footer>'
    thumbs = "".join(
        f'<button type="button" class="thumb" data-act="feedback" data-turn="{number}" data-kind="{kind}" '
        f'aria-label="{label}" title="{label}" aria-pressed="{str(turn.given == kind).lower()}">{THUMB}</button>'
        for kind, label in (("up", "Good answer"), ("down", "Bad answer"))
    )
    return (
        f'<footer class="closing">{cost_html(turn)}<span class="thumbs">{thumbs}</span>'
        f'<details class="correct"><summary>Correct it</summary><form data-turn="{number}">'
        f'<label for="correction-{number}">What would have been right?</label>'
        f'<textarea id="correction-{number}" name="text" rows="2" maxlength="20000" required></textarea>'
        f'<button type="submit">Store the correction</button></form></details>'
        f'<p class="note" role="status">{escape(turn.note)}</p></footer>'
    )


THUMB = (
    '<svg viewBox="0 0 24 24" aria-hidden="true">'
    '<path d="M7 10v10H4V10zM7 11l4-8c1.5 0 2.5 1 2.5 2.5V9h5a2 2 0 0 1 2 2.3l-1.2 7A2 2 0 0 1 17.3 20H7"/></svg>'
)
