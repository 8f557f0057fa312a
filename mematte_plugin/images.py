"""Photographs, trimaps and masks in whatever form people have them, as plain arrays.

Sources are paths, bytes, binary files, Pillow images, numpy arrays and torch tensors. Writing is in
`writing`, the decoding of files in `decoding`.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from PIL import Image

from .decoded import MAX_PIXELS, Decoded, Role, check_size, to_unit
from .decoding import decode, from_pil
from .display import LONGEST, as_html, file_name, profile_name
from .errors import InputError
from .writing import check_writable, to_steps, write_image

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


@dataclass(frozen=True, eq=False, repr=False)
class Photo:
    """One photograph, upright, in the depth it came in.

    pixels: (H, W, 3) uint8, uint16 or float32 in [0, 1]; straight, not premultiplied.
    alpha: (H, W) of the same dtype, the input's own transparency; None without one.
    icc_profile: the RGB profile the colours are meant in; None for sRGB or unknown.
    dpi: dots per inch, (horizontal, vertical); None if unknown.
    name: what messages call it: the path, or "image".
    linear: the colours are scene-linear light (EXR), not display-encoded.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None
    name: str = "image"
    linear: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return int(self.pixels.shape[0]), int(self.pixels.shape[1])

    @property
    def bits(self) -> int:
        """8, 16, or 32 for float."""
        return int(self.pixels.dtype.itemsize) * 8

    def as_float(self) -> np.ndarray:
        """(H, W, 3) float32 in [0, 1], in the photo's own encoding."""
        return to_unit(self.pixels)

    def for_network(self) -> np.ndarray:
        """(H, W, 3) float32 in [0, 1], display-encoded as the networks were trained."""
        return linear_to_srgb(self.as_float()) if self.linear else self.as_float()

    def proxy(self, longest: int) -> np.ndarray:
        """(h, w, 3) uint8, display-encoded, its longer side at most so many pixels: to look at.

        The colours stay those of the photo's ICC profile.
        """
        small = scaled_down(self.pixels, longest)
        if self.linear:
            small = linear_to_srgb(to_unit(small))
        return small if small.dtype == np.uint8 else to_steps(small, 8)

    def __repr__(self) -> str:
        height, width = self.size
        return f"Photo({file_name(self.name)}, {width}×{height}, {self._depth()})"

    def _repr_html_(self) -> str | None:
        """For notebooks: the photo small, and what there is to know about it."""
        return as_html(
            self._rows,
            picture=lambda: self.proxy(LONGEST // 2),
            described="The photo",
            icc_profile=self.icc_profile,
        )

    def _depth(self) -> str:
        return f"{self.bits} bit{' float' if self.bits == 32 else ''}"

    def _rows(self) -> Iterator[tuple[str, str]]:
        height, width = self.size
        yield "photo", file_name(self.name)
        yield "size", f"{width}×{height}"
        yield "depth", self._depth() + (", scene-linear light" if self.linear else "")
        yield "profile", profile_name(self.icc_profile)
        if self.dpi is not None:
            yield "resolution", f"{self.dpi[0]:.0f} dpi"
        if self.alpha is not None:
            yield "transparency", "its own alpha, which serves as a mask"


def read_photo(
    source: ImageSource,
    *,
    name: str | None = None,
    max_pixels: int = MAX_PIXELS,
    layer: str | None = None,
    role: Role = "photo",
) -> Photo:
    """Read a photograph; see `Photo` for what is kept.

    source: a file (path, bytes or binary file object: PNG, JPEG, TIFF, WebP, EXR, GIF, BMP, AVIF,
        recognised by content), a Pillow image of any mode, a numpy array (H, W), (H, W, 3) or
        (H, W, 4), or a torch tensor of these shapes or (3, H, W); uint8, uint16 or float in [0, 1].
        A tensor is taken as channels-first if its first side is 1, 3 or 4 and its last is not.
        Arrays are copied, so that the caller may reuse them.
    name: how messages call it; default the path, or "image".
    max_pixels: larger files are refused by their header, before decoding.
    layer: of an EXR with several layers or parts, the one to take; as `Layer` says.
    role: what the picture is for, "photo" or "background", as messages have it.

    EXIF orientation is applied. CMYK becomes sRGB through its ICC profile. Of animations and
    multi-page TIFFs the first picture is taken and of HDR (EXR) values the part in [0, 1], with a
    MEMatteWarning.

    Raises InputError if there is no file, it is damaged or no picture, or the array's shape, dtype
    or value range is none of the above.
    """
    source, layer = _of_layer(source, layer)
    name = _name(source, name, "image")
    decoded = _decoded(source, name, max_pixels, role, layer)
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
    elif pixels.ndim == 2 or pixels.shape[2] == 1:
        pixels = np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)
    pixels = np.ascontiguousarray(pixels)
    if decoded.borrowed and np.may_share_memory(pixels, decoded.pixels):
        pixels = pixels.copy()
    return Photo(
        pixels=pixels,
        alpha=alpha,
        icc_profile=decoded.icc_profile,
        dpi=decoded.dpi,
        name=name,
        linear=decoded.linear,
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
    source, layer = _of_layer(source, layer)
    role: Role = "mask" if use_alpha else "trimap"
    name = grey_name(source, name)
    shape = tuple(getattr(source, "shape", ()))
    if len(shape) == 3 and shape[0] == 1 and (_is_torch(source) or shape[2] not in (1, 3, 4)):
        source = source[0]
    pixels = _decoded(source, name, max_pixels, role, layer).pixels
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        alpha = pixels[..., 3]
        opaque = 1.0 if alpha.dtype.kind == "f" else np.iinfo(alpha.dtype).max
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


def scaled_down(values: np.ndarray, longest: int) -> np.ndarray:
    """(H, W) or (H, W, C) of any depth with its longer side at most so many pixels, never larger.

    Every pixel of the result is the mean of those that it stands for.
    """
    height, width = values.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return values
    import cv2

    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA))


# ---- values --------------------------------------------------------------------------------------


def srgb_to_linear(values: np.ndarray) -> np.ndarray:
    """Display-encoded float in [0, 1] to linear light (IEC 61966-2-1), float32."""
    low = values / 12.92
    return np.where(values <= 0.04045, low, ((values + 0.055) / 1.055) ** 2.4).astype(np.float32)


def linear_to_srgb(values: np.ndarray) -> np.ndarray:
    """Linear light in [0, 1] to display-encoded float32 (IEC 61966-2-1)."""
    high = 1.055 * np.maximum(values, 0.0031308) ** (1 / 2.4) - 0.055
    return np.where(values <= 0.0031308, values * 12.92, high).astype(np.float32)


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
    source, _ = _of_layer(source, None)
    path = os.fspath(source) if isinstance(source, str | os.PathLike) else ""
    return role if not path or path in role else f"{role} {path}"


def _of_layer(source: Any, layer: str | None) -> tuple[Any, str | None]:
    """The source itself and the layer of it."""
    return (source.source, source.name) if isinstance(source, Layer) else (source, layer)


def _decoded(
    source: Any, name: str, max_pixels: int, role: Role, layer: str | None = None
) -> Decoded:
    """The source as an upright, checked array: (H, W) or (H, W, 1 | 3 | 4)."""
    data = _file_bytes(source, name)
    if data is not None:
        decoded = decode(data, name, max_pixels=max_pixels, role=role, layer=layer)
    elif layer is not None:
        raise InputError(f"{name}: has no layers, so there is no {layer!r}; leave the layer out")
    elif isinstance(source, Image.Image):
        check_size(source.height, source.width, name, max_pixels)
        decoded = from_pil(source, name)
    elif _is_torch(source):
        decoded = Decoded(_from_torch(source), borrowed=True)
    elif isinstance(source, np.ndarray):
        decoded = Decoded(source, borrowed=True)
    else:
        raise InputError(
            f"{name}: cannot be read from {type(source).__name__}; give a path, bytes, a Pillow"
            " image, a numpy array or a torch tensor"
        )
    checked = _checked(decoded.pixels, name)
    decoded.borrowed &= checked is decoded.pixels
    decoded.pixels = checked
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


def _is_torch(source: Any) -> bool:
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
    """Shape, emptiness and, for floats, range; floats come out float32 within [0, 1]."""
    _check_shape(array.shape, name)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype.kind != "f":
        if array.dtype.kind not in "iub":
            raise InputError(f"{name}: has {array.dtype} values; give uint8, uint16 or float (0–1)")
        return array
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
