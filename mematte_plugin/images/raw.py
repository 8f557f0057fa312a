"""Camera raw files, developed by LibRaw through rawpy with the camera's white balance only."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..errors import InputError
from .decoded import Decoded, Reading, ReadOptions, check_shape, header_of
from .refusals import library, short

_SIDEWAYS = (5, 6)
"""LibRaw's flip: a quarter turn."""


def read_raw(data: bytes, name: str, options: ReadOptions) -> Reading:
    """(H, W, 3) uint16 linear light with sRGB's primaries, upright.

    White is what the camera measured, brightness what the sensor saw: no curve, no stretching.
    """
    rawpy = library(
        "rawpy", name, "camera raw file", "rawpy", " (or develop it to TIFF or PNG first)"
    )
    with _opened(rawpy, data, name) as raw:
        height, width = _size(raw)
        yield header_of(height, width, 16)
        pixels = np.asarray(
            raw.postprocess(
                output_color=rawpy.ColorSpace.sRGB,
                output_bps=16,
                gamma=(1, 1),
                no_auto_bright=True,
                use_camera_wb=True,
            )
        )
    check_shape(pixels, height, width, name)
    return Decoded(pixels, linear=True)


@contextmanager
def _opened(rawpy: Any, data: bytes, name: str) -> Iterator[Any]:
    try:
        with rawpy.RawPy() as raw:
            raw.open_buffer(io.BytesIO(data))
            yield raw
    except (rawpy.LibRawFileUnsupportedError, rawpy.LibRawNotImplementedError) as error:
        version = ".".join(map(str, rawpy.libraw_version))
        raise InputError(
            f"{name}: is a camera raw file that LibRaw {version} does not know; develop it to"
            " TIFF or PNG first"
        ) from error
    except rawpy.LibRawError as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else short(error)
        raise InputError(
            f"{name}: the camera raw file is damaged or cut off ({reason}); copy it again"
        ) from error


def _size(raw: Any) -> tuple[int, int]:
    """(H, W) as LibRaw develops it, turned and with square pixels."""
    sizes = raw.sizes
    height, width = int(sizes.iheight), int(sizes.iwidth)
    aspect = float(sizes.pixel_aspect)
    if aspect < 1:
        height = int(height / aspect + 0.5)
    elif aspect > 1:
        width = int(width * aspect + 0.5)
    return (width, height) if sizes.flip in _SIDEWAYS else (height, width)
