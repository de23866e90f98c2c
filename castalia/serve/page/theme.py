"""How the page looks: its style, and Gradio's theme in the same colours."""

from importlib import resources

import gradio as gr

SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "Liberation Sans", "sans-serif")
MONO = ("ui-monospace", "SF Mono", "Cascadia Mono", "Noto Sans Mono", "Liberation Mono", "monospace")
"""Fonts of the machine: none is fetched."""

COLOURS = {
    "body_background_fill": "var(--paper)",
    "body_text_color": "var(--ink)",
    "body_text_color_subdued": "var(--dim)",
    "background_fill_primary": "var(--raised)",
    "background_fill_secondary": "var(--paper)",
    "block_background_fill": "transparent",
    "block_border_color": "var(--rule)",
    "block_label_text_color": "var(--dim)",
    "block_title_text_color": "var(--dim)",
    "block_info_text_color": "var(--dim)",
    "border_color_primary": "var(--rule)",
    "border_color_accent": "var(--accent)",
    "color_accent": "var(--accent)",
    "color_accent_soft": "var(--tint)",
    "link_text_color": "var(--accent)",
    "input_background_fill": "var(--raised)",
    "input_border_color": "var(--rule)",
    "input_border_color_focus": "var(--accent)",
    "input_placeholder_color": "var(--dim)",
    "button_primary_background_fill": "var(--accent)",
    "button_primary_background_fill_hover": "var(--accent)",
    "button_primary_text_color": "var(--paper)",
    "button_secondary_background_fill": "transparent",
    "button_secondary_background_fill_hover": "var(--tint)",
    "button_secondary_text_color": "var(--ink)",
    "button_secondary_border_color": "var(--rule)",
    "checkbox_label_background_fill": "transparent",
    "checkbox_label_background_fill_hover": "var(--tint)",
    "checkbox_label_background_fill_selected": "var(--accent)",
    "checkbox_label_text_color_selected": "var(--paper)",
    "checkbox_label_border_color": "var(--rule)",
    "checkbox_background_color_selected": "var(--accent)",
    "checkbox_border_color_focus": "var(--accent)",
    "error_background_fill": "var(--raised)",
    "error_border_color": "var(--wrong)",
    "error_text_color": "var(--wrong)",
}
"""Gradio's colours by those that style.css names, which know of light and dark."""
PLAIN = {"block_border_width": "0px", "block_shadow": "none", "input_shadow": "none", "input_shadow_focus": "none"}


def head() -> str:
    """Return what stands in the page's head: its style, its script and its icon, all of it here."""
    here = resources.files("castalia.serve.page")
    style, script = (here / "style.css").read_text("utf-8"), (here / "page.js").read_text("utf-8")
    return f'<style>{style}</style><script>{script}</script><meta name="color-scheme" content="light dark">'


def theme() -> gr.themes.Base:
    """Return Gradio's theme."""
    made = gr.themes.Base(font=SANS, font_mono=MONO, radius_size="md", spacing_size="md", text_size="md")
    light = COLOURS | PLAIN
    dark = {f"{name}_dark": value for name, value in light.items() if hasattr(made, f"{name}_dark")}
    return made.set(**light, **dark)
