"""Radiance HDR (RGBE), by OpenCV."""

from __future__ import annotations

import re

import numpy as np

from ..errors import InputError
from .arrays import rgb_order
from .colour_tags import tags_of_radiance
from .decoded import Decoded, Header, Reading, ReadOptions

_TOP_DOWN = re.compile(rb"-Y (\d{1,9}) \+X (\d{1,9})\s*$")
_START = 65536
"""Bytes within which the text before the pixels ends."""


def read_hdr(data: bytes, name: str, options: ReadOptions) -> Reading:
    """Scene-linear float RGB."""
    head, blank, rest = data[:_START].partition(b"\n\n")
    if not blank:
        raise ValueError("its header does not end")
    if b"xyze" in head:
        raise InputError(f"{name}: is a Radiance picture in XYZ; convert it to RGB first (ra_xyze)")
    line = rest.partition(b"\n")[0]
    found = _TOP_DOWN.match(line)
    if found is None:
        if re.match(rb"[-+][XY] \d+ [-+][XY] \d+", line):
            raise InputError(
                f"{name}: is a Radiance picture stored upside down or on its side; turn it first"
                " (pflip), or save it as EXR"
            )
        raise ValueError("no size in its header")
    height, width = int(found[1]), int(found[2])
    yield Header(height, width, 4)
    import cv2

    log = cv2.utils.logging
    level = log.getLogLevel()
    log.setLogLevel(log.LOG_LEVEL_SILENT)  # it would report damage on stderr, too
    try:
        pixels = rgb_order(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))
    finally:
        log.setLogLevel(level)
    if pixels.shape != (height, width, 3) or pixels.dtype != np.float32:
        raise ValueError(f"decoded as {pixels.shape} {pixels.dtype}")
    return Decoded(pixels, linear=True, tags=tags_of_radiance(head))
