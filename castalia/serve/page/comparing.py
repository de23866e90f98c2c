"""The page's second part: one question answered at several efforts, side by side, with what each has cost."""

from dataclasses import dataclass, field
from html import escape
from typing import Any

import gradio as gr

from castalia.errors import CastaliaError
from castalia.serve.page import widgets
from castalia.serve.page.chat import Changes, typed, with_files
from castalia.serve.page.question import Question
from castalia.serve.page.samples import samples_html
from castalia.serve.page.talk import cost_html, error_html, question_html, reply_html
from castalia.serve.page.turn import Manner, Turn
from castalia.serve.page.widgets import QUIET
from castalia.serve.page.working import Desk
from castalia.tasks.effort import EFFORTS

HINT = '<p class="hint">One question, answered at the efforts you choose, with tokens and seconds under each.</p>'


def columns_html(question: Question, turns: list[Turn]) -> list[str]:
    """Return the question, and a column for each effort."""
    columns = []
    for turn in turns:
        effort = escape(turn.manner.effort)
        busy = '<span class="busy" role="img" aria-label="thinking"></span>' if turn.status == "running" else ""
        columns += [
            f'<section class="column turn {turn.status}" aria-label="{effort} effort">',
            f"<header><b>{effort}</b>{busy}</header>",
            '<div class="reply">',
            *reply_html(turn),
            f"</div><footer>{cost_html(turn)}</footer></section>",
        ]
    asked = question_html(question, turns[0].pictures if turns else {})
    return [f'<div class="compared">{asked}<div class="columns">', *columns, "</div></div>"]


@dataclass(eq=False)
class Comparison:
    """The comparison as it is laid out; `secret` and `model` are the page's own fields."""

    desk: Desk
    samples: list[Question]
    secret: Any
    model: Any
    efforts: Any = field(init=False)

    def lay_out(self) -> None:
        """Make the components and say what they do."""
        self.columns = widgets.talk("Answers side by side", HINT)
        self.list = widgets.samples(self.samples)
        with gr.Column(elem_classes="dock"):
            self.box = widgets.box("Ask at several efforts …")
            with gr.Row(elem_classes="controls"):
                self.efforts = gr.CheckboxGroup(
                    list(EFFORTS),
                    value=["none", "medium", "high"],
                    label="Efforts",
                    elem_classes="segments",
                    min_width=0,
                )
        how, changed = [self.efforts, self.secret, self.model], [self.columns, self.list, self.box]
        self.box.submit(self.ask, [self.box, *how], changed, **QUIET)
        self.box.stop(self.stop, queue=False, **QUIET)
        self.list.pick(self.ask_sample, how, changed, **QUIET)

    async def ask(self, request: gr.Request, asked: dict[str, Any] | None, *controls: Any) -> Changes:
        """Ask what the field holds."""
        async for changes in self._answered(request, *typed(asked), *controls):
            yield changes

    async def ask_sample(self, request: gr.Request, event: gr.EventData, *controls: Any) -> Changes:
        """Ask the sample that was picked."""
        sample = self.samples[int(event._data["index"]) % len(self.samples)]
        async for changes in self._answered(request, sample, [], *controls):
            yield changes

    async def _answered(
        self, request: gr.Request, question: Question, paths: list[str], efforts: list[str], secret: str, model: str
    ) -> Changes:
        session = f"{request.session_hash} compares"
        if self.desk.is_busy(session) or not (question.text or question.attachments or paths):
            yield {}
            return
        try:
            question = await with_files(question, paths)
            turns = [Turn(question, Manner(effort)) for effort in EFFORTS if effort in efforts]
            if not turns:
                raise CastaliaError("choose at least one effort")
        except CastaliaError as error:
            yield {self.columns: error_html(str(error))}
            return
        yield {
            self.columns: columns_html(question, turns),
            self.list: samples_html(self.samples, is_open=False),
            self.box: gr.update(value=None, submit_btn=False, stop_btn=True),
        }
        shown = -1
        asked = [(turn, question.document) for turn in turns]
        async for _ in self.desk.work(session, secret or None, model, asked):
            if (version := sum(turn.version for turn in turns)) != shown:
                shown = version
                yield {self.columns: columns_html(question, turns)}
        yield {self.columns: columns_html(question, turns), self.box: gr.update(submit_btn=True, stop_btn=False)}

    def stop(self, request: gr.Request) -> None:
        """Stop all columns."""
        self.desk.stop(f"{request.session_hash} compares")
