"""The node that makes a trimap from a mask, and a preview of it."""

from __future__ import annotations

import logging
from typing import Literal

import numpy as np
import torch
from comfy_api.latest import io
from numpy.typing import NDArray

from . import frames, host
from .core import core
from .schema import output, schema, soft_masks

Unit = Literal["%", "px"]

UNITS: dict[str, Unit] = {"% of subject": "%", "px": "px"}
"""Choices of the units widget → the core's units."""
DEFAULTS = {"inside": core.BAND_INSIDE, "outside": core.BAND_OUTSIDE}
"""Widths that nobody changed: the core may choose others for a soft mask."""
BLACK, WHITE = 0.02, 0.98
"""The core treats values beyond these as black and white; a mask between them may be dim."""
DIM = 0.1
"""In a batch of masks, one that is darker than this has no subject and is not just dim."""
SURE = 0.85
"""A soft mask reaches it somewhere; a darker one is dim, and its greys mean nothing."""

logger = logging.getLogger(__name__)


class TrimapFromMask(io.ComfyNode):
    """Makes a band along the mask's edge unknown."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            node_id="MEMatteTrimapFromMask",
            display_name="Trimap from Mask",
            description="Marks a band along the edge of a rough mask as unknown: matting looks for "
            "hair there. The preview shows the band over the picture.",
            search_aliases=["trimap", "unknown band", "mask edge", "dilate erode trimap"],
            inputs=[
                io.Mask.Input(
                    "mask",
                    tooltip="The subject in white: rough, soft, or smaller than the picture.",
                ),
                io.Float.Input(
                    "unknown_inside",
                    default=core.BAND_INSIDE,
                    min=0.0,
                    max=1000.0,
                    step=0.5,
                    tooltip="How far the unknown band reaches into the subject.",
                ),
                io.Float.Input(
                    "unknown_outside",
                    default=core.BAND_OUTSIDE,
                    min=0.0,
                    max=1000.0,
                    step=0.5,
                    tooltip="How far it reaches outwards: as far as hair may.",
                ),
                io.Combo.Input(
                    "units",
                    options=list(UNITS),
                    default=next(iter(UNITS)),
                    tooltip="% of subject is relative to the subject's size: the same numbers work "
                    "for a thumbnail and for 8K.",
                ),
                io.Boolean.Input(
                    "keep_soft",
                    default=True,
                    tooltip="Soft (grey) parts of the mask stay unknown. Only with a hard mask or "
                    "soft off.",
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="For the preview. A mask of another size is scaled to it.",
                ),
                soft_masks(),
            ],
            outputs=[
                output(io.Mask, "trimap", "0 background, 0.5 unknown, 1 subject."),
                output(io.Image, "preview", "The unknown band in grey."),
            ],
        )

    @classmethod
    def execute(
        cls,
        *,
        mask: torch.Tensor,
        unknown_inside: float,
        unknown_outside: float,
        units: str,
        keep_soft: bool,
        image: torch.Tensor | None = None,
        soft: bool = True,
    ) -> io.NodeOutput:
        """Trimaps (B, H, W) of 0, 0.5 and 1, and their previews (B, H, W, 3)."""
        pictures = None if image is None else frames.images(image)
        masks = frames.masks(mask, None if pictures is None else len(pictures), "mask")
        count = len(masks) if pictures is None else len(pictures)
        height, width = masks.shape[1:] if pictures is None else frames.size_of(pictures)
        check_painted(masks)
        trimaps, previews = host.new_outputs((count, height, width), (count, height, width, 3))
        notes = frames.Notes(count)
        for i in range(count):
            with notes.catching(i):
                trimap = guided_by(
                    frames.grey(masks, i, "mask"),
                    (height, width),
                    several=len(masks) > 1,
                    inside=unknown_inside,
                    outside=unknown_outside,
                    unit=UNITS[units],
                    keep_soft=keep_soft,
                    soft=soft,
                ).trimap
            trimaps[i] = torch.from_numpy(trimap)
            if pictures is None:
                previews[i] = trimaps[i][..., None]
            else:
                colours = frames.pixels(pictures, i, "image", notes)
                previews[i] = torch.from_numpy(core.trimap_overlay(colours, trimap)) / 255
        for line in notes.lines():
            logger.warning("Trimap from Mask: %s", line)
        return io.NodeOutput(trimaps, previews)


def check_painted(masks: torch.Tensor) -> None:
    """Raises core.InputError if all masks (B, H, W) are empty, or all are full."""
    if (masks >= WHITE).all():
        raise core.InputError(
            "mask: is full, everything is white; the background must be black (Invert Mask inverts "
            "it)"
        )
    if (masks <= BLACK).all():
        raise core.InputError(
            "mask: is empty, nothing is white; paint the subject (right click on Load Image, Open "
            "in MaskEditor), or connect the mask of a background removal or of SAM"
        )


def guided_by(
    mask: NDArray[np.float32],
    size: tuple[int, int],
    *,
    several: bool,
    inside: float,
    outside: float,
    unit: Unit = "%",
    keep_soft: bool = True,
    soft: bool = True,
) -> core.Guided:
    """The trimap (H, W) that a mask stands for, and how its matte is finished.

    several: the mask is one of several frames; the subject may be absent from it or fill it.
    soft: where the mask is soft or coarser than size, the band follows from that. inside and
        outside are then the least widths; at the nodes' defaults the core chooses them.
    """
    if several and (mask.max() < DIM or mask.min() >= 0.5):
        return core.Guided(np.full(size, np.float32(mask.min() >= 0.5)))
    unsure = soft and mask.max() >= SURE and core.is_soft(mask)
    if unsure or (soft and coarser(mask, size)):
        widths: dict[str, float | None] = {"inside": inside, "outside": outside}
        if unsure and unit == "%":
            widths = {n: None if width == DEFAULTS[n] else width for n, width in widths.items()}
        read = core.read_soft(mask, size, name="mask", greys=unsure)
        return core.Guided.by(read, {**widths, "unit": unit})
    trimap = core.from_mask(
        mask, size=size, inside=inside, outside=outside, unit=unit, keep_soft=keep_soft
    )
    return core.Guided(core.normalise_trimap(trimap, size))


def coarser(mask: NDArray[np.float32], size: tuple[int, int]) -> bool:
    """Whether a mask (h, w) has fewer rows or columns than the picture's size (H, W)."""
    return any(own < wanted for own, wanted in zip(mask.shape, size, strict=True))
