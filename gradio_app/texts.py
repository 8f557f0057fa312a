"""Small pieces of HTML that the page shows in more than one place."""

from __future__ import annotations

from html import escape

from .painting import BRUSHES


def stage(title: str, text: str) -> str:
    """What stands where results will be, as HTML."""
    return f'<div class="empty"><b>{escape(title)}</b><p>{escape(text)}</p></div>'


NO_PHOTO = stage(
    "Your cut-out will appear here",
    "Choose a photo, mark the subject and press Cut. Or start one of the examples.",
)
READY = stage("Ready when you are", "Mark the subject, then press Cut.")
WORKING = stage("Working", "The first cut of a large photo takes a while.")
CANCELLED = stage("Cancelled", "Nothing was kept. Press Cut to start again.")
FAILED = stage("That did not work", "The message says why. Change the input and press Cut again.")
NO_PAINTER = '<div class="empty"><p>Choose a photo first, then paint on it here.</p></div>'
NO_INFO = (
    '<p class="facts">JPEG, PNG, TIFF, WebP or EXR, 8 to 32 bit. Depth, colour profile and size'
    " are kept.</p>"
)


def model_note(note: str) -> str:
    """The line below the choice of models, as HTML."""
    return f'<p class="hint">{escape(note)}</p>'


def legend() -> str:
    """The brushes and what to do with them, as HTML."""
    items = "".join(
        f'<li><i class="b{brush.stroke:d}"></i>{escape(brush.title)}</li>' for brush in BRUSHES
    )
    return (
        f'<ul class="legend">{items}</ul><p class="hint">Cover the subject, and a band along its'
        " edge is computed. Or mark some subject and some background: all the rest is computed.</p>"
    )
