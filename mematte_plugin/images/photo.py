"""One photograph in memory: its pixels, and what they mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..errors import warn_user
from ..notebook import LONGEST, as_html, file_name, profile_name
from .arrays import STRIP, linear_to_srgb, scaled_down, to_steps, to_unit
from .colour_spaces import LINEAR, REC709, ColourSpace, Primaries, convert, matrix, srgb
from .profiles import decoding_gamma, space_of

_CLIPPED = 1.01  # times white, above which colours are reported as clipped


@dataclass(frozen=True)
class Filed:
    """How a photo's colours go into a file.

    convert: (…, 3) float32 in the photo's encoding to what the format stores; beyond [0, 1] too.
    icc_profile, primaries: what the file says of them.
    """

    convert: Callable[[np.ndarray], np.ndarray]
    icc_profile: bytes | None
    primaries: Primaries | None

    def pixels(
        self, colours: np.ndarray, alpha: np.ndarray | None, bits: int | None, name: str
    ) -> np.ndarray:
        """(H, W, 3), or (H, W, 4) with an alpha, as the file stores them.

        bits: 8 or 16 for integers, any other for floats.

        Made strip by strip: as floats, a cut-out of 8K would take half a gigabyte. Warns
        (MEMatteWarning) where integers clip colours beyond white.
        """
        dtype = {8: np.uint8, 16: np.uint16}.get(bits or 0)
        out = np.empty((*colours.shape[:2], 3 if alpha is None else 4), dtype or np.float32)
        brightest = 0.0
        for top in range(0, len(out), STRIP):
            rows = slice(top, top + STRIP)
            part = to_unit(colours[rows])
            brightest = max(brightest, float(part.max()))
            part = self.convert(part)
            if alpha is not None:
                part = np.concatenate([part, alpha[rows, :, None]], axis=2, dtype=np.float32)
            out[rows] = part if dtype is None else to_steps(part, bits or 8)
        if dtype is not None:
            warn_if_clipped(brightest, name)
        return out


@dataclass(frozen=True, eq=False, repr=False)
class Photo:
    """One photograph, upright, in its own depth.

    pixels: (H, W, 3) uint8, uint16 or float32; straight, not premultiplied. Floats are in [0, 1],
        0 black and 1 white; in HDR pictures, what is brighter or outside the gamut is beyond.
        Copied if they are read-only or not in C order.
    alpha: (H, W) of the same dtype, the input's own transparency; None without one.
    icc_profile: the RGB profile the colours are meant in; None for sRGB or unknown.
    dpi: dots per inch, (horizontal, vertical); None if unknown.
    name: what messages call it: the path, or "image".
    linear: the colours are scene-linear light (EXR), not display-encoded.
    primaries: red, green, blue and white of scene-linear light; None for Rec. 709, sRGB's.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None
    name: str = "image"
    linear: bool = False
    primaries: Primaries | None = None

    def __post_init__(self) -> None:
        # torch takes neither negative strides nor, without a warning, read-only arrays.
        object.__setattr__(self, "pixels", np.require(self.pixels, requirements=["C", "W"]))
        if self.alpha is not None:
            object.__setattr__(self, "alpha", np.require(self.alpha, requirements=["C", "W"]))

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
        """What the numbers mean; None if the ICC profile is more than a matrix and curves."""
        return space_of_photo(self.icc_profile, self.linear, self.primaries)

    @property
    def to_display(self) -> tuple[float, np.ndarray | None] | None:
        """How values become display-encoded for a network; None if they are.

        A power that makes them linear light, then (3, 3) to Rec. 709 or None, then sRGB's curve.
        """
        if not self.linear:
            gamma = decoding_gamma(self.icc_profile)
            return None if gamma is None else (gamma, None)
        if self.primaries is None:
            return 1.0, None
        return 1.0, matrix(ColourSpace.of(self.primaries, LINEAR), srgb())

    def filed(self, *, light: bool) -> Filed:
        """How the colours go into a file of linear light (EXR), or a display-encoded one.

        Light stays in its primaries; colours with an ICC profile become light of Rec. 709, which
        every reader assumes. Display-encoded files of light are sRGB.
        """
        if self.linear == light:
            return Filed(lambda values: values, self.icc_profile, self.primaries)
        source = self.space
        if source is None:
            warn_user(
                f"{self.name}: its ICC profile is more than a matrix, and EXR cannot hold it; its"
                " colours are written as if they were sRGB"
            )
            source = srgb()
        own, target = source, ColourSpace.of(REC709, LINEAR) if light else srgb()
        return Filed(lambda values: convert(values, own, target), None, None)

    def for_network(self) -> np.ndarray:
        """(H, W, 3) float32 in [0, 1], display-encoded as the networks were trained."""
        return self._displayed(self.as_float())

    def proxy(self, longest: int) -> np.ndarray:
        """(h, w, 3) uint8, display-encoded, its longer side at most `longest` pixels: to look at.

        The colours stay those of the photo's ICC profile.
        """
        small = scaled_down(self.pixels, longest)
        if self.linear:
            small = self._displayed(to_unit(small))
        return small if small.dtype == np.uint8 else to_steps(small, 8)

    def pillow(self, array: np.ndarray) -> Image.Image:
        """A Pillow image with the photo's profile and resolution.

        array: (H, W, 3) or (H, W, 4) float32 in the photo's encoding; changed if that is linear.
        """
        if self.linear:
            array[..., :3] = self.filed(light=False).convert(array[..., :3])
        image = Image.fromarray(to_steps(array, 8))
        # Pillow saves these, dpi for some formats only.
        if self.icc_profile:
            image.info["icc_profile"] = self.icc_profile
        if self.dpi:
            image.info["dpi"] = self.dpi
        return image

    def _displayed(self, values: np.ndarray) -> np.ndarray:
        way = self.to_display
        if way is not None:
            gamma, to_rec709 = way
            values = values if gamma == 1 else values.clip(0) ** np.float32(gamma)
            values = linear_to_srgb(values if to_rec709 is None else values @ to_rec709.T)
        return values.clip(0, 1)

    def __repr__(self) -> str:
        height, width = self.size
        return f"Photo({file_name(self.name)}, {width}×{height}, {self._depth()})"

    def _repr_html_(self) -> str | None:
        """For notebooks: the photo small, and a table of its facts."""
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


def space_of_photo(
    icc: bytes | None, linear: bool, primaries: Primaries | None
) -> ColourSpace | None:
    """What the numbers of a photo mean; None if its profile is more than a matrix."""
    if linear:
        return ColourSpace.of(primaries or REC709, LINEAR)
    return space_of(icc)


def warn_if_clipped(brightest: float, name: str) -> None:
    """For files of 8 and 16 bits: brightest is how many times white, in the photo's encoding."""
    if brightest > _CLIPPED:
        warn_user(
            f"{name}: colours up to {brightest:.3g} times white are clipped; save .exr or a .tif of"
            " 32 bits to keep them"
        )
