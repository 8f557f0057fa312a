"""HEIC and HEIF by pillow-heif; AVIF by Pillow, of 10 and 12 bits by imagecodecs."""

from __future__ import annotations

import numpy as np

from ..errors import warn_user
from .arrays import scaled_bits, unpremultiply
from .bmff import avif_bits
from .colour_tags import tags_of_bmff
from .decoded import (
    Decoded,
    Reading,
    ReadOptions,
    check_shape,
    header_of,
    upright,
    with_rgb_profile,
)
from .pillow import (
    exif_dpi,
    exif_of_image,
    from_pil,
    open_pil,
    orientation_of,
    warn_if_animated,
)
from .refusals import FORMATS_PIP, library


def read_heif(data: bytes, name: str, options: ReadOptions) -> Reading:
    """The primary picture of a HEIC file; its turns (irot, imir) are applied by libheif.

    EXIF's orientation repeats them and does not count, as the format demands.
    """
    pillow_heif = library(
        "pillow_heif", name, "HEIC picture", "pillow-heif", " (or export it as PNG, JPEG or TIFF)"
    )
    file = pillow_heif.open_heif(data, convert_hdr_to_8bit=False, hdr_to_16bit=False)
    picture = file[file.primary_index]
    width, height = picture.size
    channels, _, depth = str(picture.mode).partition(";")
    bits = int(depth or 8)
    tags = tags_of_bmff(data)
    yield header_of(height, width, bits, tags=tags)
    if len(file) > 1:
        warn_user(f"{name}: holds {len(file)} pictures; its primary one is used")
    pixels = np.asarray(picture)
    check_shape(pixels, height, width, name)
    pixels = scaled_bits(pixels, bits)
    if channels[-1] == "a":
        pixels = np.dstack([unpremultiply(pixels[..., :-1], pixels[..., -1]), pixels[..., -1]])
    if channels in ("LA", "La"):
        pixels = np.dstack([pixels[..., :1]] * 3 + [pixels[..., 1:]])
    icc = picture.info.get("icc_profile") or None
    decoded = Decoded(np.array(pixels, order="C"), icc, tags=tags, lossy=True)
    return with_rgb_profile(decoded, name)


def read_avif(data: bytes, name: str, options: ReadOptions) -> Reading:
    """The first frame of an AVIF, in its own depth if imagecodecs is installed, else in 8 bits."""
    im = open_pil("AVIF", data, name)
    bits, tags = avif_bits(data), tags_of_bmff(data)
    exif = exif_of_image(im)
    deep = bits > 8 and _reads_deep_avif()
    orientation = orientation_of(exif)
    yield header_of(im.height, im.width, bits if deep else 8, orientation, tags)
    if bits > 8 and not deep:
        warn_user(
            f"{name}: its {bits} bits are read as 8; imagecodecs would keep them: {FORMATS_PIP}"
        )
    warn_if_animated(im, name)
    if deep:
        import imagecodecs

        pixels = np.asarray(imagecodecs.avif_decode(data, index=0))
        check_shape(pixels, im.height, im.width, name)
        icc = im.info.get("icc_profile") or None
        found = Decoded(scaled_bits(pixels, bits), icc, exif_dpi(exif))
        decoded = upright(with_rgb_profile(found, name), orientation)
    else:
        decoded = from_pil(im, name)
    decoded.tags = tags
    return decoded


def _reads_deep_avif() -> bool:
    try:
        import imagecodecs
    except ImportError:
        return False
    return bool(imagecodecs.AVIF.available)
