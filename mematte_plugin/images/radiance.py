"""Radiance HDR (RGBE), by OpenCV."""

from __future__ import annotations

import re
from typing import BinaryIO

import numpy as np

from ..errors import InputError
from .colour_tags import told_by_radiance
from .decoded import Decoded, Header, check_size, rgb_order

_TOP_DOWN = re.compile(rb"-Y (\d{1,9}) \+X (\d{1,9})\s*$")
_START = 65536
"""Bytes within which the text in front of the pixels ends."""


def read_hdr_header(file: BinaryIO, name: str) -> Header:
    """Size and depth of a Radiance picture."""
    height, width = _size(file.read(_START), name)
    return Header(height, width, 4)


def decode_hdr(data: bytes, name: str, max_pixels: int) -> Decoded:
    """Scene-linear float RGB."""
    height, width = _size(data[:_START], name)
    check_size(height, width, name, max_pixels)
    import cv2

    log = cv2.utils.logging
    level = log.getLogLevel()
    log.setLogLevel(log.LOG_LEVEL_SILENT)  # it would speak of damage on stderr, too
    try:
        pixels = rgb_order(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))
    finally:
        log.setLogLevel(level)
    if pixels.shape != (height, width, 3) or pixels.dtype != np.float32:
        raise ValueError(f"decoded as {pixels.shape} {pixels.dtype}")
    told = told_by_radiance(data[:_START].partition(b"\n\n")[0])
    return Decoded(pixels, linear=True, told=told)


def _size(start: bytes, name: str) -> tuple[int, int]:
    head, blank, rest = start.partition(b"\n\n")
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
    return int(found[1]), int(found[2])
