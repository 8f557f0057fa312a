"""Decoding photographs of any origin; what cannot be decoded says why."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

SMALLEST = 160
"""Shorter sides than that give no crop to speak of."""


def read_photo(
    data: bytes, *, mode: str = "RGB", smallest: int = SMALLEST
) -> NDArray[np.uint8] | str:
    """Decode an image file upright: (H, W, 3 or 4) uint8; in words, why not, if it is unusable."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as file:
            image = ImageOps.exif_transpose(file).convert(mode)
            pixels: NDArray[np.uint8] = np.asarray(image, np.uint8)
    except UnidentifiedImageError:
        return "unreadable: no image format that is known"
    except Image.DecompressionBombError:
        return "unreadable: larger than is plausible"
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's ways to say: broken
        return f"unreadable: {error}"
    if min(pixels.shape[:2]) < smallest:
        return f"too small ({pixels.shape[1]} x {pixels.shape[0]})"
    return pixels
