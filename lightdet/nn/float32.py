"""A layer that leaves mixed precision out."""

from typing import Any

import torch
from torch import Tensor, nn


class InFloat32(nn.Module):
    """Mixed into a layer's class: its input is made float32, and autocast is off inside."""

    def forward(self, features: Tensor) -> Any:
        with torch.autocast(features.device.type, enabled=False):
            return super().forward(features.float())


def in_float32(layer: nn.Module) -> None:
    """Let a layer with one input compute in float32, also where its neighbours compute in bfloat16.

    Its class becomes one of the same name; weights and the names of weights stay as they are.
    """
    layer.__class__ = type(type(layer).__name__, (InFloat32, type(layer)), {})
