"""How the page looks: one accent colour, system fonts, light and dark, nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from .painting import BRUSHES

# Teal: none of the brushes' colours.
ACCENT = gr.themes.Color(
    *("#effaf8", "#d5f1ec", "#aee3da", "#7bcec2", "#45b2a5", "#1f9488"),
    *("#0f766c", "#0f5e57", "#114b46", "#123f3b", "#052522"),
    name="mematte",
)
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")
TOKENS = {
    "body_background_fill": ("*neutral_50", "#101012"),
    "background_fill_primary": ("white", "*neutral_900"),
    "block_background_fill": ("white", "*neutral_900"),
    "border_color_primary": ("*neutral_200", "*neutral_800"),
    "body_text_color_subdued": ("*neutral_500", "*neutral_400"),
    "input_background_fill": ("white", "*neutral_800"),
    "button_primary_background_fill": ("*primary_600", "*primary_600"),
    "button_primary_background_fill_hover": ("*primary_700", "*primary_500"),
    "button_secondary_background_fill": ("white", "*neutral_800"),
    "button_secondary_background_fill_hover": ("*neutral_100", "*neutral_700"),
    "button_secondary_border_color": ("*neutral_300", "*neutral_700"),
    "checkbox_label_background_fill_selected": ("*primary_50", "*primary_900"),
}
"""Gradio's name of a property, and its value in light and dark."""


def launch_options() -> dict[str, Any]:
    """The arguments of `launch()` that make the page look like this."""
    rules = [f".legend .b{brush.stroke:d} {{ background: {brush.css}; }}" for brush in BRUSHES]
    css = Path(__file__).with_name("theme.css").read_text(encoding="utf-8")
    return {"theme": _theme(), "css": css + "\n".join(rules), "footer_links": ["api"]}


def _theme() -> gr.themes.Base:
    theme = gr.themes.Base(
        primary_hue=ACCENT,
        secondary_hue=ACCENT,
        neutral_hue=gr.themes.colors.zinc,
        radius_size=gr.themes.sizes.radius_lg,
        font=FONTS,
        font_mono=MONO,
    )
    both = {
        "color_accent": "*primary_600",
        "block_border_width": "1px",
        "button_border_width": "1px",
    }
    light = {name: colours[0] for name, colours in TOKENS.items()}
    dark = {f"{name}_dark": colours[1] for name, colours in TOKENS.items()}
    return theme.set(**both, **light, **dark)
