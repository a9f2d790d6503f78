"""RoIAlign by look-up gives torchvision's numbers and gradients."""

import pytest
import torch
from torch import Tensor
from torchvision.ops import MultiScaleRoIAlign

from lightdet.model.region_align import RegionAlign

LEVELS = {"names": ["0", "1", "2"], "cells": [(24, 32), (12, 16), (6, 8)]}
IMAGE = (96, 128)  # px, so that the strides are 4, 8 and 16


def boxes_of_every_kind() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(40, 2, generator=generator) * torch.tensor([128.0, 96.0])
    sizes = 2 ** (torch.rand(40, 2, generator=generator) * 8 - 1)  # 0.5 .. 128 px: all levels, and beyond the edges
    drawn = torch.cat((corners, corners + sizes), dim=1)
    special = torch.tensor(
        [
            [0, 0, 128, 96],  # all of it
            [0, 0, 0, 0],  # nothing
            [-30, -20, 10, 5],  # partly outside
            [300, 200, 340, 260],  # wholly outside
            [127.9, 95.9, 128, 96],  # the last cell
        ]
    )
    return [torch.cat((drawn[:25], special)), drawn[:0], drawn[25:]]


@pytest.mark.parametrize(("output", "samples"), [(7, 2), ((3, 5), 1), (2, 3)])
def test_numbers_and_gradients_are_torchvisions(output: int | tuple[int, int], samples: int) -> None:
    results = []
    for kind in (MultiScaleRoIAlign, RegionAlign):
        torch.manual_seed(0)
        maps = {
            name: torch.randn(3, 5, *cells, dtype=torch.float64).float().requires_grad_()
            for name, cells in zip(LEVELS["names"], LEVELS["cells"], strict=True)
        }
        maps["pool"] = torch.randn(3, 5, 3, 4)  # not among the names: unused
        pooled = kind(LEVELS["names"], output, samples, canonical_scale=64)(maps, boxes_of_every_kind(), [IMAGE] * 3)
        weight = torch.linspace(-1, 1, pooled.numel()).view(pooled.shape)
        gradients = torch.autograd.grad((pooled * weight).sum(), [maps[name] for name in LEVELS["names"]])
        assert all(gradient.abs().sum() > 0 for gradient in gradients), "a level without any region tests nothing"
        results.append((pooled.detach(), gradients))
    (theirs, their_gradients), (ours, our_gradients) = results
    assert ours.shape == theirs.shape
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    for mine, their in zip(our_gradients, their_gradients, strict=True):
        torch.testing.assert_close(mine, their, rtol=1e-5, atol=1e-5)


def test_no_region_at_all() -> None:
    maps = {"0": torch.randn(1, 5, 8, 8, requires_grad=True)}
    pooled = RegionAlign(["0"], 7, 2)(maps, [torch.zeros(0, 4)], [(32, 32)])
    pooled.sum().backward()
    assert pooled.shape == (0, 5, 7, 7)
    assert maps["0"].grad is not None
    assert not maps["0"].grad.any()
