"""Agents side by side: what each writes, what it concludes, and who contributed what to the answer."""

from dataclasses import dataclass
from html import escape

from castalia.document import Image
from castalia.reasoning.strategies import ENDED
from castalia.serve.page.thoughts import trail_html
from castalia.serve.page.turn import Turn
from castalia.serve.service.job import Choice
from castalia.serve.service.pieces import Done
from castalia.tasks.steps import NOTHING

MOST_SHOWN = 6
"""Conclusions that are shown, besides the answer."""


@dataclass(frozen=True)
class Conclusion:
    """What one or several agents (numbered from 1) concluded, and whether it became the answer."""

    text: str
    agents: tuple[int, ...]
    chosen: bool


def conclusions(lanes: dict[int, Choice], answer: str) -> list[Conclusion]:
    """Return what agents that are done have concluded, commonest first; one that found nothing concludes nothing."""
    spelled: dict[str, str] = {}
    agents: dict[str, list[int]] = {}
    for number, lane in sorted(lanes.items()):
        said = lane.answer.strip()
        if lane.stopped in ENDED and said not in ("", NOTHING):
            spelled.setdefault(_same(said), said)
            agents.setdefault(_same(said), []).append(number + 1)
    ordered = sorted(agents, key=lambda same: -len(agents[same]))
    return [Conclusion(spelled[same], tuple(agents[same]), same == _same(answer)) for same in ordered]


def _same(text: str) -> str:
    return text.strip().rstrip(".").lower()


def lanes_html(turn: Turn) -> list[str]:
    """Return rounds of agents, and below the first what they concluded."""
    chunks = []
    for number, lanes in enumerate(turn.rounds):
        is_synthesis = number > 0 and len(lanes) == 1
        agents = max(turn.manner.agents, len(lanes)) if number == 0 else len(lanes)
        shown = [_lane(index, lanes.get(index), turn, is_synthesis) for index in range(agents)]
        name = "Synthesis" if is_synthesis else "Agents" if number == 0 else f"Agents, round {number + 1}"
        kind = " synthesis" if is_synthesis else ""
        chunks += [f'<section class="lanes{kind}" role="group" aria-label="{name}">', *shown, "</section>"]
        if number == 0:
            chunks.append(_tally(turn, lanes))
    if turn.rounds and not turn.answer and turn.status == "running" and _all_done(turn.rounds[-1], turn):
        chunks.append('<p class="hint">Findings are being merged …</p>')
    return chunks


def _all_done(lanes: dict[int, Choice], turn: Turn) -> bool:
    return len(lanes) >= turn.manner.agents and all(isinstance(lane.trail[-1], Done) for lane in lanes.values())


def _lane(index: int, lane: Choice | None, turn: Turn, is_synthesis: bool) -> str:
    name = "Synthesis" if is_synthesis else f"Agent {index + 1}"
    done = lane is not None and bool(lane.trail) and isinstance(lane.trail[-1], Done)
    written = _written(lane, turn.pictures) if lane else ""
    mark, state, conclusion = _outcome(lane, done, turn)
    return (
        f'<section class="lane {state}" aria-label="{name}"><header><b>{name}</b>{mark}</header>'
        f'<div class="stream" tabindex="0" role="group" aria-label="What {name} writes">{written}</div>'
        f"{conclusion}</section>"
    )


def _written(lane: Choice, made: dict[Image, str]) -> str:
    return "".join(trail_html(lane.trail, made))


def _outcome(lane: Choice | None, done: bool, turn: Turn) -> tuple[str, str, str]:
    """Return the mark in a lane's heading, the lane's state, and what stands at its end."""
    said = lane.answer.strip() if lane else ""
    if not done:
        busy = '<span class="busy" role="img" aria-label="thinking"></span>' if turn.status == "running" else ""
        return busy, "running", f'<p class="conclusion">{escape(said)}</p>' if said else ""
    assert lane is not None
    if lane.stopped not in ENDED:
        why = {"time": "out of time", "length": "out of tokens"}.get(lane.stopped, "not waited for")
        return f'<span class="quiet">{why}</span>', "cut", ""
    if said in ("", NOTHING):
        return '<span class="quiet">nothing found</span>', "empty", ""
    chosen = " chosen" if turn.answer and _same(said) == _same(turn.answer) else ""
    return (
        '<span class="tick" role="img" aria-label="done">✓</span>',
        f"done{chosen}",
        f'<p class="conclusion">{escape(said)}</p>',
    )


def _tally(turn: Turn, lanes: dict[int, Choice]) -> str:
    found = conclusions(lanes, turn.answer)
    if not found:
        return ""
    rows = []
    # The answer is shown even if it was concluded seldom; of many others only the commonest.
    seldom = [conclusion for conclusion in found[MOST_SHOWN:] if not conclusion.chosen]
    for conclusion in found:
        if conclusion in seldom:
            continue
        count = len(conclusion.agents)
        who = ("agent " if count == 1 else "agents ") + ", ".join(map(str, conclusion.agents))
        mark = ' <span class="tick" role="img" aria-label="the answer">✓</span>' if conclusion.chosen else ""
        share = count / max(1, len(lanes))
        rows.append(
            f'<li{" class=chosen" if conclusion.chosen else ""} style="--share:{share:.3f}">'
            f'<b>{escape(conclusion.text)}</b>{mark}<span class="count">{count} of {len(lanes)}</span>'
            f"<small>{who}</small></li>"
        )
    note = f'<p class="hint">And {len(seldom)} more.</p>' if seldom else ""
    if turn.answer and turn.status == "done" and not any(conclusion.chosen for conclusion in found):
        note += '<p class="hint">No agent concluded this answer: the synthesis found it.</p>'
    return f'<section class="tally" aria-label="What the agents concluded"><ol>{"".join(rows)}</ol>{note}</section>'
