"""Blocks written for speed compute what their textbook form computes."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lightdet.attention.cbam import Cbam
from lightdet.backbone.csp_darknet import CspDarknet
from lightdet.backbone.spp_darknet import SppDarknet
from lightdet.fusion.weighted_residual import WeightedResidual
from lightdet.model.yolo import Yolo
from lightdet.neck.pan import Pan
from lightdet.nn.blocks import BottleneckCsp, Focus, Spp, max_pool_5
from lightdet.nn.contracts import Backbone
from lightdet.nn.fold import fold
from lightdet.predictor.anchor import Anchor

LAYOUTS = (torch.contiguous_format, torch.channels_last)
SIZES = ((1, 1), (2, 3), (5, 7), (19, 19), (13, 40))  # (H, W), smaller and larger than the pools


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("layout", LAYOUTS, ids=("contiguous", "channels last"))
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("with_gradient", (False, True))
def test_the_pool_of_5_is_the_pool_of_5(
    layout: torch.memory_format, size: tuple[int, int], with_gradient: bool
) -> None:
    x = torch.randn(2, 8, *size).contiguous(memory_format=layout).requires_grad_(with_gradient)
    assert torch.equal(max_pool_5(x), F.max_pool2d(x, 5, 1, 2))


def test_the_pool_leaves_its_input_alone_and_keeps_its_layout() -> None:
    x = torch.randn(2, 8, 9, 9).contiguous(memory_format=torch.channels_last)
    before = x.clone()
    pooled = max_pool_5(x)
    assert torch.equal(x, before)
    assert pooled.is_contiguous(memory_format=torch.channels_last)


def test_the_pool_passes_on_what_is_no_number() -> None:
    x = torch.zeros(1, 1, 9, 9)
    x[0, 0, 4, 4] = torch.nan
    assert torch.equal(max_pool_5(x).isnan(), F.max_pool2d(x, 5, 1, 2).isnan())


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_cascade_of_spp_is_three_pools_side_by_side(size: tuple[int, int]) -> None:
    block = Spp(8, 16).eval()
    x = torch.randn(2, 8, *size) - 5  # all negative: a border filled with zeros would win
    with torch.no_grad():
        entered = block.reduce(x)
        pools = [F.max_pool2d(entered, side, 1, side // 2) for side in (5, 9, 13)]
        assert torch.equal(block(x), block.restore(torch.cat((entered, *pools), dim=1)))


def test_the_gradient_of_spp_is_that_of_three_pools_side_by_side() -> None:
    block = Spp(8, 16).double()
    x = torch.randn(2, 8, 20, 20, dtype=torch.float64)
    taught, straight = x.clone().requires_grad_(), x.clone().requires_grad_()
    block(taught).square().sum().backward()
    entered = block.reduce(straight)
    pools = [F.max_pool2d(entered, side, 1, side // 2) for side in (5, 9, 13)]
    block.restore(torch.cat((entered, *pools), dim=1)).square().sum().backward()
    torch.testing.assert_close(taught.grad, straight.grad)


def test_focus_is_space_to_depth_and_a_3x3_convolution() -> None:
    focus = Focus(3, 8).double().eval()
    kernel = focus.conv.conv.weight  # (8, 3, 6, 6): tap (2i + a, 2j + b) is tap (i, j) of phase (a, b)
    phases = [(a, b) for a in (0, 1) for b in (0, 1)]
    permuted = torch.cat([kernel[:, :, a::2, b::2] for a, b in phases], dim=1)
    x = torch.randn(2, 3, 16, 24, dtype=torch.float64)
    sliced = torch.cat([x[:, :, a::2, b::2] for a, b in phases], dim=1)
    with torch.no_grad():
        textbook = focus.conv.act(focus.conv.norm(F.conv2d(sliced, permuted, padding=1)))
        torch.testing.assert_close(focus(x), textbook, rtol=1e-12, atol=1e-12)


def yolo(backbone: Backbone) -> Yolo:
    def neck(channels: tuple[int, ...], fusion: type[WeightedResidual]) -> Pan:
        return Pan(channels, fusion, width=0.125, depth=0.33)

    return Yolo(backbone, neck, WeightedResidual, Anchor, num_classes=3, attention=Cbam, head="76-19")


def as_after_training(network: nn.Module) -> nn.Module:
    """Every norm with statistics and weights of its own."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.3, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
    return network


@pytest.mark.parametrize("build", (CspDarknet, SppDarknet))
def test_a_fused_network_answers_the_same_without_a_norm(build: type[CspDarknet]) -> None:
    network = as_after_training(yolo(build(width=0.125, depth=0.33)))
    network.train()
    x = torch.rand(2, 3, 96, 64)
    fused = fold(network, x)
    with torch.no_grad():
        expected: list[Tensor] = network.eval()(x)
        found: list[Tensor] = fused(x)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    assert not [module for module in fused.modules() if isinstance(module, nn.BatchNorm2d)]
    assert [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)], "the network stays"


def test_fusing_the_concatenation_of_csp_is_exact() -> None:
    block = as_after_training(BottleneckCsp(6, 12, count=2)).double().eval()
    x = torch.randn(2, 6, 7, 5, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(fold(block, x)(x), block(x), rtol=1e-12, atol=1e-12)


def test_fusing_twice_is_fusing_once() -> None:
    x = torch.randn(1, 6, 7, 5)
    once = fold(as_after_training(BottleneckCsp(6, 12, count=1)), x)
    with torch.no_grad():
        assert torch.equal(fold(once, x)(x), once(x))
