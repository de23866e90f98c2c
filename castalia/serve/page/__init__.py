"""The app: a page to talk with the model, mounted in the API server at ``/``."""

from pathlib import Path

from fastapi import FastAPI

from castalia.serve.api.answering import House


def mount(app: FastAPI, house: House, run: Path | None) -> FastAPI:
    """Mount the page at ``/`` of `app`, after all its other routes; `run` is the run that is served, if it is one.

    Paths of the API stay the API's, also those that it does not have. Files are taken only from who has a key, where
    keys are needed; and the page may load nothing from, and send nothing to, anywhere else.
    """
    import gradio as gr

    from castalia.serve.page.guard import guarded
    from castalia.serve.page.page import build_page
    from castalia.serve.page.theme import head, theme

    page = build_page(house, run)
    gr.mount_gradio_app(
        app, page, path="/", theme=theme(), head=head(), footer_links=[], run_history=False, ssr_mode=False,
        show_error=False, max_file_size="32mb", enable_monitoring=False, pwa=False, mcp_server=False,
    )  # fmt: skip
    return guarded(app, house)
