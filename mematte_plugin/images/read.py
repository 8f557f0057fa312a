"""Photographs, trimaps and masks in whatever form people have them, as plain arrays.

Sources are paths, bytes, binary files, Pillow images, numpy arrays and torch tensors.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from PIL import Image

from ..errors import InputError, warn_user
from .arrays import STRIP, full_scale, to_unit
from .colour_spaces import INPUT_SPACES, LINEAR, REC709, check_input_space, hdr_to_linear
from .colour_tags import ColourTags
from .decode import decode
from .decoded import MAX_PIXELS, Decoded, ReadOptions, Role, check_size
from .files import read_file
from .photo import Photo
from .pillow import from_pil
from .profiles import icc_profile
from .value_range import check_colours, check_unit

ImageSource: TypeAlias = Any
"""str or Path, bytes, a binary file, a `Layer`, a Pillow image, a numpy array or a torch tensor."""


@dataclass(frozen=True)
class Layer:
    """One layer of an EXR file, wherever a photo, a trimap or a mask may be given.

    source: the file: path, bytes or binary file object.
    name: the layer's or part's name, or a channel's, as the message lists them that an EXR of
        several layers gives; case does not matter.

    Example:
        >>> cut("shot.exr", mask=Layer("shot.exr", "roto.hero"))  # doctest: +SKIP
    """

    source: Any
    name: str


_GREY_SLACK = 2 / 255 + 1e-6  # colour channels of a grey picture after JPEG and colour conversion


def read_photo(
    source: ImageSource,
    *,
    name: str | None = None,
    max_pixels: int = MAX_PIXELS,
    layer: str | None = None,
    role: Role = "photo",
    input_space: str | None = None,
) -> Photo:
    """Read a photograph; see `Photo` for what is kept.

    source: a file (path, bytes or binary file object: PNG, JPEG, TIFF, WebP, AVIF, GIF, BMP, HDR,
        with the extra `exr` EXR, with the extra `formats` HEIC, JPEG XL and camera raw, recognised
        by content; a stream is read from its start), a Pillow image of any mode, a numpy array
        (H, W), (H, W, 3) or (H, W, 4), or a torch tensor of these shapes or (3, H, W); uint8,
        uint16 or float in [0, 1] (of HDR pictures also beyond).
        A tensor is taken as channels-first if its first side is 1, 3 or 4 and its last is not.
        Arrays are copied, so that the caller may reuse them.
    name: how messages call it; default the path, or "image".
    max_pixels: larger files are refused by their header, before decoding.
    layer: of an EXR with several layers or parts, the one to take; as `Layer` says.
    role: what the picture is for, "photo" or "background", as messages have it.
    input_space: the colour space, whatever the file says: "srgb", "display-p3", "adobe-rgb",
        "rec2020", or scene-linear light: "linear-srgb" (Rec. 709), "linear-p3", "linear-rec2020",
        "acescg", "aces2065-1".

    EXIF orientation is applied. CMYK becomes sRGB through its ICC profile. Colours described other
    than by a profile (EXIF, PNG's cICP, gAMA and cHRM, the nclx of AVIF and HEIF, TIFF's
    colorimetry, EXR's chromaticities) get a profile, or `primaries`, that means the same. PQ and
    HLG become linear light, and of animations and multi-page TIFFs the first picture is taken, with
    a MEMatteWarning.

    Raises InputError if there is no file, it is damaged or not a picture, or the array's shape,
    dtype or value range is none of the above; SettingError for an unknown input_space.
    """
    source, layer = of_layer(source, layer)
    if name is None:
        name = os.fspath(source) if isinstance(source, str | os.PathLike) else "image"
    space = check_input_space(input_space)
    decoded = _opened_picture(source, name, max_pixels, role, layer)
    if decoded.pixels.dtype.kind == "f":
        light = decoded.linear or (space is not None and INPUT_SPACES[space][1] == LINEAR)
        checked = check_colours(decoded.pixels, name, light=light)
        decoded.borrowed &= checked is decoded.pixels
        decoded.pixels = checked
    pixels, alpha = decoded.pixels, None
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype not in (np.uint8, np.uint16, np.float32):
        raise InputError(
            f"{name}: has {pixels.dtype} values; give uint8 (0–255), uint16 (0–65535) or"
            " float (0–1)"
        )
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        pixels, alpha = pixels[..., :3], np.array(pixels[..., 3], order="C")
        if not alpha.any():
            warn_user(f"{name}: its alpha channel is empty, so nothing would show; it is ignored")
            alpha = None
    elif pixels.ndim == 2 or pixels.shape[2] == 1:
        pixels = np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)
    pixels = np.ascontiguousarray(pixels)
    if decoded.borrowed and np.may_share_memory(pixels, decoded.pixels):
        pixels = pixels.copy()
    return _photo(decoded, pixels, alpha, space, name)


def read_gray(
    source: ImageSource,
    *,
    name: str = "trimap",
    use_alpha: bool = False,
    max_pixels: int = MAX_PIXELS,
    layer: str | None = None,
) -> np.ndarray:
    """Read a trimap or mask as (H, W) float32 in [0, 1].

    source: as for `read_photo`, also bool, and (1, H, W) arrays. Colour pictures are taken
        if their channels agree within 2/255. Integers are scaled by 255 or 65535; integers that
        are only 0 and 1 are a mask of 0 and 1.
    name: what messages call it, next to its path; default "trimap".
    use_alpha: take the alpha channel of a source that has one and is not opaque (masks).
    layer: of an EXR with several layers or parts, the one to take; as `Layer` says.

    Raises InputError like `read_photo`, and for colour pictures and label maps (0, 1, 2).
    """
    source, layer = of_layer(source, layer)
    name = grey_name(source, name)
    shape = tuple(getattr(source, "shape", ()))
    if len(shape) == 3 and shape[0] == 1 and (is_torch(source) or shape[2] not in (1, 3, 4)):
        source = source[0]
    decoded = _opened_picture(source, name, max_pixels, "mask" if use_alpha else "trimap", layer)
    pixels = decoded.pixels
    if pixels.dtype.kind == "f":
        pixels = clip_light(decoded, pixels, name)
        pixels = check_unit(pixels, name)
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        alpha = pixels[..., 3]
        if use_alpha and (alpha < full_scale(alpha.dtype)).any():
            return to_unit(alpha)
        pixels = pixels[..., :3]
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        unit = to_unit(_plain_integers(pixels, name))
        spread = float((unit.max(axis=2) - unit.min(axis=2)).max())
        if spread > _GREY_SLACK:
            raise InputError(
                f"{name}: is a colour picture, not a trimap or mask; give one in black, white and"
                " grey (were photo and trimap swapped?)"
            )
        return np.ascontiguousarray(unit[..., 1])
    return to_unit(_plain_integers(pixels.reshape(pixels.shape[:2]), name))


def split_batch(source: Any, *, grey: bool = False) -> tuple[list[Any], bool]:
    """The single images of a list, tuple or 4-dimensional batch, and whether it was one.

    source: a list or tuple of images; numpy or torch (B, H, W, 3) or torch (B, 3, H, W); anything
        else is one image. With grey=True also (B, H, W) numpy or torch, for trimaps and masks.

    Returns ([image, ...], True), or ([source], False).
    """
    if isinstance(source, list | tuple):
        return list(source), True
    shape = tuple(getattr(source, "shape", ()))
    stacked = grey and len(shape) == 3 and shape[0] > 1 and shape[2] not in (1, 3, 4)
    if len(shape) == 4 or stacked:
        return [source[i] for i in range(shape[0])], True
    return [source], False


# ---- colours -------------------------------------------------------------------------------------


def _photo(
    decoded: Decoded, pixels: np.ndarray, alpha: np.ndarray | None, space: str | None, name: str
) -> Photo:
    """The photo of (H, W, 3) pixels, in the space that the user or else the file names."""
    tags = decoded.tags if space is None else ColourTags(*INPUT_SPACES[space], space)
    icc, linear = decoded.icc_profile, decoded.linear
    if tags is not None:
        if tags.narrow:
            pixels = _full_range(pixels)
        linear = tags.transfer == LINEAR and (space is not None or linear)
        icc = None
        if isinstance(tags.transfer, str):
            pixels, linear = _light_of_hdr(pixels, tags, name), True
        elif not linear and not tags.is_srgb:
            icc = icc_profile(tags.primaries, tags.transfer, tags.name)
    primaries = None
    if linear and tags is not None and not tags.primaries.close_to(REC709):
        primaries = tags.primaries
    return Photo(pixels, alpha, icc, decoded.dpi, name, linear, primaries)


def _light_of_hdr(pixels: np.ndarray, tags: ColourTags, name: str) -> np.ndarray:
    warn_user(
        f"{name}: is an HDR picture ({str(tags.transfer).upper()}); its colours become linear light"
        " with white at 203 cd/m²: save .exr or 32-bit .tif to keep what is brighter"
    )
    light = np.empty(pixels.shape, np.float32)
    for top in range(0, len(pixels), STRIP):
        rows = slice(top, top + STRIP)
        light[rows] = hdr_to_linear(to_unit(pixels[rows]), str(tags.transfer), tags.primaries)
    return light


def _full_range(pixels: np.ndarray) -> np.ndarray:
    """Video levels, 16/255 to 235/255, spread to the full scale of the integers."""
    top = int(np.iinfo(pixels.dtype).max)
    scale = (top + 1) // 256
    spread = (pixels.astype(np.float32) - 16 * scale) * (top / (219 * scale))
    return np.asarray(np.rint(spread.clip(0, top)).astype(pixels.dtype))


def clip_light(decoded: Decoded, pixels: np.ndarray, name: str) -> np.ndarray:
    """Float values of a mask that was stored as light, within [0, 1]; warns if they were not."""
    low, high = float(pixels.min()), float(pixels.max())
    if decoded.linear and (low < 0 or high > 1):
        warn_user(f"{name}: values from {low:.3g} to {high:.3g} are clipped to [0, 1]")
        return pixels.clip(0.0, 1.0)
    return pixels


def _plain_integers(pixels: np.ndarray, name: str) -> np.ndarray:
    """Masks of 0 and 1 in any integer type as float; label maps and odd scales refused."""
    if pixels.dtype.kind not in "iu" or not pixels.size:
        return pixels
    low, high = int(pixels.min()), int(pixels.max())
    if low >= 0 and high <= 1:
        return pixels.astype(np.float32)
    if low >= 0 and high == 2:
        raise InputError(
            f"{name}: holds the labels 0, 1 and 2; give 0, 128 and 255, or paint labels through"
            " from_strokes"
        )
    if pixels.dtype not in (np.uint8, np.uint16):
        raise InputError(
            f"{name}: has {pixels.dtype} values from {low} to {high}; give bool, uint8 (0–255),"
            " uint16 (0–65535) or float (0–1)"
        )
    if pixels.dtype == np.uint16 and high <= 255:
        raise InputError(
            f"{name}: is 16 bit, but its brightest value is {high} of 65535; save it as 8 bit"
        )
    return pixels


# ---- sources -------------------------------------------------------------------------------------


def grey_name(source: Any, role: str) -> str:
    """What messages call a trimap or mask: its role, and its path if it has one."""
    source, _ = of_layer(source, None)
    path = os.fspath(source) if isinstance(source, str | os.PathLike) else ""
    return role if not path or path in role else f"{role} {path}"


def of_layer(source: Any, layer: str | None) -> tuple[Any, str | None]:
    """The source itself and the layer of it."""
    return (source.source, source.name) if isinstance(source, Layer) else (source, layer)


def opened(
    source: Any, name: str, max_pixels: int, role: Role, layer: str | None = None
) -> Decoded:
    """The source as an upright array, as it is: an array or tensor may have any shape and values.

    Raises InputError if there is no picture.
    """
    data = _file_bytes(source, name)
    if data is not None:
        return decode(data, name, ReadOptions(role, layer, max_pixels))
    if layer is not None:
        raise InputError(f"{name}: has no layers, so there is no {layer!r}; leave the layer out")
    if isinstance(source, Image.Image):
        check_size(source.height, source.width, name, max_pixels)
        return from_pil(source, name)
    if is_torch(source):
        return Decoded(_from_torch(source), borrowed=True)
    if isinstance(source, np.ndarray):
        return Decoded(source, borrowed=True)
    raise InputError(
        f"{name}: cannot be read from {type(source).__name__}; give a path, bytes, a Pillow"
        " image, a numpy array or a torch tensor"
    )


def _opened_picture(
    source: Any, name: str, max_pixels: int, role: Role, layer: str | None
) -> Decoded:
    """As `opened`, of a picture's shape, (H, W) or (H, W, 1 | 3 | 4), and native numbers."""
    decoded = opened(source, name, max_pixels, role, layer)
    array = decoded.pixels
    _check_shape(array.shape, name)
    if array.dtype.kind not in "fiub":
        raise InputError(f"{name}: has {array.dtype} values; give uint8, uint16 or float (0–1)")
    if not array.dtype.isnative:
        decoded.pixels = array.astype(array.dtype.newbyteorder("="))
        decoded.borrowed = False
    return decoded


def _check_shape(shape: tuple[int, ...], name: str) -> None:
    if 0 in shape:
        raise InputError(f"{name}: has shape {shape}, without a single pixel; give a picture")
    if len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4)):
        return
    hint = "give (H, W), (H, W, 3) or (H, W, 4)"
    if len(shape) == 3 and shape[0] in (1, 3, 4):
        hint = "it is channels-first: use array.transpose(1, 2, 0)"
    elif len(shape) == 4:
        hint = "it is a batch: pass its images one by one or as a list"
    raise InputError(f"{name}: has shape {shape}; {hint}")


def _file_bytes(source: Any, name: str) -> bytes | None:
    """The content of the file that the source is or names; None if it is not a file."""
    if isinstance(source, str | os.PathLike):
        return read_file(Path(source), name)
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if hasattr(source, "read") and not isinstance(source, Image.Image):
        return _read_stream(source, name)
    return None


def _read_stream(stream: BinaryIO, name: str) -> bytes:
    try:
        # One that was just written is at its end; like Pillow, read all of it.
        if getattr(stream, "seekable", bool)():
            stream.seek(0)
        data = stream.read()
    except (OSError, ValueError) as error:  # also text files of another encoding
        raise InputError(f"{name}: cannot be read ({error}); give an open binary file") from error
    if not isinstance(data, bytes):
        raise InputError(f"{name}: is a text stream; open it in binary mode ('rb')")
    return data


def is_torch(source: Any) -> bool:
    """A torch tensor, found without importing torch."""
    return hasattr(source, "detach") and type(source).__module__.split(".")[0] == "torch"


def _from_torch(tensor: Any) -> np.ndarray:
    tensor = tensor.detach().cpu()
    if tensor.is_floating_point():
        tensor = tensor.float()  # numpy has no bfloat16
    shape = tuple(tensor.shape)
    if len(shape) == 3 and shape[0] in (1, 3, 4) and shape[2] not in (1, 3, 4):
        tensor = tensor.permute(1, 2, 0)
    return np.asarray(tensor.numpy())
