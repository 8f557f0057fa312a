"""Rich display in notebooks: an object as a small picture and a table of facts.

The HTML has neither style sheet nor script, which some hosts (GitHub, untrusted notebooks) drop,
and uses the page's own colours, so that it is readable in light and dark themes.
"""

from __future__ import annotations

import base64
import io
import logging
import os
from collections.abc import Callable, Iterable
from html import escape

import numpy as np
from PIL import Image

LONGEST = 512
"""Longer side of a displayed picture in pixels."""

_FRAME = "display:flex;flex-wrap:wrap;gap:1em;align-items:flex-start;text-align:left"
_COLUMN = "flex:1 1 18em;min-width:min(18em,100%)"
_CELL = "text-align:left;vertical-align:top;padding:2px 1em 2px 0;white-space:normal;max-width:40em"

logger = logging.getLogger(__name__)

Rows = Iterable[tuple[str, str]]


def as_html(
    rows: Rows | Callable[[], Rows],
    *,
    picture: Callable[[], np.ndarray] | None = None,
    described: str = "",
    icc_profile: bytes | None = None,
) -> str | None:
    """A picture with a table next to it, for `_repr_html_`; never raises.

    rows: (name, value) pairs of plain text, or a function that makes them.
    picture: makes (H, W, 3) uint8, shown at its own size.
    described: the picture's alt text.
    icc_profile: the RGB profile of the picture's colours.

    Returns the HTML. If the picture fails (memory, say), a row says why; if the rows fail, that is
    logged and None returned, so that the notebook shows the repr instead.
    """
    try:
        facts = list(rows() if callable(rows) else rows)
        if picture is None:
            return _table(facts)
        try:
            shown = _image(picture(), described, icc_profile)
        except Exception as error:
            logger.warning("the picture cannot be shown", exc_info=True)
            shown, facts = "", [*facts, ("picture", f"cannot be shown: {_reason(error)}")]
        return f'<div style="{_FRAME}">{shown}<div style="{_COLUMN}">{_table(facts)}</div></div>'
    except Exception:
        logger.warning("this cannot be shown as HTML; its text is shown", exc_info=True)
        return None


def one_line(text: object, longest: int = 60) -> str:
    """Text for part of a line: without line breaks, long text shortened to its end."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return plain if len(plain) <= longest else f"…{plain[1 - longest :]}"


def file_name(path: str) -> str:
    """The last part of a path, or another name, for part of a line."""
    return one_line(os.path.basename(path.rstrip("/")) or path)


def profile_name(icc_profile: bytes | None) -> str:
    """An ICC profile's own description."""
    if icc_profile is None:
        return "none: taken for sRGB"
    from PIL import ImageCms

    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
        return one_line(ImageCms.getProfileDescription(profile)) or "without a name"
    except (OSError, ImageCms.PyCMSError):
        return "damaged"


def _table(rows: Rows) -> str:
    lines = [
        f'<tr><th scope="row" style="{_CELL}">{escape(what)}</th>'
        f'<td style="{_CELL}">{escape(value)}</td></tr>'
        for what, value in rows
    ]
    return f'<table style="border-collapse:collapse"><tbody>{"".join(lines)}</tbody></table>'


def _image(pixels: np.ndarray, described: str, icc_profile: bytes | None) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", icc_profile=icc_profile)
    data = base64.b64encode(file.getvalue()).decode()
    height, width = pixels.shape[:2]
    return (
        f'<img alt="{escape(described)}" width="{width}" height="{height}"'
        f' style="max-width:100%;height:auto" src="data:image/png;base64,{data}">'
    )


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text or ("out of memory" if isinstance(error, MemoryError) else type(error).__name__)
