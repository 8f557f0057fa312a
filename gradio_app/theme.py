"""How the page looks: one accent colour, system fonts, light and dark, nothing from elsewhere."""

from __future__ import annotations

from typing import Any

import gradio as gr

from .painting import BRUSHES
from .samples import examples, thumbnail

ACCENT = gr.themes.Color(
    name="mematte",
    c50="#effaf8",
    c100="#d5f1ec",
    c200="#aee3da",
    c300="#7bcec2",
    c400="#45b2a5",
    c500="#1f9488",
    c600="#0f766c",
    c700="#0f5e57",
    c800="#114b46",
    c900="#123f3b",
    c950="#052522",
)
"""Teal: none of the brushes' colours."""

FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


def launch_options() -> dict[str, Any]:
    """What `launch()` has to be given for the page to look like this."""
    return {
        "theme": _theme(),
        "css": _CSS + "".join(_brush_css()) + "".join(_example_css()),
        "footer_links": ["api"],
    }


def _theme() -> gr.themes.Base:
    theme = gr.themes.Base(
        primary_hue=ACCENT,
        secondary_hue=ACCENT,
        neutral_hue=gr.themes.colors.zinc,
        radius_size=gr.themes.sizes.radius_lg,
        spacing_size=gr.themes.sizes.spacing_md,
        text_size=gr.themes.sizes.text_md,
        font=FONTS,
        font_mono=MONO,
    )
    return theme.set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="#101012",
        background_fill_primary="white",
        background_fill_primary_dark="#18181b",
        background_fill_secondary="*neutral_100",
        background_fill_secondary_dark="#202024",
        block_background_fill="white",
        block_background_fill_dark="#18181b",
        block_border_width="1px",
        block_border_color="*neutral_200",
        block_border_color_dark="#2c2c31",
        border_color_primary="*neutral_200",
        border_color_primary_dark="#2c2c31",
        block_shadow="none",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_border_width="0px",
        block_label_border_width_dark="0px",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_300",
        block_title_text_weight="500",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="*neutral_200",
        block_info_text_color="*neutral_500",
        block_info_text_color_dark="*neutral_400",
        body_text_color="*neutral_800",
        body_text_color_dark="*neutral_100",
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        input_background_fill="white",
        input_background_fill_dark="#202024",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_500",
        button_primary_text_color="white",
        button_primary_text_color_dark="white",
        button_secondary_background_fill="white",
        button_secondary_background_fill_hover="*neutral_100",
        button_secondary_background_fill_dark="#26262b",
        button_secondary_background_fill_hover_dark="#303036",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="#3a3a41",
        button_border_width="1px",
        button_primary_border_color="*primary_600",
        button_primary_border_color_dark="*primary_600",
        button_transition="background-color 0.15s ease",
        button_large_text_weight="600",
        checkbox_background_color_selected="*primary_600",
        checkbox_background_color_selected_dark="*primary_600",
        checkbox_border_color_selected="*primary_600",
        checkbox_border_color_selected_dark="*primary_600",
        checkbox_label_background_fill="white",
        checkbox_label_background_fill_dark="#202024",
        checkbox_label_background_fill_selected="*primary_50",
        checkbox_label_background_fill_selected_dark="*primary_900",
        checkbox_label_border_color_selected="*primary_500",
        checkbox_label_border_color_selected_dark="*primary_500",
        checkbox_label_text_color_selected="*neutral_900",
        checkbox_label_text_color_selected_dark="white",
        slider_color="*primary_600",
        slider_color_dark="*primary_500",
        loader_color="*primary_600",
        stat_background_fill="*primary_500",
        stat_background_fill_dark="*primary_500",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_300",
    )


_CSS = """
.gradio-container { max-width: 1360px !important; width: 100%; margin: 0 auto !important; }
.gradio-container > main, .gradio-container .main { padding-top: 20px; }
.html-container { padding: 0 !important; }
.prose > :first-child { margin-top: 0 !important; }
#head { margin-bottom: 4px; }
#head h1 { font-size: 28px; font-weight: 650; letter-spacing: -0.02em; margin: 0;
  line-height: 1.2; }
#head p { color: var(--body-text-color-subdued); margin: 4px 0 0; font-size: 15px; }
.step { margin-top: 10px !important; }
.step h2 { display: flex; align-items: center; gap: 10px; font-size: 17px; font-weight: 600;
  margin: 0; line-height: 24px; color: var(--body-text-color); }
.step h2 span { flex: none; width: 24px; height: 24px; border-radius: 50%; display: grid;
  place-items: center; font-size: 13px; font-weight: 600; color: white;
  background: var(--primary-600); }
.facts, .hint { font-size: 14px; line-height: 1.5; color: var(--body-text-color-subdued);
  margin: 0; overflow-wrap: anywhere; }
.facts b { color: var(--body-text-color); font-weight: 600; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 0 0 4px; padding: 0;
  list-style: none; font-size: 14px; color: var(--body-text-color); }
.legend li { display: flex; align-items: center; gap: 7px; margin: 0; }
.legend i { width: 14px; height: 14px; border-radius: 50%; flex: none;
  box-shadow: inset 0 0 0 1px #0002; }
.empty { min-height: 420px; display: grid; place-content: center; justify-items: center;
  text-align: center; gap: 6px; padding: 28px; border-radius: var(--block-radius);
  border: 1px dashed var(--neutral-300); background: var(--block-background-fill); }
#painter-wait .empty { min-height: 240px; }
.dark .empty { border-color: #3a3a41; }
.empty b { font-size: 16px; font-weight: 600; color: var(--body-text-color); }
.empty p { margin: 0; max-width: 34em; color: var(--body-text-color-subdued); }
#report table.report { width: 100%; border-collapse: collapse; font-size: 14px; border: 0;
  margin: 0; }
#report table.report th, #report table.report td { text-align: left; vertical-align: top;
  padding: 7px 0; border: 0; border-bottom: 1px solid var(--border-color-primary); background: none;
  color: var(--body-text-color); overflow-wrap: anywhere; }
table.report th { width: 9em; font-weight: 500; color: var(--body-text-color-subdued); }
#report table.report tr { background: none; border: 0; }
#report table.report tr:last-child > * { border-bottom: 0; }
.example { justify-content: flex-start !important; padding: 6px 12px 6px 6px !important;
  gap: 9px !important; font-weight: 500 !important; font-size: 14px !important;
  line-height: 1.25 !important; text-align: left; flex-wrap: nowrap !important; }
.example::before { content: ""; flex: none; width: 40px; height: 40px;
  border-radius: 6px; background-size: cover; }
#result-slider, #edges-slider { --slider-color: var(--primary-600); }
.wrap:has(> .error) { display: none !important; }
button[role="tab"].selected { color: var(--primary-700) !important; }
.dark button[role="tab"].selected { color: var(--primary-300) !important; }
footer { opacity: 0.75; }
footer .divider { display: none; }
#stage .wrap { inset: 0; padding: 24px !important; justify-content: center; gap: 10px; }
#stage .progress-level { gap: 10px; }
#stage .progress-level-inner, #stage .progress-text { font-family: var(--font); font-size: 14px; }
#stage .progress-text { display: none; }  /* a clock that every sign of life sets back */
#paint-side, #mask-side, #trimap-side { display: none; }
body:has(#way input[value="paint"]:checked) #paint-side,
body:has(#way input[value="mask"]:checked) #mask-side,
body:has(#way input[value="trimap"]:checked) #trimap-side { display: flex; }
body:has(#way input[value="trimap"]:checked) #band { display: none; }
#painter-wait ~ #painter { display: none; }
#band label > span, #band .head span { white-space: nowrap; font-size: 14px; }
#right { scroll-margin-top: 12px; }
#stage .progress-bar-wrap { border-radius: 99px; height: 8px; border: 0; width: min(420px, 80%);
  background: var(--neutral-200); }
.dark #stage .progress-bar-wrap { background: #303036; }
#stage .html-container.pending .empty > * { visibility: hidden; }
@media (max-width: 640px) {
  .gradio-container .main, .gradio-container > main { padding: 12px !important; }
  #head h1 { font-size: 22px; }
  #stage .empty { min-height: 220px; padding: 20px; }
  table.report th { width: 7.5em; }
}
"""


def _brush_css() -> list[str]:
    return [f".legend .b{brush.stroke:d} {{ background: {brush.css}; }}\n" for brush in BRUSHES]


def _example_css() -> list[str]:
    return [
        f"#example-{example.way}::before {{ background-image: url('{thumbnail(example)}'); }}\n"
        for example in examples()
    ]
