"""The parts of the page that are HTML of our own, and the field for questions."""

import base64
import binascii
from collections.abc import Callable
from importlib import resources
from typing import Any

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache

from castalia.serve.page.question import Question
from castalia.serve.page.samples import samples_html

FILE_TYPES = ["image", "audio"]
MOST_DRAWN = 4 << 20
"""Characters of a drawing."""


def talk(name: str, value: Any, *, kind: str = "talk") -> gr.HTML:
    """Return a place for a conversation (or columns, or curves) that takes in pieces of HTML as they come.

    It triggers ``feedback``.
    """
    role, teller = ("log", '<p class="teller" role="status"></p>') if kind == "talk" else ("region", "")
    return gr.HTML(
        value,
        html_template=f'<div class="talk" role="{role}" aria-live="off" aria-label="{name}"></div>{teller}',
        js_on_load=f"window.castalia.{kind}(element, props, trigger, watch) /* 'feedback' */",
        apply_default_css=False,
        elem_classes="bare",
    )


def samples(questions: list[Question]) -> gr.HTML:
    """Return the samples as buttons; it triggers ``pick``."""
    return gr.HTML(
        samples_html(questions),
        html_template='<div class="list"></div>',
        js_on_load="window.castalia.samples(element, props, trigger, watch) /* 'pick' */",
        apply_default_css=False,
        elem_classes="bare",
    )


def box(placeholder: str) -> gr.MultimodalTextbox:
    """Return the field for a question: words, pictures and sounds, from files, the clipboard or a microphone."""
    return gr.MultimodalTextbox(
        sources=["upload", "microphone"],
        file_types=FILE_TYPES,
        file_count="multiple",
        placeholder=placeholder,
        label=placeholder,
        show_label=False,
        max_lines=8,
        elem_classes="ask",
    )


def pad(into: gr.MultimodalTextbox) -> gr.HTML:
    """Return a pad to draw on, whose drawing is added to the question in `into`."""
    drawing = gr.HTML(
        html_template=(resources.files("castalia.serve.page") / "pad.html").read_text("utf-8"),
        js_on_load="window.castalia.pad(element, trigger) /* 'drawn' */",
        apply_default_css=False,
        elem_classes="bare draw",
    )

    def add(event: gr.EventData, asked: dict[str, Any] | None) -> Any:
        return _added(str(event._data.get("png", "")), asked, into.GRADIO_CACHE)

    listening(drawing, "drawn", add, [into], [into])
    return drawing


def listening(component: gr.HTML, event: str, act: Callable[..., Any], inputs: list, outputs: list) -> None:
    """Have `act` called, with the event's data last, when `component` triggers `event`."""
    # Without a queue: what is told this way is done at once.
    getattr(component, event)(act, inputs, outputs, queue=False, **QUIET)


QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
"""Of every event: nothing turns and blinks, and nothing is offered as an API besides the one that is documented."""


def _added(png: str, asked: dict[str, Any] | None, cache: str) -> Any:
    """Return what a field holds with a drawing (a data: address) added to it."""
    try:
        data = base64.b64decode(png[:MOST_DRAWN].partition(",")[2], validate=True)
    except (binascii.Error, ValueError):
        return gr.skip()
    asked = asked or {"text": "", "files": []}
    return {"text": asked["text"], "files": [*asked["files"], save_bytes_to_cache(data, "drawing.png", cache)]}
