"""Layers that compute in float32 under mixed precision."""

from typing import Any

import torch
from torch import Tensor, nn


class InFloat32(nn.Module):
    """Mixin for a layer's class: converts its input to float32 and disables autocast inside."""

    def forward(self, features: Tensor) -> Any:
        with torch.autocast(features.device.type, enabled=False):
            return super().forward(features.float())


def in_float32(layer: nn.Module) -> None:
    """Make a layer with one input compute in float32, also where its neighbours compute in bfloat16.

    Its class is replaced by a subclass of the same name; weights and their names do not change.
    """
    layer.__class__ = type(type(layer).__name__, (InFloat32, type(layer)), {})
