"""The page's first part: a conversation with pictures and voice, thoughts, agents and feedback."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from castalia.errors import CastaliaError
from castalia.serve.page import feedback, widgets
from castalia.serve.page.question import Attachment, Question
from castalia.serve.page.samples import samples_html
from castalia.serve.page.talk import talk_html
from castalia.serve.page.turn import Conversation, Manner, Turn
from castalia.serve.page.widgets import QUIET
from castalia.serve.page.working import Desk
from castalia.tasks.effort import EFFORTS, Effort

AGENTS = (("one chain", 0), ("2", 2), ("4", 4), ("8", 8), ("16", 16))
LONGEST_SECONDS = 3600.0

Changes = AsyncGenerator[dict[Any, Any]]


def typed(asked: dict[str, Any] | None) -> tuple[Question, list[str]]:
    """Return what a field holds: words, and the paths of files that are still to be read."""
    asked = asked or {}
    return Question((asked.get("text") or "").strip()), list(asked.get("files") or [])


async def with_files(question: Question, paths: list[str]) -> Question:
    """Return a question with files added to it. Raises ImageError or SpeechError for one that cannot be read."""
    read = [await asyncio.to_thread(Attachment.read, Path(path)) for path in paths]
    return Question(question.text, (*question.attachments, *read))


def manner(effort: Effort, agents: int, deadline: str | None) -> Manner:
    """Return how a question is thought about, from what the controls say.

    Raises CastaliaError for a deadline that is none.
    """
    deadline = (deadline or "").strip()
    if not agents or not deadline:
        return Manner(effort, agents)
    try:
        seconds = float(deadline.replace(",", "."))
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= LONGEST_SECONDS:
        raise CastaliaError(f"the deadline {deadline[:20]!r}: seconds above 0, at most {LONGEST_SECONDS:g}, or nothing")
    return Manner(effort, agents, seconds)


@dataclass(eq=False)
class Chat:
    """The chat as it is laid out; `secret` and `model` are the page's own fields."""

    desk: Desk
    samples: list[Question]
    secret: Any
    model: Any

    def lay_out(self) -> None:
        """Make the components and say what they do."""
        self.conversation = gr.State(Conversation())
        self.talk = widgets.talk("Conversation", talk_html(Conversation()))
        self.list = widgets.samples(self.samples)
        with gr.Column(elem_classes="dock"):
            self.box = widgets.box("Ask something …")
            with gr.Row(elem_classes="controls"):
                self.effort = gr.Radio(EFFORTS, value="medium", label="Effort", elem_classes="segments", min_width=0)
                self.agents = gr.Radio(
                    AGENTS, value=0, label="Contemplating agents", elem_classes="segments", min_width=0
                )
                self.seconds = gr.Textbox(
                    label="Deadline in seconds",
                    placeholder="none",
                    visible=False,
                    elem_classes="deadline",
                    min_width=0,
                )
                widgets.pad(self.box)
                fresh = gr.Button("New conversation", elem_classes="fresh", size="sm", min_width=0)
        asked = [self.effort, self.agents, self.seconds, self.secret, self.model, self.conversation]
        changed = [self.talk, self.list, self.box]
        self.box.submit(self.ask, [self.box, *asked], changed, **QUIET)
        self.box.stop(self.stop, queue=False, **QUIET)
        self.list.pick(self.ask_sample, asked, changed, **QUIET)
        fresh.click(self.begin_afresh, [self.conversation], changed, queue=False, **QUIET)
        self.agents.change(
            lambda agents: gr.update(visible=agents > 0), [self.agents], [self.seconds], queue=False, **QUIET
        )
        widgets.listening(self.talk, "feedback", self.give, [self.secret, self.conversation], [self.talk])

    async def ask(self, request: gr.Request, asked: dict[str, Any] | None, *controls: Any) -> Changes:
        """Ask what the field holds."""
        question, paths = typed(asked)
        async for changes in self._answered(request, Turn(question, Manner()), paths, *controls):
            yield changes

    async def ask_sample(self, request: gr.Request, event: gr.EventData, *controls: Any) -> Changes:
        """Ask the sample that was picked, as a new subject."""
        sample = self.samples[int(event._data["index"]) % len(self.samples)]
        async for changes in self._answered(request, Turn(sample, Manner(), is_new=True), [], *controls):
            yield changes

    async def _answered(self, request: gr.Request, turn: Turn, paths: list[str], *controls: Any) -> Changes:
        """Answer one turn and show it as it comes; nothing happens if nothing is asked, or another is answered."""
        *how, secret, model, conversation = controls
        session = request.session_hash or ""
        if self.desk.is_busy(session) or not (turn.question.text or turn.question.attachments or paths):
            yield {}
            return
        conversation.turns.append(turn)
        try:
            turn.manner = manner(*how)
            turn.question = await with_files(turn.question, paths)
        except CastaliaError as error:
            turn.end("failed", str(error))
            yield {self.talk: talk_html(conversation)}
            return
        yield {
            self.talk: talk_html(conversation),
            self.list: samples_html(self.samples, is_open=False),
            self.box: gr.update(value=None, submit_btn=False, stop_btn=True),
        }
        shown = -1
        asked = [(turn, conversation.prompt(turn))]
        async for _ in self.desk.work(session, secret or None, model, asked):
            if turn.version != shown:
                shown = turn.version
                yield {self.talk: talk_html(conversation)}
        yield {self.talk: talk_html(conversation), self.box: gr.update(submit_btn=True, stop_btn=False)}

    def stop(self, request: gr.Request) -> None:
        """Stop what is being answered, in the engine too."""
        self.desk.stop(request.session_hash or "")

    def begin_afresh(self, request: gr.Request, conversation: Conversation) -> dict[Any, Any]:
        """Forget what was said."""
        self.desk.stop(request.session_hash or "")
        conversation.turns.clear()
        return {self.talk: talk_html(conversation), self.list: samples_html(self.samples), self.box: None}

    async def give(self, event: gr.EventData, secret: str, conversation: Conversation) -> list[list[str]]:
        """Store what somebody thinks of an answer."""
        data = event._data
        await feedback.give(
            self.desk.house, secret or None, conversation, int(data["turn"]), str(data["kind"]), str(data["text"])
        )
        return talk_html(conversation)
