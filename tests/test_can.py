"""Complementary attention, worked by hand."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from lightdet.attention.can import Can
from lightdet.attention.cbam import Cbam
from lightdet.attention.coord import Coord
from lightdet.attention.eca import Eca
from lightdet.attention.se import Se
from lightdet.core.errors import LightdetError


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def one_channel(faithful: bool) -> Can:
    """Channel gate sigmoid(2 sigmoid(mean / 2 - max + 1.5)); spatial gate sigmoid(mean + max over the channels)."""
    block = Can(1, kernel=1, faithful=faithful)
    with torch.no_grad():
        squeeze, excite = block.mlp[0], block.mlp[2]
        assert isinstance(squeeze, nn.Linear) and isinstance(excite, nn.Linear)
        squeeze.weight.copy_(torch.tensor([[0.5, -1.0]]))
        squeeze.bias.fill_(1.5)
        excite.weight.fill_(2.0)
        excite.bias.zero_()
        block.spatial.weight.fill_(1.0)
        assert block.spatial.bias is not None
        block.spatial.bias.zero_()
    return block


@pytest.mark.parametrize("faithful", (False, True))
def test_worked_by_hand(faithful: bool) -> None:
    x = torch.tensor([[[[1.0, 3.0]]]])  # mean 2, max 3: 0.5 * 2 - 3 + 1.5 = -0.5
    gate = sigmoid(2 * sigmoid(-0.5))
    if faithful:
        gate = sigmoid(gate)
    expected = [value * gate * sigmoid(2 * value * gate) for value in (1.0, 3.0)]
    assert one_channel(faithful)(x).flatten().tolist() == pytest.approx(expected)


def test_the_faithful_channel_gate_cannot_switch_a_channel_off() -> None:
    x = torch.rand(2, 4, 5, 5)
    for faithful, low, high in ((False, 0.0, 1e-6), (True, 0.5, 0.5 + 1e-6)):
        block = Can(4, faithful=faithful)
        with torch.no_grad():
            block.mlp[2].bias.fill_(-60.0)
            block.spatial.weight.zero_()
            block.spatial.bias.fill_(60.0)
        share = block(x) / x
        assert (share >= low - 1e-6).all() and (share <= high).all()


def test_mean_and_maximum_have_weights_of_their_own() -> None:
    torch.manual_seed(0)
    block, x = Can(8), torch.rand(2, 8, 6, 7)
    y = block(x)
    assert y.shape == x.shape
    y.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in block.parameters())
    assert block.mlp[0].weight.shape == (8, 16)


@pytest.mark.parametrize("attention", [Can, Cbam, Eca])
def test_a_kernel_without_a_middle_is_refused(attention: Callable[..., nn.Module]) -> None:
    assert attention(8, kernel=5)(torch.rand(1, 8, 6, 6)).shape == (1, 8, 6, 6)
    with pytest.raises(LightdetError, match="kernel=4: give an odd number"):
        attention(8, kernel=4)


@pytest.mark.parametrize("attention", [Se, Cbam, Coord])
@pytest.mark.parametrize("reduction", [0, -1, 2.5])
def test_a_reduction_that_is_none_is_refused(attention: Callable[..., nn.Module], reduction: float) -> None:
    assert attention(8, reduction=100)(torch.rand(2, 8, 6, 6)).shape == (2, 8, 6, 6)
    with pytest.raises(LightdetError, match=rf"attention: reduction={reduction}: give a whole number, 1 or more"):
        attention(8, reduction=reduction)
