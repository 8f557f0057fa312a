"""MEMatte: the routed encoder and the detail-capture decoder as one network."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ..progress import Progress
from .abilities import carries
from .config import Chunking, NetworkConfig
from .decoder import Decoder
from .encoder import Encoder, Residual, ticking
from .inputs import Light, NetworkInput
from .pieces import decode, unknown_tokens

WHOLE = Chunking()

DecoderMode = Literal["exact", "official"]


@dataclass(frozen=True)
class Prediction:
    """Alpha and routing."""

    alpha: Tensor
    """(B, 1, H, W) float32 in [0, 1]."""
    keep: tuple[Tensor, ...]
    """Per routed block, bool (B, h, w) over the padded token grid: True went through attention."""
    margins: tuple[Tensor, ...]
    """Per routed block, float32 (B, h, w): the router's score(keep) - score(skip)."""


@dataclass(frozen=True)
class TrainingOutput:
    """The inputs of the paper's losses."""

    alpha: Tensor
    """(B, 1, H, W) float32 in [0, 1]."""
    features: Tensor
    """(B, C, h, w), compared with a teacher's when distilling."""
    keep: tuple[Tensor, ...]
    """Per routed block, (B, h, w) of 0 and 1, with gradient."""
    margins: tuple[Tensor, ...]
    """Per routed block, (B, h, w): score(keep) - score(skip), with gradient."""


class MEMatte(nn.Module):
    """Trimap-guided matting network (Lin et al. 2025, https://arxiv.org/abs/2412.10702).

    With ``config.routed`` false it is ViTMatte (Yao et al. 2024, https://arxiv.org/abs/2305.15272).
    Parameters are named as in official MEMatte checkpoints.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Encoder(config)
        self.decoder = Decoder(config)

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights, and so of the computation."""
        return self.backbone.patch_embed.proj.weight.dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.backbone.patch_embed.proj.weight.device

    def cast(self, dtype: torch.dtype) -> MEMatte:
        """Change the precision of the computation in place; tensors that have it are not touched.

        Batch norms stay in float32: their variances overflow float16, and folding them into the
        convolutions costs nothing.

        Returns: self.
        """
        for tensor, kind in self._precisions(dtype):
            if tensor.dtype != kind:
                tensor.data = tensor.data.to(kind)
        return self

    def copied(self, device: torch.device, dtype: torch.dtype) -> MEMatte:
        """A copy on a device in a precision, made weight by weight, for inference."""
        made = {
            # Cast before moving: a card may have no room for weights of twice the size.
            id(tensor): tensor.detach().to(kind).to(device, copy=tensor.dtype == kind)
            for tensor, kind in self._precisions(dtype)
        }
        for parameter in self.parameters():
            made[id(parameter)] = nn.Parameter(made[id(parameter)], requires_grad=False)
        return copy.deepcopy(self, made)

    def is_in(self, device: torch.device, dtype: torch.dtype) -> bool:
        """Whether all weights are on a device (with index) in a precision."""
        return all(
            tensor.device == device and tensor.dtype == kind
            for tensor, kind in self._precisions(dtype)
        )

    def _precisions(self, dtype: torch.dtype) -> Iterator[tuple[Tensor, torch.dtype]]:
        """Every weight, with its precision in a network of this precision."""
        for module in self.modules():
            fixed = isinstance(module, nn.BatchNorm2d)
            for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
                yield tensor, tensor.dtype if fixed else dtype

    def forward(self, image: Tensor, trimap: Tensor) -> Tensor:
        """Alpha (B, 1, H, W) float32 in [0, 1], in one piece.

        In evaluation mode without gradient, whatever torch records; in training mode the alpha of
        `training_step`, with gradient and sampled decisions.

        Args:
            image: (B, 3, H, W) float in [0, 1].
            trimap: (B, 1, H, W) float; 0 background, 1 foreground, 0.5 unknown. The known regions
                of the result are the network's own: nothing is forced here.
        """
        if self.training:
            return self.training_step(image, trimap).alpha
        return self.predict(image, trimap).alpha

    def predict(
        self,
        image: Tensor,
        trimap: Tensor,
        *,
        max_tokens: int | None = None,
        chunking: Chunking = WHOLE,
        decoder: DecoderMode = "exact",
        only_unknown: bool = False,
        light: Light | None = None,
        progress: Progress | None = None,
    ) -> Prediction:
        """Alpha and routing of a batch, without gradient.

        Args:
            image: (B, 3, H, W) uint8, uint16 or float, clamped to [0, 1]; may be on another device
                than the network.
            trimap: (B, 1, H, W) float on the image's device; 0 background, 1 foreground, 0.5
                unknown. The alpha is returned on that device.
            max_tokens: cap on the tokens kept in each block of each image.
            chunking: how much to hold at once; the result does not depend on it.
            decoder: "exact" decodes as if in one piece; "official" reproduces the official patches.
            only_unknown: decode only what unknown pixels need; known pixels are the trimap's.
            light: how the image becomes display-encoded, for scene-linear values as in EXR.
            progress: called with (done, total, stage) at least a few times a second on a CPU.
        """
        wanted = None
        if only_unknown and decoder == "exact":  # before the trimap goes to a device
            wanted = unknown_tokens(trimap, self.config)
        origin = trimap.device
        carried = all(carries(self.device, tensor.dtype) for tensor in (image, trimap))
        if carried and not chunking.host_picture:
            image, trimap = image.to(self.device), trimap.to(self.device)
        inputs = NetworkInput(
            image,
            trimap,
            self.config,
            self.dtype,
            device=self.device,
            light=light,
            tick=ticking(progress, 0, self.config.depth),
        )
        with torch.no_grad():
            encoded = self.backbone.stream(
                inputs, chunking, max_tokens=max_tokens, progress=progress
            )
            keep, margins, features = encoded.keep, encoded.margins, encoded.features
            del encoded  # or the device would hold the features, too
            if chunking.host_features:
                features = features.cpu()
            if decoder == "official":
                alpha = self.decoder.decode_official(features, inputs)
            else:
                alpha = decode(
                    self.decoder,
                    features,
                    inputs,
                    tile=chunking.tile,
                    wanted=wanted,
                    progress=progress,
                )
        return Prediction(alpha.to(origin), keep, margins)

    def training_step(
        self, image: Tensor, trimap: Tensor, *, decisions_learn: bool = True
    ) -> TrainingOutput:
        """Differentiable pass over a batch of crops; decisions are sampled in training mode.

        With `decisions_learn` false no gradient flows from the alpha into the decisions.
        """
        inputs = NetworkInput(image, trimap, self.config, self.dtype)
        return self.training_pass(inputs, decisions_learn=decisions_learn)

    def training_pass(
        self, inputs: NetworkInput, *, decisions_learn: bool = True
    ) -> TrainingOutput:
        """`training_step` for an input that others (a teacher) may share."""
        encoded = self.backbone(inputs, decisions_learn=decisions_learn)
        height, width = inputs.size
        alpha = self.decoder(encoded.features, inputs.crop(0, 0, *inputs.padded))
        alpha = alpha[:, :, :height, :width]
        return TrainingOutput(alpha, encoded.features, encoded.keep, encoded.margins)

    @torch.no_grad()
    def initialise(self) -> MEMatte:
        """Fresh weights for training from scratch: ViT's truncated normal, quiet residuals.

        Returns: self.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, Residual):  # starts as the identity
                nn.init.zeros_(module.norm3.weight)
        if self.decoder.corrects:  # starts with the first alpha
            for parameter in self.decoder.matting_head.matting_convs[-1].parameters():
                nn.init.zeros_(parameter)
        if self.config.abs_pos:
            nn.init.trunc_normal_(self.backbone.pos_embed, std=0.02)
        return self
