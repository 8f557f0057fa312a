"""What the page shows of a photo, a guide and a matte: pictures of at most 1536 pixels."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mematte_plugin import (
    InputError,
    Matte,
    NetworkConfig,
    Photo,
    SettingError,
    checkerboard,
    collect_notes,
    composite,
    read_photo,
    routing_overlay,
    scaled_down,
    trimap_overlay,
    write_image,
)

from .files import job_folder
from .inputs import Guide, read_upload, trimap_of
from .settings import Settings

LONGEST = 1536
"""Longer side of the page's pictures, in pixels at most."""
COLOUR = "#3fa34d"
"""The background colour offered at first."""
BackgroundKind = Literal["checkerboard", "colour", "picture"]


@dataclass(frozen=True)
class PagePhoto:
    """An uploaded photo, and what the page shows of it."""

    photo: Path
    """The uploaded file."""
    size: tuple[int, int]
    """(H, W) in pixels, upright."""
    bits: int
    """Depth: 8, 16, or 32 for float."""
    profile: bool
    """Whether it has an ICC profile."""
    proxy: Path
    """A smaller JPEG to look at and to paint on."""
    proxy_size: tuple[int, int]
    """(h, w) in pixels."""
    notes: tuple[str, ...]
    strokes: Path | None = None
    """An example's painted layer, of the proxy's size."""
    canvas: Path | None = None
    """The proxy with these strokes on it."""
    taken: float = field(default_factory=time.monotonic)
    """When it was uploaded, in seconds."""


@dataclass(frozen=True)
class ResultPictures:
    """Pictures of a matte, with the photo's colour profile."""

    photo: Path
    cutout: Path
    """The subject in its own colours, RGBA."""
    tinted: Path
    """The subject in the photo's colours, including the old background's tint, RGBA."""
    alpha: Path
    trimap: Path
    """The trimap over the photo."""
    routing: tuple[tuple[Path, str], ...]
    """For each routed block the tokens that it kept, and a caption."""


def show_photo(photo: Path, settings: Settings) -> PagePhoto:
    """Read an upload. Raises InputError for anything but a picture, and above the limit."""
    with collect_notes() as notes:
        read = read_upload(photo, settings)
    small = read.proxy(LONGEST)
    proxy = job_folder() / "photo.jpg"
    write_image(proxy, small, bits=8, icc_profile=read.icc_profile)
    return PagePhoto(
        photo=photo,
        size=read.size,
        bits=read.bits,
        profile=read.icc_profile is not None,
        proxy=proxy,
        proxy_size=(small.shape[0], small.shape[1]),
        notes=tuple(notes),
    )


def show_trimap(shown: PagePhoto, guide: Guide, settings: Settings) -> Path:
    """The trimap that a guide stands for, over the photo: a JPEG next to the proxy.

    Computed on the proxy, since widths in percent mean the same there.

    Raises InputError for a guide that does not fit the photo or says nothing.
    """
    photo = read_photo(shown.proxy)
    with collect_notes():  # about the proxy's size, which the user did not choose
        try:
            trimap = trimap_of(guide, photo.size, settings)
        except InputError:
            trimap_of(guide, shown.size, settings)  # its message has the photo's own size
            raise
    path = _new_jpeg(shown.proxy, "trimap")
    write_image(path, trimap_overlay(photo.pixels, trimap), bits=8, icc_profile=photo.icc_profile)
    return path


def write_pictures(matte: Matte, config: NetworkConfig | None, folder: Path) -> ResultPictures:
    """Write the pictures of a matte into a new folder; config: None leaves routing out."""
    folder.mkdir()
    photo = matte.photo.proxy(LONGEST)  # (h, w, 3)
    steps = np.rint(scaled_down(matte.alpha, LONGEST) * 255).astype(np.uint8)
    trimap = np.rint(scaled_down(matte.trimap, LONGEST) * 2) / 2

    def written(name: str, pixels: np.ndarray) -> Path:
        write_image(folder / name, pixels, bits=8, icc_profile=matte.photo.icc_profile)
        return folder / name

    routing = []
    if config is not None:
        patch = config.patch_size * max(np.divide(photo.shape[:2], matte.photo.size))
        for block, keep in zip(config.global_blocks, matte.routing, strict=False):
            path = written(f"routing_{block + 1}.jpg", routing_overlay(photo, keep, patch=patch))
            routing.append((path, f"Block {block + 1}: {keep.mean():.0%} of the tokens kept"))
    return ResultPictures(
        photo=written("photo.jpg", photo),
        cutout=written("cutout.png", matte.cutout_proxy(LONGEST)),
        tinted=written("tinted.png", np.dstack([photo, steps])),
        alpha=written("alpha.png", steps),
        trimap=written("trimap.jpg", trimap_overlay(photo, trimap)),
        routing=tuple(routing),
    )


Background = NDArray[np.uint8] | tuple[int, ...] | Photo | None
"""What is behind a cut-out, as `composite` takes it; None for a checkerboard."""


def background_of(
    kind: str, colour: str | None, picture: Path | None, settings: Settings
) -> Background:
    """What the page's controls ask for; a checkerboard while there is no picture yet.

    colour: as CSS writes it: `#rrggbb`, `rgb(…)` or `rgba(…)`.

    Raises SettingError for an unknown kind or colour, InputError for a file that is not a picture
    or too large.
    """
    if kind not in get_args(BackgroundKind):
        raise SettingError(f"background {kind!r}: choose {', '.join(get_args(BackgroundKind))}")
    if kind == "colour":
        return _rgb(colour or COLOUR)
    if kind == "checkerboard" or picture is None:
        return None
    with collect_notes():
        photo = read_upload(picture, settings)
        return replace(
            photo,
            pixels=photo.proxy(LONGEST),
            alpha=None if photo.alpha is None else scaled_down(photo.alpha, LONGEST),
            linear=False,
            primaries=None,
        )


def on_background(cutout: Path, background: Background) -> Path:
    """A cut-out of `ResultPictures` on a background: a new JPEG next to it."""
    subject = read_photo(cutout)
    assert subject.alpha is not None  # it is a cut-out
    if background is None:
        background = checkerboard(subject.size, square=max(8, min(subject.size) // 40))
    mixed = composite(subject.pixels, subject.alpha, background, icc_profile=subject.icc_profile)
    path = _new_jpeg(cutout, cutout.stem)
    write_image(path, mixed, bits=8, icc_profile=subject.icc_profile)
    return path


def _rgb(colour: str) -> tuple[int, ...]:
    """Three integers for what a colour picker gives, `rgba(12.5, 3, 200, 1)` included."""
    from PIL import ImageColor

    name, _, numbers = colour.strip().partition("(")
    try:
        if name in ("rgb", "rgba"):
            red, green, blue = (float(n) for n in numbers.rstrip(")").split(",")[:3])
            return tuple(min(255, max(0, round(n))) for n in (red, green, blue))
        return ImageColor.getrgb(colour)[:3]
    except ValueError as error:
        raise SettingError(
            f"background {colour!r}: is not a colour; choose one, such as {COLOUR}"
        ) from error


def _new_jpeg(sibling: Path, name: str) -> Path:
    """A new path next to a file: for a known one, browsers would show their cached picture."""
    sibling.parent.mkdir(parents=True, exist_ok=True)
    return sibling.parent / f"{name}-{secrets.token_hex(6)}.jpg"
