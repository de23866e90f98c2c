"""The page as a whole: heading, key, and its three parts."""

from html import escape
from pathlib import Path
from urllib.parse import unquote

import gradio as gr

from castalia.errors import AccessError
from castalia.serve.api.answering import House
from castalia.serve.page.chat import Chat
from castalia.serve.page.comparing import Comparison
from castalia.serve.page.samples import families_of, sample_questions
from castalia.serve.page.training import Training
from castalia.serve.page.widgets import QUIET
from castalia.serve.page.working import Desk

COOKIE = "castalia_key"
KEPT_SECONDS = 3600
"""How long files that were sent are kept at least."""


def needs_key(house: House) -> bool:
    """Return whether a question without a key is refused."""
    try:
        house.gate.known(None)
    except AccessError:
        return True
    return False


def build_page(house: House, run: Path | None) -> gr.Blocks:
    """Return the page; `run` is the run that is served, beside which others may lie."""
    names, samples = house.service.models, sample_questions(families_of(run))
    runs = (run.resolve().parent if run else Path("runs")).resolve()
    desk = Desk(house)
    with gr.Blocks(title="Castalia", analytics_enabled=False, delete_cache=(KEPT_SECONDS, KEPT_SECONDS)) as page:
        named = escape(names[0]) if len(names) == 1 else ""
        gr.HTML(
            f'<header class="top"><h1>Castalia</h1><p>{named}</p></header>',
            apply_default_css=False,
            elem_classes="bare",
        )
        with gr.Row(elem_classes="entry", visible=needs_key(house) or len(names) > 1):
            model = gr.Dropdown(list(names), value=names[0], label="Model", visible=len(names) > 1)
            secret = gr.Textbox(label="Key", type="password", placeholder="cst-…", visible=needs_key(house))
        chat, comparison = Chat(desk, samples, secret, model), Comparison(desk, samples, secret, model)
        training = Training(house, runs, run.resolve().name if run else "", secret)
        with gr.Tabs():
            with gr.Tab("Chat") as chatting:
                chat.lay_out()
            with gr.Tab("Side by side") as beside:
                comparison.lay_out()
            with gr.Tab("Curves") as curves:
                training.lay_out()
        training.attend(curves, chatting, beside)
        secret.change(None, [secret], None, js="(key) => window.castalia.key(key)", **QUIET)
        page.load(_remembered, None, [secret], **QUIET)
    page.queue(default_concurrency_limit=16)
    return page


def _remembered(request: gr.Request) -> str:
    """Return the key that was typed before, so that a page that is loaded again has it."""
    return unquote(request.cookies.get(COOKIE, ""))
