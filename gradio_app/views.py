"""Small pictures of a matte, from which the page composes what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mematte_plugin import (
    Matte,
    NetworkConfig,
    routing_overlay,
    scaled_down,
    trimap_overlay,
    write_image,
)

PREVIEW = 1536
"""Longer side of what the page shows, in pixels at most."""


@dataclass(frozen=True)
class View:
    """Pictures of at most 1536 pixels, with the photo's colour profile."""

    photo: Path
    """The photo, JPEG."""
    cutout: Path
    """The subject with its own colours, RGBA PNG."""
    tinted: Path
    """The subject with the photo's colours, the old background's tint included, RGBA PNG."""
    alpha: Path
    """Grey PNG."""
    trimap: Path
    """The trimap over the photo, JPEG."""
    routing: tuple[Path, ...]
    """For each routed block what went through attention, JPEG."""
    captions: tuple[str, ...]
    """What to write below each of them."""


def make_view(matte: Matte, config: NetworkConfig | None, folder: Path) -> View:
    """Write the pictures of a matte into a new folder; config: None where it has no routing."""
    folder.mkdir()
    photo = matte.photo.proxy(PREVIEW)  # (h, w, 3)
    alpha = scaled_down(matte.alpha, PREVIEW)  # (h, w)
    own = matte.cutout_proxy(PREVIEW)
    height, width = matte.photo.size
    patch = (16 if config is None else config.patch_size) * max(
        photo.shape[0] / height, photo.shape[1] / width
    )
    steps = np.rint(alpha * 255).astype(np.uint8)
    trimap = np.rint(scaled_down(matte.trimap, PREVIEW) * 2) / 2
    routing = [routing_overlay(photo, keep, patch=patch) for keep in matte.routing]
    view = View(
        photo=folder / "photo.jpg",
        cutout=folder / "cutout.png",
        tinted=folder / "tinted.png",
        alpha=folder / "alpha.png",
        trimap=folder / "trimap.jpg",
        routing=tuple(folder / f"routing_{i + 1}.jpg" for i in range(len(routing))),
        captions=tuple(
            f"Block {number + 1}: {keep.mean():.0%} of the tokens kept"
            for number, keep in zip(
                () if config is None else config.global_blocks, matte.routing, strict=False
            )
        ),
    )
    pictures = {
        view.photo: photo,
        view.cutout: own,
        view.tinted: np.dstack([photo, steps]),
        view.alpha: steps,
        view.trimap: trimap_overlay(photo, trimap),
        **dict(zip(view.routing, routing, strict=True)),
    }
    for path, pixels in pictures.items():
        write_image(path, pixels, bits=8, icc_profile=matte.photo.icc_profile)
    return view
