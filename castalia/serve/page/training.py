"""The page's third part: the curves of a run, while it trains and after."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from castalia.errors import AccessError
from castalia.serve.api.answering import House
from castalia.serve.page import widgets
from castalia.serve.page.curves import curves_html, runs_in, stamp
from castalia.serve.page.talk import error_html
from castalia.serve.page.widgets import QUIET

REFRESH = 4.0
"""Seconds between two looks at a run."""


@dataclass(eq=False)
class Training:
    """The curves as they are laid out; `runs` is the directory of runs, `first` the run that is shown first."""

    house: House
    runs: Path
    first: str
    secret: Any

    def lay_out(self) -> None:
        """Make the components and say what they do."""
        self.run = gr.Dropdown(self._names(), label="Run", value=None, elem_classes="run", interactive=True)
        self.curves = widgets.talk("Curves", "", kind="curves")
        self.seen = gr.State(("", 0.0))
        self.timer = gr.Timer(REFRESH, active=False)
        showing = ([self.secret, self.run, self.seen], [self.curves, self.seen])
        self.run.change(self.show, *showing, **QUIET)
        self.timer.tick(self.show, *showing, **QUIET)

    def attend(self, here: gr.Tab, *others: gr.Tab) -> None:
        """Look at runs only while the tab `here` is shown."""
        here.select(self.begin, [self.secret, self.run], [self.run, self.timer], **QUIET)
        for other in others:
            other.select(lambda: gr.Timer(active=False), None, [self.timer], **QUIET)

    def _names(self) -> list[str]:
        return runs_in(self.runs) if self.runs.is_dir() else []

    def begin(self, secret: str, run: str | None) -> tuple[Any, Any]:
        """Offer the runs that there are now and begin to look."""
        names = self._names()
        chosen = run if run in names else self.first if self.first in names else next(iter(names), None)
        return gr.update(choices=names, value=chosen), gr.Timer(active=True)

    async def show(self, secret: str, run: str | None, seen: tuple[str, float]) -> tuple[Any, Any]:
        """Draw a run if anything of it is new."""
        try:
            await asyncio.to_thread(self.house.gate.known, secret or None)
        except AccessError as error:
            return error_html(str(error)), seen
        if run is None or run not in self._names():
            return '<p class="hint">No run here has metrics yet.</p>', seen
        newest = (run, stamp(self.runs / run))
        if newest == tuple(seen):
            return gr.skip(), gr.skip()
        return await asyncio.to_thread(curves_html, self.runs / run), newest
