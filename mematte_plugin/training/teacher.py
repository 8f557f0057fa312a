"""The frozen network whose features a student learns to reproduce."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import SettingError
from ..network import NetworkConfig
from ..network.inputs import NetworkInput
from .recipe import Recipe
from .start import trained_network


class Teacher(nn.Module):
    """The recipe's teacher, on the CPU.

    Raises SettingError if the recipe names none, or one that does not fit the student; WeightsError
    if it cannot be read.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        if recipe.teacher is None:
            raise SettingError(
                "the recipe has distillation but no teacher: give a run or weights with --teacher, "
                "or set distillation to 0"
            )
        self.network = trained_network(recipe.teacher).requires_grad_(False)
        own, student = self.network.config, NetworkConfig.from_dict(recipe.network)
        for name in ("embed_dim", "patch_size", "guidance"):
            if getattr(own, name) != getattr(student, name):
                raise SettingError(
                    f"teacher {recipe.teacher}: its {name} is {getattr(own, name)}, the recipe's "
                    f"{getattr(student, name)}; train a teacher of the recipe's shape"
                )

    @torch.no_grad()
    def forward(self, inputs: NetworkInput) -> Tensor:
        """Features (B, C, h, w) of the student's input, with the teacher's own pixel statistics."""
        own, student = self.network.config, inputs.config
        if (own.pixel_mean, own.pixel_std) != (student.pixel_mean, student.pixel_std):
            inputs = NetworkInput(inputs.image, inputs.trimap, own, inputs.dtype)
        return self.network.backbone(inputs).features
