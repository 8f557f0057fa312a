"""Photographs, trimaps and masks in whatever form people have them, as plain arrays.

Sources are paths, bytes, binary files, Pillow images, numpy arrays and torch tensors. Writing is in
`writing`, the decoding of files in `decoding`.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from PIL import Image

from ..errors import InputError, warn_user
from .colour_spaces import check_input_space
from .colour_tags import told_by_image
from .decode import decode, from_pil
from .decoded import MAX_PIXELS, Decoded, Role, check_size, to_unit
from .photo import Photo, linear_to_srgb, scaled_down, srgb_to_linear
from .photo_colour import check_range, meaning_of
from .write import check_writable, write_image

__all__ = [
    "MAX_PIXELS",
    "ImageSource",
    "Layer",
    "Photo",
    "check_writable",
    "linear_to_srgb",
    "read_gray",
    "read_photo",
    "scaled_down",
    "split_batch",
    "srgb_to_linear",
    "to_unit",
    "write_image",
]

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


_RANGE_SLACK = 1e-3  # resampling and half precision overshoot [0, 1] by this much
_EIGHT_BIT = (
    10  # brighter floats are taken for 0 to 255, darker ones for HDR or a filter's overshoot
)
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
    input_space: what the colours are, whatever the file says: "srgb", "display-p3", "adobe-rgb",
        "rec2020", or scene-linear light: "linear-srgb" (Rec. 709), "linear-p3", "linear-rec2020",
        "acescg", "aces2065-1".

    EXIF orientation is applied. CMYK becomes sRGB through its ICC profile. Colours that are told
    otherwise than by a profile (EXIF, PNG's cICP, gAMA and cHRM, the nclx of AVIF and HEIF, TIFF's
    colorimetry, EXR's chromaticities) get a profile, or `primaries`, that means the same. PQ and
    HLG become linear light, and of animations and multi-page TIFFs the first picture is taken, with
    a MEMatteWarning.

    Raises InputError if there is no file, it is damaged or no picture, or the array's shape, dtype
    or value range is none of the above; SettingError for an unknown input_space.
    """
    source, layer = of_layer(source, layer)
    name = _name(source, name, "image")
    space = check_input_space(input_space)
    decoded = _decoded(source, name, max_pixels, role, layer)
    if decoded.pixels.dtype.kind == "f":
        light = decoded.linear or (space is not None and space.startswith(("linear", "aces")))
        checked = check_range(decoded.pixels, name, light=light)
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
            warn_user(f"{name}: its alpha channel is empty, nothing would be seen; it is left out")
            alpha = None
    elif pixels.ndim == 2 or pixels.shape[2] == 1:
        pixels = np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)
    pixels = np.ascontiguousarray(pixels)
    if decoded.borrowed and np.may_share_memory(pixels, decoded.pixels):
        pixels = pixels.copy()
    meant = meaning_of(decoded, pixels, space, name)
    return Photo(
        pixels=meant.pixels,
        alpha=alpha,
        icc_profile=meant.icc_profile,
        dpi=decoded.dpi,
        name=name,
        linear=meant.linear,
        primaries=meant.primaries,
    )


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
    use_alpha: take the alpha channel where the source has one that is not opaque (masks).
    layer: of an EXR with several layers or parts, the one to take; as `Layer` says.

    Raises InputError like `read_photo`, and for colour pictures and label maps (0, 1, 2).
    """
    source, layer = of_layer(source, layer)
    role: Role = "mask" if use_alpha else "trimap"
    name = grey_name(source, name)
    shape = tuple(getattr(source, "shape", ()))
    if len(shape) == 3 and shape[0] == 1 and (is_torch(source) or shape[2] not in (1, 3, 4)):
        source = source[0]
    pixels = _within(_decoded(source, name, max_pixels, role, layer), name)
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        alpha = pixels[..., 3]
        opaque = np.iinfo(alpha.dtype).max if alpha.dtype.kind in "iu" else 1.0
        if use_alpha and (alpha < opaque).any():
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
    if len(shape) == 4:
        return [source[i] for i in range(shape[0])], True
    if grey and len(shape) == 3 and shape[0] > 1 and shape[2] not in (1, 3, 4):
        return [source[i] for i in range(shape[0])], True
    return [source], False


# ---- values --------------------------------------------------------------------------------------


def _within(decoded: Decoded, name: str) -> np.ndarray:
    """The pixels of a mask or trimap, floats in [0, 1]."""
    pixels = decoded.pixels
    if pixels.dtype.kind != "f":
        return pixels
    low, high = float(pixels.min()), float(pixels.max())
    if decoded.linear and (low < 0 or high > 1):
        warn_user(f"{name}: values from {low:.3g} to {high:.3g} are clipped to [0, 1]")
        return pixels.clip(0.0, 1.0)
    return _checked_range(pixels, name)


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
            " trimap.from_strokes"
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


def _name(source: Any, name: str | None, default: str) -> str:
    if name is not None:
        return name
    return os.fspath(source) if isinstance(source, str | os.PathLike) else default


def grey_name(source: Any, role: str) -> str:
    """What messages call a trimap or mask: its role, and its path where it has one."""
    source, _ = of_layer(source, None)
    path = os.fspath(source) if isinstance(source, str | os.PathLike) else ""
    return role if not path or path in role else f"{role} {path}"


def of_layer(source: Any, layer: str | None) -> tuple[Any, str | None]:
    """The source itself and the layer of it."""
    return (source.source, source.name) if isinstance(source, Layer) else (source, layer)


def _decoded(
    source: Any, name: str, max_pixels: int, role: Role, layer: str | None = None
) -> Decoded:
    """The source as an upright, checked array: (H, W) or (H, W, 1 | 3 | 4)."""
    decoded = opened(source, name, max_pixels, role, layer)
    checked = _checked(decoded.pixels, name)
    decoded.borrowed &= checked is decoded.pixels
    decoded.pixels = checked
    return decoded


def opened(
    source: Any, name: str, max_pixels: int, role: Role, layer: str | None = None
) -> Decoded:
    """The source as an upright array, as it is: an array or tensor may have any shape and values.

    role, layer: as for `decoding.decode`, of files.

    Raises InputError where there is no picture.
    """
    data = _file_bytes(source, name)
    if data is not None:
        decoded = decode(data, name, max_pixels=max_pixels, role=role, layer=layer)
    elif layer is not None:
        raise InputError(f"{name}: has no layers, so there is no {layer!r}; leave the layer out")
    elif isinstance(source, Image.Image):
        check_size(source.height, source.width, name, max_pixels)
        decoded = from_pil(source, name)
        decoded.told = told_by_image(source)
    elif is_torch(source):
        decoded = Decoded(_from_torch(source), borrowed=True)
    elif isinstance(source, np.ndarray):
        decoded = Decoded(source, borrowed=True)
    else:
        raise InputError(
            f"{name}: cannot be read from {type(source).__name__}; give a path, bytes, a Pillow"
            " image, a numpy array or a torch tensor"
        )
    return decoded


def _file_bytes(source: Any, name: str) -> bytes | None:
    """What is in the file that the source is or names; None where it is no file."""
    if isinstance(source, str | os.PathLike):
        return _read_file(Path(source), name)
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if hasattr(source, "read") and not isinstance(source, Image.Image):
        return _read_stream(source, name)
    return None


def _read_file(path: Path, name: str) -> bytes:
    try:
        if path.is_dir():
            raise InputError(f"{name}: is a folder; give one image file (or use the batch command)")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{name}: there is no such file; check the path") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        name = name.replace("\0", "\\0")  # which is no text for a terminal
        raise InputError(f"{name}: cannot be read ({reason}); check the path and rights") from error


def _read_stream(stream: BinaryIO, name: str) -> bytes:
    try:
        # One that was just written stands at its end; like Pillow, all of it is meant.
        if getattr(stream, "seekable", bool)():
            stream.seek(0)
        data = stream.read()
    except (OSError, ValueError) as error:  # also text files of another encoding
        raise InputError(f"{name}: cannot be read ({error}); give an open binary file") from error
    if not isinstance(data, bytes):
        raise InputError(f"{name}: is a text stream; open it in binary mode ('rb')")
    return data


def is_torch(source: Any) -> bool:
    return hasattr(source, "detach") and type(source).__module__.split(".")[0] == "torch"


def _from_torch(tensor: Any) -> np.ndarray:
    tensor = tensor.detach().cpu()
    if tensor.is_floating_point():
        tensor = tensor.float()  # numpy has no bfloat16
    shape = tuple(tensor.shape)
    if len(shape) == 3 and shape[0] in (1, 3, 4) and shape[2] not in (1, 3, 4):
        tensor = tensor.permute(1, 2, 0)
    return np.asarray(tensor.numpy())


def _checked(array: np.ndarray, name: str) -> np.ndarray:
    """Shape, emptiness and type; native."""
    _check_shape(array.shape, name)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype.kind not in "fiub":
        raise InputError(f"{name}: has {array.dtype} values; give uint8, uint16 or float (0–1)")
    return array


def _checked_range(array: np.ndarray, name: str) -> np.ndarray:
    """Float32 within [0, 1]; what is far from it is refused."""
    # min and max of an array with NaN are NaN: one pass each, no temporary of the array's size.
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = int(array.size - np.count_nonzero(np.isfinite(array)))
        raise InputError(f"{name}: holds {bad} NaN or infinite values; repair or replace them")
    if low < -_RANGE_SLACK or high > 1 + _RANGE_SLACK:
        eight_bit = _EIGHT_BIT < high <= 255 and low >= 0
        remedy = "divide by 255" if eight_bit else "clip or scale them to [0, 1]"
        raise InputError(
            f"{name}: float values run from {low:.4g} to {high:.4g}, not 0 to 1; {remedy}"
        )
    array = array.astype(np.float32, copy=False)
    return array.clip(0.0, 1.0) if low < 0 or high > 1 else array


def _check_shape(shape: Sequence[int], name: str) -> None:
    if 0 in shape:
        raise InputError(
            f"{name}: has shape {tuple(shape)}, without a single pixel; give a picture"
        )
    if len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4)):
        return
    hint = "give (H, W), (H, W, 3) or (H, W, 4)"
    if len(shape) == 3 and shape[0] in (1, 3, 4):
        hint = "it is channels-first: use array.transpose(1, 2, 0)"
    elif len(shape) == 4:
        hint = "it is a batch: pass its images one by one or as a list"
    raise InputError(f"{name}: has shape {tuple(shape)}; {hint}")
