"""What a TIFF's header says of a picture: the layout of its samples, and whether it can be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from .inks import has_imagecodecs

GREY, RGB, PALETTE, MASK, INKS, YCBCR = (0, 1), 2, 3, 4, 5, 6
LAB = (8, 9)
"""PhotometricInterpretation: CIE L*a*b*, and as ICC encodes it."""

_COMPRESSIONS = {1: "no", 8: "ZIP", 32946: "ZIP"}
_EXTRA_SAMPLES, _ORIENTATION, _INK_SET, _ICC = 338, 274, 332, 34675

_MOST_SAMPLES = 64
"""Of a pixel: colours, alpha and the selections of a layered document are far fewer."""

_LARGE_TILE = 1 << 24
"""Pixels of a tile that is large, whatever the picture's size."""


@dataclass(frozen=True)
class Layout:
    """What a TIFF's header says of its first picture, as it is stored."""

    height: int
    width: int
    samples: int
    """Per pixel, extra ones included."""
    bits: int
    """Of one sample."""
    kind: str
    """Of number: "u", "i", "f" or "c" as in numpy."""
    photometric: int
    extra: tuple[int, ...]
    """The samples after the colours: 0 unspecified, 1 premultiplied and 2 straight alpha."""
    compression: str
    """Its name."""
    orientation: int
    icc: bytes | None

    @property
    def colours(self) -> int:
        """Samples that are colours."""
        return self.samples - len(self.extra)

    @property
    def depth(self) -> int:
        """Bytes of a value once it is decoded."""
        if self.kind == "f" or self.bits > 16:
            return 4
        narrowed = self.photometric == INKS and self.icc is not None and not has_imagecodecs()
        return 1 if self.bits <= 8 or self.photometric == PALETTE or narrowed else 2


def layout_of(page: Any, name: str) -> Layout:
    """The layout of a tifffile page. Raises InputError, naming it, for one that is unknown."""
    colours = {RGB: 3, INKS: 4, YCBCR: 3, **dict.fromkeys(LAB, 3)}.get(int(page.photometric), 1)
    samples = int(page.samplesperpixel)
    _refuse_bombs(page, samples, name)
    extra = tuple(int(sample) for sample in page.extrasamples or ())
    if not extra and samples == colours + 1 and _EXTRA_SAMPLES not in page.tags:
        extra = (2,)  # unspecified, and every reader takes it for alpha
    uniform = isinstance(page.bitspersample, int)
    orientation, icc = page.tags.valueof(_ORIENTATION, 1), page.tags.valueof(_ICC)
    layout = Layout(
        height=int(page.imagelength),
        width=int(page.imagewidth),
        samples=samples,
        bits=int(page.bitspersample if uniform else max(page.bitspersample)),
        kind={1: "u", 2: "i", 3: "f", 4: "u", 5: "c", 6: "c"}.get(int(page.sampleformat), "?"),
        photometric=int(page.photometric),
        extra=(*extra, *(0,) * (samples - colours - len(extra))),
        compression=_COMPRESSIONS.get(int(page.compression), _named(page.compression)),
        orientation=orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1,
        icc=bytes(icc) if isinstance(icc, bytes) and icc else None,
    )
    grey = layout.photometric in GREY
    kinds = {"u": True, "f": grey or layout.photometric == RGB, "i": grey}
    packed = layout.photometric not in (PALETTE, YCBCR, *LAB) or layout.bits in (1, 2, 4, 8, 16)
    readable = (
        layout.photometric in (*GREY, RGB, PALETTE, MASK, INKS, YCBCR, *LAB)
        and uniform
        and page.dtype is not None
        and layout.colours == colours
        and int(page.imagedepth) == 1
        and (layout.photometric != INKS or _is_cmyk(page))
        and kinds.get(layout.kind, False)
        and packed
    )
    if not readable:
        raise InputError(
            f"{name}: is {described(layout, page)}, which cannot be read; save it as grey, RGB or"
            " CMYK TIFF"
        )
    return layout


def _refuse_bombs(page: Any, samples: int, name: str) -> None:
    """Raises InputError for numbers that ask for memory far beyond the picture's size."""
    if samples > _MOST_SAMPLES:
        raise InputError(
            f"{name}: is a TIFF of {samples} samples a pixel, and {_MOST_SAMPLES} are the limit;"
            " save it as grey, RGB or CMYK TIFF"
        )
    pixels = int(page.imagelength) * int(page.imagewidth)
    piece = int(page.tilelength or 1) * int(page.tilewidth or 1)
    if page.is_tiled and piece > 4 * pixels + _LARGE_TILE:
        raise InputError(
            f"{name}: is a TIFF in tiles of {page.tilewidth}×{page.tilelength} pixels, far larger"
            " than the picture; save it in strips"
        )


def refuse_ids(layout: Layout, name: str) -> None:
    """Raises InputError for integers that serve as a mask only."""
    if layout.kind == "i" or (layout.kind == "u" and layout.bits > 16):
        raise InputError(
            f"{name}: is {described(layout)}, which are ids or measurements, not colours; save it"
            " with 8 or 16 bits"
        )


def described(layout: Layout, page: Any = None) -> str:
    """The TIFF in words: samples, depth, photometric interpretation and compression."""
    what = {0: "white-is-zero grey", 1: "grey", 2: "RGB", 3: "palette"}.get(layout.photometric)
    if layout.photometric == INKS:
        what = "CMYK" if page is None or _is_cmyk(page) else "other inks"
    if what is None:
        what = str(layout.photometric) if page is None else _named(page.photometric)
    number = {"f": "float", "i": "signed", "c": "complex", "u": "unsigned"}.get(layout.kind, "odd")
    return (
        f"a TIFF of {layout.samples} × {layout.bits} bit {number} samples ({what},"
        f" {layout.compression} compression)"
    )


def _is_cmyk(page: Any) -> bool:
    return bool(page.tags.valueof(_INK_SET, 1) == 1)


def _named(value: Any) -> str:
    return str(getattr(value, "name", f"number {value}"))
