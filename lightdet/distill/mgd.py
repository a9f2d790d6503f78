"""Masked generative distillation. Yang et al. 2022, arXiv 2205.01529."""

import torch
from torch import Tensor, nn

from lightdet.distill.contract import MapDistillation


class Mgd(MapDistillation):
    """Two convolutions generate the teacher's map from the student's, of which random places are hidden.

    Differs: the mean of the squared differences, over that of the teacher's map, in place of their sum times 2e-5, so
    that the gain depends neither on the size of the maps nor on their scale.
    """

    name = "mgd"

    def __init__(self, gain: float = 5.0, masked: float = 0.65) -> None:
        super().__init__(gain)
        self.masked = masked

    def adapter(self, own: int, their: int) -> nn.Module:
        return Generator(own, their, self.masked)

    def distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        return (student - teacher).square().mean() / teacher.square().mean().clamp(min=1e-6)


class Generator(nn.Sequential):
    """(B, own, H, W) -> (B, their, H, W), from some places; `masked`: the share of hidden ones."""

    def __init__(self, own: int, their: int, masked: float) -> None:
        first, second = (nn.Conv2d(their, their, 3, padding=1) for _ in range(2))
        super().__init__(nn.Conv2d(own, their, 1), first, nn.ReLU(inplace=True), second)
        self.masked = masked

    def forward(self, features: Tensor) -> Tensor:
        aligned, *generator = self
        seen = torch.rand(len(features), 1, *features.shape[-2:], device=features.device) >= self.masked
        made = aligned(features) * seen
        for part in generator:
            made = part(made)
        return made
