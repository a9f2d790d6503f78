"""Weighted residual branch, Huang 2024 eq. 4-7: ADD = D(a) J + a (1 - J), J = sigmoid(H), H = Q T.

D(a) is the neck's feature before the branch, a the backbone's of the same stride. The paper does not define T;
here it is the constant 1, so H is one learnable number per branch (or per channel), and J starts at `initial_gate`.
"""

import math

import torch
from torch import Tensor, nn

from lightdet.core.errors import LightdetError
from lightdet.nn.contracts import Fusion


class WeightedResidual(Fusion):
    """(deep, shallow), both (B, C, H, W) -> their convex combination, same shape."""

    def __init__(self, channels: int, per_channel: bool = False, initial_gate: float = 0.5) -> None:
        super().__init__()
        if not 0 < initial_gate < 1:
            raise LightdetError(f"fusion: initial_gate={initial_gate}: a share of the deep feature between 0 and 1")
        logit = math.log(initial_gate / (1 - initial_gate))
        self.gate_logit = nn.Parameter(torch.full((1, channels if per_channel else 1, 1, 1), logit))

    def forward(self, deep: Tensor, shallow: Tensor) -> Tensor:
        # Under autocast a backbone with residuals that are scaled, such as ConvNeXt, gives float32 beside bfloat16.
        gate = torch.sigmoid(self.gate_logit).to(deep.dtype)
        shallow = shallow.to(deep.dtype)
        return shallow + gate * (deep - shallow)  # and not torch.lerp, which ncnn does not know
