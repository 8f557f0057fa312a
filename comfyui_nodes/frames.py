"""Checks ComfyUI's batches of pictures and masks, and splits them into frames."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from .core import core

SLACK = 1e-3
"""Values this far outside 0 to 1 are rounding errors of half precision, not worth a note."""


class Notes:
    """Notes for the user, about single frames or all of them."""

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._found: dict[str, list[int]] = {}

    def add(self, frame: int, text: str) -> None:
        """Add a note on a frame (0, 1, …)."""
        places = self._found.setdefault(text, [])
        if frame not in places:
            places.append(frame)

    @contextmanager
    def catching(self, frame: int) -> Iterator[None]:
        """Collect the core's warnings as notes on this frame."""
        with core.collect_notes() as found:
            yield
        for note in found:
            self.add(frame, note)

    def lines(self) -> list[str]:
        """One line for each note, with the frames it is about."""
        return [
            text if len(places) == self._frames else f"{_named(places)}: {text}"
            for text, places in self._found.items()
        ]


def _named(places: list[int]) -> str:
    if len(places) == 1:
        return f"frame {places[0] + 1}"
    shown = ", ".join(str(place + 1) for place in places[:8])
    return f"frames {shown}{', …' if len(places) > 8 else ''}"


def images(batch: torch.Tensor, name: str = "image") -> torch.Tensor:
    """Check an IMAGE (B, H, W, 1 or 3).

    Raises core.InputError for an empty batch, for transparency and for other shapes.
    """
    shape = tuple(batch.shape)
    if len(shape) != 4 or shape[3] not in (1, 3, 4):
        raise core.InputError(f"{name}: has shape {shape}; connect an IMAGE (B, H, W, 3)")
    if 0 in shape:
        raise core.InputError(
            f"{name}: is a batch of {shape[0]} pictures of {shape[2]}×{shape[1]}; "
            "connect at least one picture"
        )
    if shape[3] == 4:
        raise core.InputError(
            f"{name}: has transparency (RGBA), but must be RGB; put Split Image with Alpha before "
            "this node and connect its image"
        )
    return batch


def size_of(pictures: torch.Tensor) -> tuple[int, int]:
    """(H, W) of an IMAGE (B, H, W, C)."""
    return int(pictures.shape[1]), int(pictures.shape[2])


def masks(batch: torch.Tensor, frames: int | None, name: str) -> torch.Tensor:
    """A MASK (B, H, W) with one mask for all frames or one for each; frames=None: any number.

    Raises core.InputError for another number of masks and for other shapes.
    """
    shape = tuple(batch.shape)
    if len(shape) == 2:
        batch = batch[None]
    elif len(shape) == 4 and 1 in (shape[1], shape[3]):
        batch = batch[:, 0] if shape[1] == 1 else batch[..., 0]
    elif len(shape) != 3:
        raise core.InputError(f"{name}: has shape {shape}; connect a MASK (B, H, W)")
    if 0 in batch.shape:
        raise core.InputError(f"{name}: has shape {shape} and no pixels; connect a mask")
    if frames is not None:
        check_count(len(batch), frames, name)
    return batch


def check_count(count: int, frames: int, name: str) -> None:
    """Raises core.InputError unless there is one for all frames or one for each."""
    if count not in (1, frames):
        wanted = "connect one" if frames == 1 else f"connect one for all, or {frames}"
        raise core.InputError(f"{name}: {count} for {frames} picture(s); {wanted}")


def at(batch: torch.Tensor, frame: int) -> torch.Tensor:
    """A frame's entry in a batch that has one for all frames or one for each."""
    return batch[frame if len(batch) > 1 else 0]


def pixels(batch: torch.Tensor, frame: int, name: str, notes: Notes) -> NDArray[np.float32]:
    """A frame (H, W, 3) float32 in [0, 1], read-only.

    Values outside 0 to 1 are clipped, as ComfyUI does when it saves a picture.

    Raises core.InputError for NaN or infinite values.
    """
    picture = at(batch, frame).float().cpu()
    if picture.shape[-1] == 1:
        picture = picture.expand(*picture.shape[:2], 3)
    low, high = (float(bound) for bound in picture.aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        bad = int((~picture.isfinite()).sum())
        raise core.InputError(
            f"{name}: holds {bad} NaN or infinite values; fix the node that makes them (often a "
            "VAE in half precision)"
        )
    if low < 0 or high > 1:
        if low < -SLACK or high > 1 + SLACK:
            notes.add(frame, f"{name}: values from {low:.3g} to {high:.3g} were clipped to 0 to 1")
        picture = picture.clamp(0, 1)
    return picture.contiguous().numpy()


def grey(batch: torch.Tensor, frame: int, name: str) -> NDArray[np.float32]:
    """A frame's mask (H, W) float32 in [0, 1], read-only.

    Raises core.InputError for NaN or infinite values.
    """
    mask = at(batch, frame).float().cpu()
    if not mask.isfinite().all():
        raise core.InputError(f"{name}: holds NaN or infinite values; fix the node that makes them")
    return mask.clamp(0, 1).contiguous().numpy()
