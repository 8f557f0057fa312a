"""OpenEXR pictures."""

import os
import tempfile
from pathlib import Path

import numpy as np

from .colour_tags import told_by_exr
from .decoded import (
    STRAIGHT_ALPHA,
    Decoded,
    Role,
    check_size,
    finite,
    unpremultiply,
)
from .errors import InputError

EXR_PIP = 'pip install "mematte-plugin[exr]"'


def decode_exr(
    data: bytes, name: str, max_pixels: int, *, role: Role = "photo", layer: str | None = None
) -> Decoded:
    """An EXR's first part: half or float RGB(A) or Y, over the display window, alpha straight."""
    try:
        import OpenEXR
    except ImportError as error:
        raise InputError(f"{name}: reading EXR needs OpenEXR: {EXR_PIP}") from error
    handle, path = tempfile.mkstemp(suffix=".exr")  # OpenEXR opens files by name only
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        with OpenEXR.File(path, header_only=True) as file:
            header = file.header()  # emptied when the file is closed
            told, straight = told_by_exr(header), bool(header.get(STRAIGHT_ALPHA))
            x0, y0, x1, y1 = (int(v) for v in np.ravel(header["displayWindow"]))
            left, top, right, bottom = (int(v) for v in np.ravel(header["dataWindow"]))
        size = (y1 - y0 + 1, x1 - x0 + 1)
        check_size(*size, name, max_pixels)
        check_size(bottom - top + 1, right - left + 1, name, max_pixels)
        with OpenEXR.File(path) as file:
            found = {key: np.asarray(value.pixels) for key, value in file.channels().items()}
    finally:
        Path(path).unlink(missing_ok=True)
    grouped = next((found[key] for key in ("RGBA", "RGB", "Y") if key in found), None)
    if grouped is None or grouped.dtype.kind != "f":
        listed = ", ".join(sorted(found)) or "none"
        raise InputError(
            f"{name}: the EXR's first part has no float RGB(A) or Y channels (found: {listed});"
            " write the beauty pass alone"
        )
    pixels = grouped.astype(np.float32)
    pixels = finite(pixels, grouped.dtype, name)
    if (size, (x0, y0)) != (pixels.shape[:2], (left, top)):
        # Compositors crop the data window; the frame is the display window.
        frame = np.zeros((*size, *pixels.shape[2:]), np.float32)
        ys, xs = slice(max(y0, top), min(y1, bottom) + 1), slice(max(x0, left), min(x1, right) + 1)
        shifted = (slice(ys.start - top, ys.stop - top), slice(xs.start - left, xs.stop - left))
        if ys.start < ys.stop and xs.start < xs.stop:
            frame[ys.start - y0 : ys.stop - y0, xs.start - x0 : xs.stop - x0] = pixels[shifted]
        pixels = frame
    # EXR colours are premultiplied by convention
    if pixels.ndim == 3 and pixels.shape[2] == 4 and not straight:
        pixels[..., :3] = unpremultiply(pixels[..., :3], pixels[..., 3])
    return Decoded(pixels, linear=True, told=told)
