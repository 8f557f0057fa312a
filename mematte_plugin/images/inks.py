"""CMYK and L*a*b* pictures as RGB."""

import io
from functools import cache

import numpy as np
from PIL import Image, ImageCms

from ..errors import warn_user
from .arrays import linear_to_srgb
from .colour_spaces import D50, srgb


@cache
def has_imagecodecs() -> bool:
    """The extra `formats` is installed: for TIFF, and for profiles of 16-bit CMYK."""
    try:
        import imagecodecs  # noqa: F401
    except ImportError:
        return False
    return True


def cmyk_to_rgb(inks: np.ndarray, icc: bytes | None, name: str) -> np.ndarray:
    """(H, W, 4) uint8 or uint16, 0 no ink, as sRGB: through the profile, or the plain formula.

    16 bits stay 16, except with a profile and without imagecodecs, which gives a warning.
    """
    if icc is not None and icc[16:20] == b"CMYK":
        if inks.dtype == np.uint8:
            return np.array(icc_to_srgb(Image.fromarray(inks, "CMYK"), icc))
        if not has_imagecodecs():
            warn_user(f"{name}: its 16-bit CMYK is read with 8 bits; imagecodecs would keep them")
            eight = ((inks.astype(np.uint32) + 128) // 257).astype(np.uint8)
            return np.array(icc_to_srgb(Image.fromarray(eight, "CMYK"), icc))
        import imagecodecs

        try:
            # littleCMS counts ink of 16 bits from none to all, as TIFF does.
            return np.asarray(
                imagecodecs.cms_transform(
                    np.ascontiguousarray(inks),
                    icc,
                    imagecodecs.cms_profile("srgb"),
                    colorspace="cmyk",
                    outcolorspace="rgb",
                    outdtype=np.uint16,
                )
            )
        except imagecodecs.CmsError:
            pass
    if inks.dtype == np.uint8:
        return np.array(Image.fromarray(inks, "CMYK").convert("RGB"))
    light = 65535 - inks.astype(np.uint64)
    return ((light[..., :3] * light[..., 3:] + 32767) // 65535).astype(np.uint16)


def icc_to_srgb(im: Image.Image, icc: bytes) -> Image.Image:
    """Colours as the profile means them, in sRGB; the plain conversion if the profile is broken."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        converted = ImageCms.profileToProfile(
            im, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return im.convert("RGB")
    return converted if converted is not None else im.convert("RGB")


def lab_to_rgb(lab: np.ndarray, *, icc_encoding: bool) -> np.ndarray:
    """(H, W, 3) uint8 or uint16 L*a*b* under D50 as sRGB of the same depth.

    icc_encoding: a* and b* are stored with an offset, not as signed numbers.
    """
    top = np.iinfo(lab.dtype).max
    out = np.empty(lab.shape, lab.dtype)
    to_rgb = np.linalg.inv(srgb().to_d50).T
    for row, stored in zip(out, lab, strict=True):  # by rows: no float copy of the picture
        signed = stored.view(f"i{lab.dtype.itemsize}").astype(np.float64)
        unsigned = stored.astype(np.float64)
        step = 1.0 if lab.dtype == np.uint8 else 256.0
        light = unsigned[:, 0] * 100 / (top if not icc_encoding or step == 1 else 0xFF00)
        ab = unsigned[:, 1:] / step - 128 if icc_encoding else signed[:, 1:] / step
        fy = (light + 16) / 116
        f = np.stack([fy + ab[:, 0] / 500, fy, fy - ab[:, 1] / 200], axis=1)
        xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * D50
        row[:] = np.rint(linear_to_srgb((xyz @ to_rgb).clip(0, 1)) * top)
    return out
