"""Masked generative distillation. Yang et al. 2022, arXiv 2205.01529."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lightdet.core.errors import demand_share
from lightdet.distill.contract import MapDistillation
from lightdet.model.contract import Model
from lightdet.ops.grid import ImageSize


class Mgd(MapDistillation):
    """Two convolutions generate the teacher's map from the student's, of which random places are hidden.

    Differs: the mean of the squared differences, over the teacher's variance, in place of their sum times 2e-5, so that
    the gain does not depend on the size of the maps.
    """

    name = "mgd"

    def __init__(
        self,
        student: Model,
        teachers: Sequence[Model],
        image_size: ImageSize,
        gain: float = 1.0,
        masked: float = 0.65,
    ) -> None:
        super().__init__(student, teachers, image_size, gain)
        demand_share("distill.mgd.masked", masked)
        self.masked = masked
        channels = [[adapter.out_channels for adapter in adapters] for adapters in _lists(self.adapters)]
        self.generators = nn.ModuleList(nn.ModuleList(map(_generator, each)) for each in channels)

    def distance(self, student: Tensor, teacher: Tensor, number: int, level: int) -> Tensor:
        seen = torch.rand(len(student), 1, *student.shape[-2:], device=student.device) >= self.masked
        made = _lists(self.generators)[number][level](student * seen)
        spread = teacher.var().clamp(min=1e-6)
        return (made - teacher).square().mean() / spread


def _generator(channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(channels, channels, 3, padding=1)
    )


def _lists(modules: nn.ModuleList) -> Any:
    """A list of lists of modules, which torch's types do not know."""
    return modules
