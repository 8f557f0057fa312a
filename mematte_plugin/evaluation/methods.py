"""The methods that are compared: networks, networks with shortcuts, and classical methods."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..errors import SettingError
from ..images.photo import Photo
from ..memory.retention import Retention
from ..pipeline import MattingPipeline, ready_pipeline
from ..progress import Progress
from ..weights.load import resolve
from .baselines import closed_form, distance_ratio, flow, knn, load_pymatting

Trimap: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class Estimate:
    """A method's result for a photograph and a trimap."""

    alpha: NDArray[Any]
    """(H, W) float in [0, 1]."""
    keep: Mapping[int, NDArray[np.bool_]] = field(default_factory=dict)
    """By routed block, counted from 1: (h, w) over the padded token grid, True where kept."""
    patch: int = 16
    """Side of a token in pixels."""


@dataclass(frozen=True)
class Method:
    """One row of the tables."""

    name: str
    """Heads the row."""
    settings: Mapping[str, Any]
    """All that its results depend on, JSON-ready: a result is reused only if they are equal."""
    estimate: Callable[[Photo, Trimap], Estimate]
    """Computes the alpha."""
    prepare: Callable[[], object] = lambda: None
    """Loads what that needs, unless it is loaded, so that loading is not timed."""


CLASSICAL: dict[str, Callable[[Photo, Trimap], NDArray[Any]]] = {
    "closed-form": lambda photo, trimap: closed_form(photo.for_network(), trimap),
    "knn": lambda photo, trimap: knn(photo.for_network(), trimap),
    "flow": lambda photo, trimap: flow(photo.for_network(), trimap),
    "distance-ratio": lambda _, trimap: distance_ratio(trimap),
}
"""The methods that need no network, by name."""


def classical(name: str) -> Method:
    """A method of `CLASSICAL`.

    Raises SettingError for another name, and where the package that it needs is not installed.
    """
    if name not in CLASSICAL:
        raise SettingError(f"method {name!r}: choose {', '.join(CLASSICAL)}, or name a model")
    alpha_of = CLASSICAL[name]
    settings = {"method": name, "version": __version__}
    if name in {"closed-form", "knn"}:
        load_pymatting()
        settings["pymatting"] = metadata.version("pymatting")
    return Method(name, settings, lambda photo, trimap: Estimate(alpha_of(photo, trimap)))


def networks(
    model: str,
    *,
    retentions: Sequence[Retention] = ("auto",),
    shortcut: int | None = None,
    device: str = "auto",
    dtype: str = "auto",
    memory_budget: int | None = None,
    progress: Progress | None = None,
) -> list[Method]:
    """The rows of one model.

    Args:
        model: catalog name, Hub id, folder or file; downloaded now, loaded with the first row.
        retentions: one row for each; see `MattingPipeline`.
        shortcut: two more rows with the shortcuts that the paper compares itself with: +D shrinks
            the photograph to this longest side in pixels and enlarges the alpha, +P cuts it into
            independent tiles of this side.
        device, dtype: as for `MattingPipeline`.
        memory_budget: bytes that each run may take; None for what is free.
        progress: called while the model is downloaded.

    Raises WeightsError for a model that cannot be found.
    """
    found = resolve(model, progress=progress)
    settings = {
        "model": [_sha256(path) for path in (found.weights, found.config) if path is not None],
        "device": device,
        "dtype": dtype,
        "version": __version__,
        **({} if memory_budget is None else {"memory_budget": memory_budget}),
    }

    def row(name: str, way: _Way, value: Any, **more: Any) -> Method:
        def load() -> MattingPipeline:
            return ready_pipeline(model, device=device, dtype=dtype)

        def estimate(photo: Photo, trimap: Trimap) -> Estimate:
            return way(load(), photo, trimap, value, memory_budget)

        return Method(name, {**settings, **more}, estimate, load)

    rows = []
    for retention in retentions:
        name = model if retention == "auto" else f"{model} @ {retention}"
        rows.append(row(name, _whole, retention, retention=retention))
    if shortcut is not None:
        for letter, way in (("D", _downsampled), ("P", _patched)):
            name = f"{model} +{letter}{shortcut}"
            rows.append(row(name, way, shortcut, shortcut=letter, side=shortcut))
    return rows


_Way: TypeAlias = Callable[[MattingPipeline, Photo, Trimap, Any, int | None], Estimate]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# ---- ways to run a network -----------------------------------------------------------------------


def _whole(
    pipe: MattingPipeline, photo: Photo, trimap: Trimap, retention: Retention, budget: int | None
) -> Estimate:
    matte = pipe(photo, trimap, retention=retention, memory_budget=budget)
    config = pipe.network.config
    blocks = [block + 1 for block in config.global_blocks]
    return Estimate(
        matte.alpha,
        dict(zip(blocks, matte.routing, strict=True)) if matte.routing else {},
        config.patch_size,
    )


def _downsampled(
    pipe: MattingPipeline, photo: Photo, trimap: Trimap, side: int, budget: int | None
) -> Estimate:
    import cv2

    height, width = trimap.shape
    scale = min(1.0, side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(photo.for_network(), size, interpolation=cv2.INTER_AREA)
    # A mean of different values is unknown; one of equal values may be off by a rounding error.
    mean = cv2.resize(trimap, size, interpolation=cv2.INTER_AREA)
    guide = np.where(mean < 1e-4, 0, np.where(mean > 1 - 1e-4, 1, 0.5)).astype(np.float32)
    alpha = _plain(pipe, np.asarray(small), guide, photo.name, budget)
    return Estimate(cv2.resize(alpha, (width, height), interpolation=cv2.INTER_LINEAR))


def _patched(
    pipe: MattingPipeline, photo: Photo, trimap: Trimap, side: int, budget: int | None
) -> Estimate:
    pixels = photo.for_network()
    alpha = trimap.copy()
    for top in range(0, trimap.shape[0], side):
        for left in range(0, trimap.shape[1], side):
            box = np.s_[top : top + side, left : left + side]
            if (trimap[box] == 0.5).any():
                alpha[box] = _plain(pipe, pixels[box], trimap[box], photo.name, budget)
    return Estimate(alpha)


def _plain(
    pipe: MattingPipeline, pixels: NDArray[Any], trimap: Trimap, name: str, budget: int | None
) -> NDArray[Any]:
    """The alpha, without a warning where a piece of a trimap has no foreground."""
    photo = Photo(np.ascontiguousarray(pixels), name=name)
    matte = pipe.cut_normalised(photo, np.ascontiguousarray(trimap), budget=budget)
    return matte.alpha
