"""A subject over another background."""

import io
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from ..errors import InputError, warn_user
from ..images.arrays import STRIP, full_scale, to_steps, to_unit
from ..images.colour_names import colour_of, parse_colour
from ..images.colour_spaces import LINEAR, SRGB_CURVE, ColourSpace, Primaries, convert, same, srgb
from ..images.photo import Photo, space_of_photo
from ..images.read import ImageSource, read_photo

Background: TypeAlias = "str | tuple[float, ...] | ImageSource"
"""A colour or a picture."""

Rows: TypeAlias = Callable[[slice], np.ndarray]
"""Makes some rows of a picture, so that no float copy of all of it is needed."""


def composite(
    foreground: np.ndarray,
    alpha: np.ndarray,
    background: Background,
    *,
    linear: bool = False,
    icc_profile: bytes | None = None,
    primaries: Primaries | None = None,
    linear_light: bool = False,
) -> np.ndarray:
    """alpha * F + (1 - alpha) * B: (H, W, 3) float32 in [0, 1], in the foreground's encoding.

    foreground: (H, W, 3) float in [0, 1], or uint8 or uint16: the subject's colours, straight.
        HDR values beyond [0, 1] survive.
    alpha: (H, W) float in [0, 1].
    background: a colour ("white", "#20c0ff", "hsl(…)", "rgba(255, 0, 0, 0.5)", "transparent",
        (255, 255, 255), or floats in [0, 1]), or an image as for `read_photo`, in its own depth;
        one of another size is scaled to cover the foreground and cropped around its centre.
    linear: the foreground is scene-linear light; a display-encoded background is converted.
    icc_profile, primaries: the foreground's colour space, see `Photo`. Colours by name or number
        are sRGB; they, and pictures with a known colour space, are converted to it.
    linear_light: blend in linear light, as lenses and renderers do; bright and dark mix brighter.

    Blended in the foreground's own encoding by default, as image editors do; scene-linear light
    always as light. Where the background has transparency of its own, the result is (H, W, 4):
    straight colours and the joint opacity of subject and background.

    Raises InputError unless the background is a colour or an image, and if the shapes do not agree.
    """
    foreground, alpha = np.asarray(foreground), np.asarray(alpha)
    if foreground.ndim != 3 or foreground.shape[2] != 3 or alpha.shape != foreground.shape[:2]:
        raise InputError(
            f"composite: foreground {foreground.shape} and alpha {alpha.shape} do not agree; give"
            " (H, W, 3) and (H, W) of one size"
        )
    space = space_of_photo(icc_profile, linear, primaries)
    size = int(alpha.shape[0]), int(alpha.shape[1])
    behind, opacity = _behind(background, size, icc_profile, space)
    light = _light(space) if linear_light and not linear else None
    out = np.empty((*alpha.shape, 3 if opacity is None else 4), np.float32)
    for top in range(0, len(out), STRIP):  # no further float copies of a large picture
        rows = slice(top, top + STRIP)
        share = to_unit(alpha[rows])[..., None]
        fore, back = to_unit(foreground[rows]), behind(rows)
        low, high = min(0.0, fore.min(), back.min()), max(1.0, fore.max(), back.max())
        if light is not None:
            fore, back = light.decode(fore), light.decode(back)
        rest = 1 - share
        if opacity is not None:
            rest *= opacity(rows)[..., None]
        mixed = np.multiply(fore, share, out=out[rows, :, :3])
        mixed += back * rest
        if opacity is not None:
            whole = share + rest
            mixed /= np.where(whole > 0, whole, 1)
            out[rows, :, 3:] = whole.clip(0, 1)
        if light is not None:
            mixed[...] = light.encode(mixed)
        mixed.clip(low, high, out=mixed)
    return out


def over_white(pixels: np.ndarray, name: str) -> np.ndarray:
    """(H, W, 3) for files without transparency: over white, with a warning, if there is some.

    pixels: (H, W, 3), or (H, W, 4) float with straight alpha, of any encoding whose white is 1.
    """
    if pixels.shape[2] == 3:
        return pixels
    warn_user(f"{name}: cannot hold the background's transparency; white is put behind it")
    return np.asarray(pixels[..., :3] * pixels[..., 3:] + (1 - pixels[..., 3:]), np.float32)


def _light(space: ColourSpace | None) -> ColourSpace:
    """Decodes values to light; of a profile that is more than a matrix, with sRGB's curve."""
    return ColourSpace(np.eye(3), (SRGB_CURVE,) * 3) if space is None else space


def _behind(
    background: Background, size: tuple[int, int], icc: bytes | None, space: ColourSpace | None
) -> tuple[Rows, Rows | None]:
    """The background's colours in the foreground's encoding, and its opacity if not all is opaque.

    Of some rows: (3,) or (rows, W, 3) float32, and () or (rows, W) float32.
    """
    colour = _colour(background)
    if colour is not None:
        plain = _converted(colour[None, None, :3], None, srgb(), icc, space)[0, 0]
        return lambda _: plain, None if colour[3] == 1 else lambda _: colour[3]
    if not isinstance(background, Photo):
        name = None if isinstance(background, str | os.PathLike) else "background"
        background = read_photo(background, name=name, role="background")
    photo = _covering(background, size)
    colours, alpha, own = photo.pixels, photo.alpha, photo.space
    if (own is None or space is None) and photo.icc_profile != icc:
        # Profiles that are more than a matrix: converted by littleCMS, in 8 bits.
        colours, own = _converted(to_unit(colours), photo.icc_profile, own, icc, space), space

    def rows(part: slice) -> np.ndarray:
        values = to_unit(colours[part])
        if own is None or space is None or same(own, space):
            return values
        return _bounded(convert(values, own, space), space)

    return rows, None if alpha is None else lambda part: to_unit(alpha[part])


def _bounded(values: np.ndarray, target: ColourSpace) -> np.ndarray:
    """Values clipped to the gamut of a display-encoded space; light has none."""
    return values if target.curves[0] == LINEAR else values.clip(0, 1)


def _converted(
    values: np.ndarray,
    source_icc: bytes | None,
    source: ColourSpace | None,
    icc: bytes | None,
    target: ColourSpace | None,
) -> np.ndarray:
    """Values of one space as values of another: by matrix and curves, or else by littleCMS."""
    if source is not None and target is not None:
        return _bounded(convert(values, source, target), target)
    from PIL import ImageCms

    def profile(data: bytes | None) -> Any:
        if data is None:
            return ImageCms.createProfile("sRGB")
        return ImageCms.ImageCmsProfile(io.BytesIO(data))

    if source is not None and source_icc is None:  # scene-linear light, too
        values = convert(values, source, srgb())
    picture = Image.fromarray(to_steps(np.ascontiguousarray(values), 8))
    between = icc if target is None else None
    try:
        shown = ImageCms.profileToProfile(picture, profile(source_icc), profile(between))
    except (ImageCms.PyCMSError, OSError):
        shown = picture  # a broken profile is ignored
    unit = to_unit(np.asarray(shown))
    return unit if target is None else _bounded(convert(unit, srgb(), target), target)


def _colour(background: Any) -> np.ndarray | None:
    """(4,) float32 in [0, 1] of a colour name or tuple; None for a file or an image."""
    if not isinstance(background, str):
        return colour_of(background) if isinstance(background, tuple | list) else None
    found = parse_colour(background)
    if found is None and not os.path.exists(background):
        raise InputError(f"background {background!r}: neither a colour (white, #20c0ff) nor a file")
    return None if found is None else np.array(found, np.float32)


def _covering(photo: Photo, size: tuple[int, int]) -> Photo:
    """Scaled to cover (H, W), as floats, and cropped around its centre; without an opaque alpha."""
    alpha = photo.alpha
    if alpha is not None:
        alpha = None if (alpha >= full_scale(alpha.dtype)).all() else alpha
    if photo.size == size:
        return replace(photo, alpha=alpha)
    unit = to_unit(photo.pixels)
    low, high = min(0.0, float(unit.min())), max(1.0, float(unit.max()))
    if alpha is None:
        return replace(photo, pixels=_cover(unit, size).clip(low, high), alpha=None)
    # Scaled together, so that colours under transparency do not bleed into visible ones.
    opacity = to_unit(alpha)[..., None]
    scaled = _cover(np.concatenate([unit * opacity, opacity], axis=2), size)
    opacity = scaled[..., 3:]  # not clipped: the filter overshoots in it as in the colours
    seen = opacity > 1e-3
    colours = np.where(seen, scaled[..., :3] / np.where(seen, opacity, 1), 0).clip(low, high)
    clear = np.where(seen, opacity, 0)[..., 0].clip(0, 1)
    return replace(photo, pixels=colours.astype(np.float32), alpha=clear)


def _cover(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Not clipped: the filter overshoots a little at edges."""
    import cv2

    height, width = size
    scale = max(height / pixels.shape[0], width / pixels.shape[1])
    wide = max(width, round(pixels.shape[1] * scale))
    high = max(height, round(pixels.shape[0] * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = np.asarray(cv2.resize(pixels, (wide, high), interpolation=way))
    top, left = (high - height) // 2, (wide - width) // 2
    return scaled[top : top + height, left : left + width]
