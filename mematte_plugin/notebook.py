"""What a notebook shows of an object at the end of a cell: a small picture and a few facts.

As HTML that needs neither style sheet nor script, since some hosts (GitHub, untrusted notebooks)
drop both, and in the page's own colours, so that it is readable in light and in dark.
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
"""Longer side of a displayed picture in pixels, at most."""

_FRAME = "display:flex;flex-wrap:wrap;gap:1em;align-items:flex-start;text-align:left"
_BESIDE = "flex:1 1 18em;min-width:min(18em,100%)"
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
    """A picture and a table beside it, for `_repr_html_`; nothing that fails here is raised.

    rows: (what, value), plain text, or what computes them.
    picture: makes (H, W, 3) uint8, which is shown in its own size.
    described: what the picture shows, for those who do not see it.
    icc_profile: the RGB profile of the picture's colours.

    Returns the HTML. Where the picture fails (memory, say) a row says why in its place; where even
    the rows do, that is logged and None is returned, so that the notebook shows the repr instead.
    """
    try:
        told = list(rows() if callable(rows) else rows)
        if picture is None:
            return _table(told)
        try:
            shown = _image(picture(), described, icc_profile)
        except Exception as error:
            logger.warning("the picture cannot be shown", exc_info=True)
            shown, told = "", [*told, ("picture", f"cannot be shown: {_reason(error)}")]
        return f'<div style="{_FRAME}">{shown}<div style="{_BESIDE}">{_table(told)}</div></div>'
    except Exception:
        logger.warning("this cannot be shown as HTML; its text is shown", exc_info=True)
        return None


def one_line(text: object, longest: int = 60) -> str:
    """Text as part of a line: without line breaks, and only its end where it is long."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return plain if len(plain) <= longest else f"…{plain[1 - longest :]}"


def file_name(path: str) -> str:
    """The last part of a path, or whatever else something is called, as part of a line."""
    return one_line(os.path.basename(path.rstrip("/")) or path)


def profile_name(icc_profile: bytes | None) -> str:
    """What an ICC profile calls itself."""
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
    said = " ".join(str(error).split())
    return said or ("out of memory" if isinstance(error, MemoryError) else type(error).__name__)
