"""The nodes that run the network: matting with a trimap, with a mask alone, and routing maps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from comfy_api.latest import io
from numpy.typing import NDArray

from . import frames, host, model_node
from .core import core
from .schema import (
    ModelType,
    edge_of,
    edges,
    memory_budget,
    output,
    results,
    retention,
    schema,
    soft_masks,
)
from .trimap_node import check_painted, guided_by

NOTHING_UNKNOWN = (
    "trimap: has no unknown pixels (grey), so there is nothing to compute; make it with "
    "Trimap from Mask, or paint the edge of the subject grey"
)

Guides = Callable[[int], core.Guided]
"""A frame's trimap (H, W) of 0, 0.5 and 1, and how its matte is finished."""


class Matting(io.ComfyNode):
    """Alpha and colours of the subject, from a trimap."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            node_id="MEMatteMatting",
            display_name="MEMatte Matting",
            description="Cuts hair, fur and lace out of a photo at its full size. Memory is "
            "planned before the run and never costs resolution.",
            search_aliases=["matting", "alpha matte", "cut out", "hair", "remove background"],
            inputs=[
                ModelType.Input("model"),
                io.Image.Input("image"),
                io.Mask.Input(
                    "trimap",
                    tooltip="Black: background. White: subject. Grey: unknown. One for all "
                    "pictures, or one for each.",
                ),
                retention(),
                memory_budget(),
                *edges(),
            ],
            outputs=results(),
        )

    @classmethod
    def execute(
        cls,
        *,
        model: host.Model,
        image: torch.Tensor,
        trimap: torch.Tensor,
        retention: float = 0.0,
        memory_budget_gb: float = 0.0,
        **edge: Any,
    ) -> io.NodeOutput:
        """Alpha (B, H, W), foreground (B, H, W, 3), cut-out (B, H, W, 4) and a report.

        edge: the inputs of `schema.edges`.
        """
        shape = edge_of(**edge)
        return Run.of_trimaps(model, image, trimap, retention, memory_budget_gb).cut(shape)


class MaskToAlpha(io.ComfyNode):
    """Alpha and colours of the subject, from a rough mask."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            node_id="MEMatteMaskToAlpha",
            display_name="Mask to Alpha (one node)",
            description="Turns a photo and a rough mask (painted, from background removal or from "
            "SAM) into a clean cut-out with hair. Nothing else needs to be connected.",
            search_aliases=["refine mask", "mask refine", "cut out", "remove background", "hair"],
            inputs=[
                io.Image.Input("image"),
                io.Mask.Input(
                    "mask",
                    tooltip="The subject in white: rough, soft, or smaller than the picture.",
                ),
                ModelType.Input(
                    "model",
                    optional=True,
                    tooltip="The built-in model is used if nothing is connected.",
                ),
                io.Float.Input(
                    "edge_width",
                    default=core.BAND_OUTSIDE,
                    min=0.5,
                    max=100.0,
                    step=0.5,
                    optional=True,
                    tooltip="How far beyond the mask hair may reach, in % of the subject's size. "
                    "More for long loose hair and sloppy masks, less if other things are close.",
                ),
                *edges(),
                soft_masks(),
            ],
            outputs=results(),
        )

    @classmethod
    def execute(
        cls,
        *,
        image: torch.Tensor,
        mask: torch.Tensor,
        model: host.Model | None = None,
        edge_width: float = core.BAND_OUTSIDE,
        soft: bool = True,
        **edge: Any,
    ) -> io.NodeOutput:
        """Alpha (B, H, W), foreground (B, H, W, 3), cut-out (B, H, W, 4) and a report.

        edge: the inputs of `schema.edges`.
        """
        shape = edge_of(**edge)
        pictures = frames.images(image)
        masks = frames.masks(mask, len(pictures), "mask")
        check_painted(masks)
        size = frames.size_of(pictures)

        def guided(frame: int) -> core.Guided:
            return guided_by(
                frames.grey(masks, frame, "mask"),
                size,
                several=len(masks) > 1,
                inside=edge_width / 2,
                outside=edge_width,
                soft=soft,
            )

        return Run(model or model_node.load(), pictures, len(masks), guided).cut(shape)


class RoutingMap(io.ComfyNode):
    """Maps of the tokens that went through attention."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            node_id="MEMatteRouting",
            display_name="MEMatte Routing Map",
            description="Shows, for each routed block, which parts of the picture got full "
            "attention (tinted) and which took the shortcut (dark).",
            search_aliases=["routing", "attention map", "token map"],
            inputs=[
                ModelType.Input("model"),
                io.Image.Input("image"),
                io.Mask.Input("trimap"),
                retention(),
            ],
            outputs=[
                output(io.Image, "maps", "One map per routed block for each picture, in order.")
            ],
        )

    @classmethod
    def execute(
        cls,
        model: host.Model,
        image: torch.Tensor,
        trimap: torch.Tensor,
        retention: float = 0.0,
    ) -> io.NodeOutput:
        """Maps (B * blocks, H, W, 3)."""
        config = model.network.config
        blocks = len(config.global_blocks)
        if not config.routed:
            raise core.SettingError(
                f"model: {model.name} has no router and sends everything through attention; load a "
                "MEMatte model"
            )
        run = Run.of_trimaps(model, image, trimap, retention)
        (maps,) = host.new_outputs((len(run.pictures) * blocks, *run.size, 3))
        for i, matte in run.mattes():
            for block, keep in enumerate(matte.routing):
                overlay = core.routing_overlay(matte.photo.pixels, keep, patch=config.patch_size)
                maps[i * blocks + block] = torch.from_numpy(overlay) / 255
            if not matte.routing:  # nothing is unknown in this frame
                maps[i * blocks : (i + 1) * blocks] = torch.from_numpy(matte.photo.pixels)
        return io.NodeOutput(maps)


@dataclass
class Run:
    """Computes the mattes of a batch frame by frame."""

    model: host.Model
    pictures: torch.Tensor
    """(B, H, W, 3)"""
    guides: int
    """Number of trimaps or masks; with more than one, a frame may be without a subject."""
    guided: Guides
    retention: float = 0.0
    """0 for automatic, or a share of the tokens."""
    budget: int | None = None
    """Bytes that the user allows for a frame; None for the free memory."""

    def __post_init__(self) -> None:
        self.size = frames.size_of(self.pictures)
        self.notes = frames.Notes(len(self.pictures))
        self.progress = host.FrameProgress(len(self.pictures))

    @classmethod
    def of_trimaps(
        cls,
        model: host.Model,
        image: torch.Tensor,
        trimap: torch.Tensor,
        retention: float,
        budget_gb: float = 0.0,
    ) -> Run:
        """A run over an IMAGE and a MASK that holds trimaps; checks their shapes."""
        pictures = frames.images(image)
        trimaps = frames.masks(trimap, len(pictures), "trimap")
        size = frames.size_of(pictures)

        def normalised(frame: int) -> core.Guided:
            return core.Guided(core.normalise_trimap(frames.grey(trimaps, frame, "trimap"), size))

        budget = int(budget_gb * 1e9) if budget_gb > 0 else None
        return cls(model, pictures, len(trimaps), normalised, retention, budget)

    def cut(self, edge: core.Edge) -> io.NodeOutput:
        """The outputs of `schema.results`, with the edges shaped."""
        shape = replace(edge, crop=False, margin=0)
        crops: list[core.Crop] = []
        count, (height, width) = len(self.pictures), self.size
        alpha, foreground, cutout = host.new_outputs(
            (count, height, width), (count, height, width, 3), (count, height, width, 4)
        )
        plans = []
        for i, found in self.mattes():
            with self.notes.catching(i):
                matte = found.with_edge(shape)
                part = matte.cropped(edge.margin) if edge.crop else None
            if matte.key is not None:  # one screen for all frames: nothing flickers
                shape = replace(shape, despill=tuple(float(part) for part in matte.key))
            if part is not None and part.crop is not None:
                crops.append(part.crop)
            alpha[i] = torch.from_numpy(matte.alpha)
            foreground[i] = torch.from_numpy(matte.compute_foreground(self.progress))
            cutout[i, ..., :3] = foreground[i]
            cutout[i, ..., 3] = alpha[i]
            if matte.plan is not None:
                plans.append(matte.plan)
        if not crops:
            return io.NodeOutput(alpha, foreground, cutout, self._report(plans))
        crop = core.Crop.around(crops)
        rows, columns = crop.box
        outputs = (batch[:, rows, columns].clone() for batch in (alpha, foreground, cutout))
        return io.NodeOutput(*outputs, f"{self._report(plans)}\n{crop}")

    def mattes(self) -> Iterator[tuple[int, core.Matte]]:
        """Each frame's index and matte.

        Raises core.InputError for unusable pictures and trimaps, and if no frame has anything to
        compute; core.MEMatteError if memory is too small.
        """
        pipe: core.MattingPipeline | None = None
        computed = 0
        for i in range(len(self.pictures)):
            self.progress.frame = i
            self.progress(0, 1, "reading")
            colours = frames.pixels(self.pictures, i, "image", self.notes)
            with self.notes.catching(i):
                guided = self.guided(i)
                unknown = self._unknown(guided.trimap, i)
                computed += unknown > 0
                try:
                    device = host.loaded(self.model, self.size, unknown, self.budget)
                    pipe = pipe or core.MattingPipeline(
                        self.model.network,
                        device=device,
                        dtype=self.model.network.dtype,
                        model=self.model.name,
                    )
                    matte = pipe.cut_guided(
                        core.Photo(colours),
                        guided,
                        retention=self.retention or "auto",
                        budget=host.budget(device, self.budget),
                        progress=self.progress,
                    )
                except core.BudgetError as error:
                    if self.budget is None:
                        raise
                    raise self._too_small(self.budget, error.least) from error
            yield i, matte
            self.progress(1, 1, "writing")
        if not computed:
            raise core.InputError(NOTHING_UNKNOWN)

    def _too_small(self, budget: int, least: int) -> core.BudgetError:
        """The core's error, in terms of the node's inputs."""
        enough = math.ceil(least / 1e8) / 10
        height, width = self.size
        return core.BudgetError(
            f"memory_budget_gb: {budget / 1e9:g} is too small for {width}×{height} with this "
            f"model; set it to {enough:g} or more, or to 0 for the free memory",
            least,
        )

    def _unknown(self, trimap: NDArray[np.float32], frame: int) -> float:
        """The share of unknown pixels; raises core.InputError for a useless trimap."""
        unknown = float(np.count_nonzero(trimap == 0.5)) / trimap.size
        if unknown == 0:
            if self.guides == 1:
                raise core.InputError(NOTHING_UNKNOWN)
            self.notes.add(frame, "the trimap has no unknown pixels and is the alpha itself")
        elif self.guides == 1 and not (trimap == 1).any():
            raise core.InputError(
                "trimap: has no foreground (white); mark a part that is certainly the subject "
                "(with Trimap from Mask: make unknown_inside smaller)"
            )
        return unknown

    def _report(self, plans: list[core.Plan]) -> str:
        height, width = self.size
        count = len(self.pictures)
        lines = [f"{count} picture{'s' * (count > 1)} of {width}×{height}"]
        if plans:
            worst = max(plans, key=lambda plan: (plan.measured_peak or 0, plan.predicted_peak))
            lines = (
                [str(worst)]
                if count == 1
                else [*lines, "the one that needed most memory:", str(worst)]
            )
        notes = [*self.notes.lines(), *([self.model.terms] if self.model.terms else [])]
        return "\n".join([*lines, *(f"note: {note}" for note in notes)])
