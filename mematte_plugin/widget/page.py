"""What both widgets need of the page: its messages, and pictures small enough to send."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

VIEWS = ("photo", "trimap", "alpha", "cutout", "routing")
CHECKERBOARD = "checkerboard"
QUALITY = 90
"""Of the JPEGs."""


def answer_during_cells(widget: Any) -> None:
    """Have a widget's messages handled in the subshell that the page asks for.

    ipykernel 7 handles them in the thread that sent the widget's last message, mostly a cell's:
    there they wait until the cell has ended, even a press of Cancel. Only for widgets whose
    handlers run in any thread. No effect on kernels without subshells.
    """
    if widget.comm is not None and hasattr(widget.comm, "_reply_subshell_for"):
        widget.comm._reply_subshell_for = None


def jpeg(pixels: NDArray[np.uint8], profile: bytes | None) -> bytes:
    """(h, w, 3) uint8 as JPEG with the photo's own colour profile."""
    file = BytesIO()
    picture = Image.fromarray(pixels)
    picture.save(file, "JPEG", quality=QUALITY, subsampling=0, icc_profile=profile or b"")
    return file.getvalue()
