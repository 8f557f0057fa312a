"""One photograph in memory: its pixels, and how they are meant."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..notebook import LONGEST, as_html, file_name, profile_name
from .colour_spaces import ColourSpace, Primaries
from .decoded import to_unit
from .encode import to_steps
from .photo_colour import Filed, filed, space_of_photo, to_display


@dataclass(frozen=True, eq=False, repr=False)
class Photo:
    """One photograph, upright, in the depth it came in.

    pixels: (H, W, 3) uint8, uint16 or float32; straight, not premultiplied. Floats are in [0, 1],
        0 black and 1 white, but for what is brighter or outside the gamut in HDR pictures.
    alpha: (H, W) of the same dtype, the input's own transparency; None without one.
    icc_profile: the RGB profile the colours are meant in; None for sRGB or unknown.
    dpi: dots per inch, (horizontal, vertical); None if unknown.
    name: what messages call it: the path, or "image".
    linear: the colours are scene-linear light (EXR), not display-encoded.
    primaries: what red, green, blue and white of scene-linear light are; None for Rec. 709, sRGB's.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None
    name: str = "image"
    linear: bool = False
    primaries: Primaries | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return int(self.pixels.shape[0]), int(self.pixels.shape[1])

    @property
    def bits(self) -> int:
        """8, 16, or 32 for float."""
        return int(self.pixels.dtype.itemsize) * 8

    def as_float(self) -> np.ndarray:
        """(H, W, 3) float32, integers as [0, 1], in the photo's own encoding."""
        return to_unit(self.pixels)

    @property
    def space(self) -> ColourSpace | None:
        """What the numbers mean; None where the ICC profile is more than a matrix and curves."""
        return space_of_photo(self.icc_profile, self.linear, self.primaries)

    @property
    def to_display(self) -> tuple[float, np.ndarray | None] | None:
        """How values become display-encoded for a network; None for those that are.

        A power that makes them linear light, then (3, 3) to Rec. 709 or None, then sRGB's curve.
        """
        return to_display(self.icc_profile, self.linear, self.primaries)

    def filed(self, *, light: bool) -> Filed:
        """How the colours go into a file of linear light (EXR), or into a display-encoded one."""
        return filed(self.icc_profile, self.linear, self.primaries, light=light, name=self.name)

    def for_network(self) -> np.ndarray:
        """(H, W, 3) float32 in [0, 1], display-encoded as the networks were trained."""
        return _displayed(self.as_float(), self.to_display)

    def proxy(self, longest: int) -> np.ndarray:
        """(h, w, 3) uint8, display-encoded, its longer side at most so many pixels: to look at.

        The colours stay those of the photo's ICC profile.
        """
        small = scaled_down(self.pixels, longest)
        if self.linear:
            small = _displayed(to_unit(small), self.to_display)
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
        if self.primaries is not None:
            corners = (self.primaries.red, self.primaries.green, self.primaries.blue)
            yield "primaries", ", ".join(f"{x:.4g} {y:.4g}" for x, y in corners)
        if self.dpi is not None:
            yield "resolution", f"{self.dpi[0]:.0f} dpi"
        if self.alpha is not None:
            yield "transparency", "its own alpha, which serves as a mask"


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
    """Display-encoded float, also beyond [0, 1], to linear light (IEC 61966-2-1), float32."""
    size = np.abs(values)
    high = ((np.maximum(size, 0.04045) + 0.055) / 1.055) ** 2.4
    return np.copysign(np.where(size <= 0.04045, size / 12.92, high), values).astype(np.float32)


def linear_to_srgb(values: np.ndarray) -> np.ndarray:
    """Linear light, also beyond [0, 1], to display-encoded float32 (IEC 61966-2-1)."""
    size = np.abs(values)
    high = 1.055 * np.maximum(size, 0.0031308) ** (1 / 2.4) - 0.055
    low = np.minimum(size, 0.0031308) * 12.92  # which must not overflow
    return np.copysign(np.where(size <= 0.0031308, low, high), values).astype(np.float32)


def _displayed(values: np.ndarray, way: tuple[float, np.ndarray | None] | None) -> np.ndarray:
    """Floats of a photo as display-encoded ones in [0, 1]; see `Photo.to_display`."""
    if way is not None:
        gamma, matrix = way
        values = values if gamma == 1 else values.clip(0) ** np.float32(gamma)
        values = linear_to_srgb(values if matrix is None else values @ matrix.T)
    return values.clip(0, 1)
