"""The nodes that need no network: foreground colours and compositing."""

from __future__ import annotations

import logging
from contextlib import suppress

import torch
from comfy_api.latest import io
from PIL import ImageColor

from . import frames, host
from .core import core
from .schema import colours, despill, linear_light, output, schema

logger = logging.getLogger(__name__)


class EstimateForeground(io.ComfyNode):
    """The subject's colours without the old background's tint, for any alpha."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            node_id="MEMatteForeground",
            display_name="Estimate Foreground",
            description="Removes the old background's colour from hair and soft edges, for any "
            "alpha: no green or grey halo over a new background.",
            search_aliases=["decontaminate", "halo", "despill", "defringe", "foreground colour"],
            inputs=[
                io.Image.Input("image"),
                io.Mask.Input("alpha", tooltip="One for all pictures, or one for each."),
                despill(),
            ],
            outputs=colours(),
        )

    @classmethod
    def execute(
        cls, image: torch.Tensor, alpha: torch.Tensor, despill: str = "off"
    ) -> io.NodeOutput:
        """Foreground (B, H, W, 3) and cut-out (B, H, W, 4)."""
        edge = core.Edge(despill=despill)
        pictures = frames.images(image)
        alphas = frames.masks(alpha, len(pictures), "alpha")
        check_size(alphas, pictures, "alpha", "the image")
        count, height, width = pictures.shape[:3]
        foreground, cutout = host.new_outputs((count, height, width, 3), (count, height, width, 4))
        progress = host.FrameProgress(count)
        notes = frames.Notes(count)
        for i in range(count):
            progress.frame = i
            opacity = frames.grey(alphas, i, "alpha")
            colours_in = frames.pixels(pictures, i, "image", notes)
            if despill == "off":
                found = core.estimate_foreground(colours_in, opacity, progress=progress)
            else:
                with core.collect_notes():  # notes on this trimap would mislead
                    trimap = core.normalise_trimap(core.from_alpha(opacity), opacity.shape)
                with notes.catching(i):
                    matte = core.Matte(opacity, core.Photo(colours_in), trimap).with_edge(edge)
                if matte.key is not None:  # one screen for all frames: nothing flickers
                    edge = core.Edge(despill=tuple(float(part) for part in matte.key))
                found = matte.compute_foreground(progress)
            foreground[i] = torch.from_numpy(found)
            cutout[i, ..., :3] = foreground[i]
            cutout[i, ..., 3] = torch.from_numpy(opacity)
            progress(1, 1, "writing")
        for line in notes.lines():
            logger.warning("Estimate Foreground: %s", line)
        return io.NodeOutput(foreground, cutout)


class Composite(io.ComfyNode):
    """The subject over a colour or another picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            node_id="MEMatteComposite",
            display_name="Matte over Background",
            description="Puts the subject over a colour or another picture. Connect foreground, "
            "not the photo: the photo's edges still have the old background's colour.",
            search_aliases=["composite", "replace background", "over", "new background"],
            inputs=[
                io.Image.Input("foreground"),
                io.Mask.Input("alpha"),
                io.String.Input(
                    "color",
                    default="white",
                    tooltip="A name (white, teal) or #rrggbb; used if no background is connected.",
                ),
                io.Image.Input(
                    "background",
                    optional=True,
                    tooltip="Scaled to cover the picture and cropped in the middle. One for all "
                    "pictures, or one for each.",
                ),
                linear_light(),
            ],
            outputs=[output(io.Image, "image")],
        )

    @classmethod
    def execute(
        cls,
        foreground: torch.Tensor,
        alpha: torch.Tensor,
        color: str = "white",
        background: torch.Tensor | None = None,
        linear_light: bool = False,
    ) -> io.NodeOutput:
        """Pictures (B, H, W, 3)."""
        pictures = frames.images(foreground, "foreground")
        count = len(pictures)
        alphas = frames.masks(alpha, count, "alpha")
        check_size(alphas, pictures, "alpha", "the foreground")
        if background is None:
            plain = named_colour(color)
        else:
            frames.check_count(len(frames.images(background, "background")), count, "background")
        (result,) = host.new_outputs((*pictures.shape[:3], 3))
        progress = host.FrameProgress(count)
        notes = frames.Notes(count)
        for i in range(count):
            progress.frame = i
            behind = (
                plain if background is None else frames.pixels(background, i, "background", notes)
            )
            mixed = core.composite(
                frames.pixels(pictures, i, "foreground", notes),
                frames.grey(alphas, i, "alpha"),
                behind,
                linear_light=linear_light,
            )
            result[i] = torch.from_numpy(mixed)
            progress(1, 1, "writing")
        return io.NodeOutput(result)


def named_colour(color: str) -> tuple[int, ...]:
    """Red, green and blue, 0 to 255, of a colour name or number.

    The core would also accept a file name, which is unsafe in graphs from strangers.

    Raises core.InputError unless it is an opaque colour.
    """
    found: tuple[int, ...] = ()
    with suppress(ValueError):
        found = ImageColor.getrgb(color.strip())
    if len(found) != 3:
        raise core.InputError(
            f"color: {color!r} is not a colour; give a name (white, teal) or #rrggbb"
        )
    return found


def check_size(masks: torch.Tensor, pictures: torch.Tensor, name: str, other: str) -> None:
    """Raises core.InputError if masks (B, H, W) and pictures (B, H, W, C) differ in size."""
    found, wanted = tuple(masks.shape[1:]), tuple(pictures.shape[1:3])
    if found != wanted:
        raise core.InputError(
            f"{name}: is {found[1]}×{found[0]}, but {other} is {wanted[1]}×{wanted[0]}; connect "
            "inputs made from the same picture"
        )
