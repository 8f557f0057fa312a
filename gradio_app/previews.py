"""What the page shows of a photo, a rough subject and a matte: pictures of at most 1536 pixels."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from mematte_plugin import (
    InputError,
    Photo,
    SettingError,
    checkerboard,
    collect_notes,
    composite,
    read_photo,
    scaled_down,
    trimap_overlay,
    write_image,
)

from .engine import Guide, read_upload, trimap_of
from .files import job_folder
from .painting import draw, read_layer
from .settings import Settings
from .views import PREVIEW, View

Kind = Literal["checkerboard", "colour", "picture"]


@dataclass(frozen=True)
class Shown:
    """A photo that has been taken in: its file, and what the page shows of it."""

    photo: Path
    """The file as it was uploaded."""
    size: tuple[int, int]
    """(H, W) in pixels, upright."""
    bits: int
    """Depth: 8, 16, or 32 for float."""
    profile: bool
    """Whether it has an ICC profile."""
    proxy: Path
    """A JPEG to look at and to paint on."""
    proxy_size: tuple[int, int]
    """(h, w) of it in pixels."""
    notes: tuple[str, ...] = ()
    """What the user should know of the file."""
    strokes: Path | None = None
    """A layer that an example has painted on it already, of the proxy's size."""
    canvas: Path | None = None
    """With these strokes, where there are some."""
    taken: float = field(default_factory=time.monotonic)
    """When."""


@dataclass(frozen=True)
class Behind:
    """What stands behind a cut-out."""

    kind: Kind = "checkerboard"
    """Which of them."""
    colour: str = "#3fa34d"
    """Of the colour, as CSS writes it: `#rrggbb` or `rgb(…)` or `rgba(…)`."""
    picture: Path | None = None
    """An uploaded file."""


def show(photo: Path, settings: Settings) -> Shown:
    """Take a photo in. Raises InputError for what is no picture or larger than allowed."""
    with collect_notes() as notes:
        read = read_upload(photo, settings)
    small = read.proxy(PREVIEW)
    proxy = job_folder() / "photo.jpg"
    write_image(proxy, small, bits=8, icc_profile=read.icc_profile)
    return Shown(
        photo=photo,
        size=read.size,
        bits=read.bits,
        profile=read.icc_profile is not None,
        proxy=proxy,
        proxy_size=(small.shape[0], small.shape[1]),
        notes=tuple(notes),
    )


def with_strokes(shown: Shown, strokes: Path) -> Shown:
    """The same with a painted layer on it, which is of the proxy's size."""
    photo = read_photo(shown.proxy)
    canvas = _new(shown.proxy, "canvas")
    drawn = draw(photo.pixels, read_layer(strokes, photo.size))
    write_image(canvas, drawn, bits=8, icc_profile=photo.icc_profile)
    return replace(shown, strokes=strokes, canvas=canvas)


def show_trimap(shown: Shown, guide: Guide, settings: Settings) -> Path:
    """The trimap that a rough subject stands for, over the photo: a JPEG beside the proxy.

    Computed on the proxy, since widths in percent mean the same there.

    Raises InputError for a guide that does not fit the photo or says nothing.
    """
    photo = read_photo(shown.proxy)
    with collect_notes():  # of the proxy's size, which nobody asked about
        try:
            trimap = trimap_of(guide, photo.size, settings)
        except InputError:
            trimap_of(guide, shown.size, settings)  # names the photo's own size
            raise
    path = _new(shown.proxy, "trimap")
    write_image(path, trimap_overlay(photo.pixels, trimap), bits=8, icc_profile=photo.icc_profile)
    return path


def compare(view: View, behind: Behind, clean: bool, settings: Settings) -> tuple[Path, Path]:
    """The photo and the subject before a background, as two JPEGs of one size.

    clean: with the subject's own colours; otherwise the photo's, tinted by the old background.

    Raises InputError for a background that is no picture or too large, SettingError for an odd
    colour.
    """
    return view.photo, _composed(view, view.cutout if clean else view.tinted, behind, settings)


def compare_edges(view: View, behind: Behind, settings: Settings) -> tuple[Path, Path]:
    """The subject before a background in the photo's colours, and in its own."""
    return tuple(_composed(view, file, behind, settings) for file in (view.tinted, view.cutout))  # type: ignore[return-value]


def behind_of(kind: str, colour: str | None, picture: Path | None) -> Behind:
    """What the page's controls say; a picture that is still to come is a checkerboard so far.

    Raises SettingError for an unknown kind.
    """
    if kind not in get_args(Kind):
        raise SettingError(f"background {kind!r}: choose {', '.join(get_args(Kind))}")
    if kind == "picture" and picture is None:
        kind = "checkerboard"
    return Behind(cast(Kind, kind), colour or Behind.colour, picture)


# ---- helpers -------------------------------------------------------------------------------------


def _composed(view: View, cutout: Path, behind: Behind, settings: Settings) -> Path:
    subject = read_photo(cutout)
    assert subject.alpha is not None  # that is what a cut-out is
    background: Photo | NDArray[np.uint8] | tuple[int, ...]
    if behind.kind == "colour":
        background = _rgb(behind.colour)
    elif behind.kind == "picture" and behind.picture is not None:
        with collect_notes():
            photo = read_upload(behind.picture, settings)
            background = replace(
                photo,
                pixels=photo.proxy(PREVIEW),
                alpha=None if photo.alpha is None else scaled_down(photo.alpha, PREVIEW),
                linear=False,
                primaries=None,
            )
    else:
        background = checkerboard(subject.size, square=max(8, min(subject.size) // 40))
    mixed = composite(subject.pixels, subject.alpha, background, icc_profile=subject.icc_profile)
    path = _new(view.photo, cutout.stem)
    write_image(path, mixed, bits=8, icc_profile=subject.icc_profile)
    return path


def _rgb(colour: str) -> tuple[int, ...]:
    """Three integers of what a colour picker gives: also `rgba(12.5, 3, 200, 1)`."""
    from PIL import ImageColor

    name, _, numbers = colour.strip().partition("(")
    try:
        if name in ("rgb", "rgba"):
            red, green, blue = (float(n) for n in numbers.rstrip(")").split(",")[:3])
            return tuple(min(255, max(0, round(n))) for n in (red, green, blue))
        return ImageColor.getrgb(colour)[:3]
    except ValueError as error:
        raise SettingError(
            f"background {colour!r}: is no colour; choose one, or #3fa34d"
        ) from error


def _new(beside: Path, name: str) -> Path:
    """A path that no browser has seen: it would show what it has kept of an older picture."""
    beside.parent.mkdir(parents=True, exist_ok=True)
    return beside.parent / f"{name}-{secrets.token_hex(6)}.jpg"
