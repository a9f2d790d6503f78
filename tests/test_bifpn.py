"""Fast normalised fusion and the bidirectional pyramid that is made of it."""

import pytest
import torch
from torch import Tensor, nn

from lightdet.fusion.fast_normalized import FastNormalized
from lightdet.fusion.plain import Plain
from lightdet.neck.bifpn import BiFpn
from lightdet.nn.weighted_sum import FastNormalizedSum


def pyramid(channels: tuple[int, int, int] = (16, 24, 40), size: int = 8) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.rand(2, c, size >> level, size >> level) for level, c in enumerate(channels)]


def test_worked_by_hand() -> None:
    fusion = FastNormalized(channels=1)
    with torch.no_grad():
        fusion.sum.weights.copy_(torch.tensor([1.0, 3.0]))
    fused = fusion(torch.full((1, 1, 2, 2), 2.0), torch.full((1, 1, 2, 2), 6.0))
    assert fused.flatten().tolist() == pytest.approx([(1 * 2 + 3 * 6) / (1 + 3 + 1e-4)] * 4)


def test_shares_are_normalised_and_never_negative() -> None:
    node = FastNormalizedSum(3)
    assert node.shares().tolist() == pytest.approx([1 / 3] * 3, abs=1e-4)
    with torch.no_grad():
        node.weights.copy_(torch.tensor([2.0, -5.0, 6.0]))
    assert node.shares().tolist() == pytest.approx([0.25, 0.0, 0.75], abs=1e-4)
    maps = [torch.rand(1, 2, 3, 3) for _ in range(3)]
    torch.testing.assert_close(node(*maps), (0.25 * maps[0] + 0.75 * maps[2]) * 8 / (8 + 1e-4))


def test_the_numbers_of_maps_and_weights_have_to_agree() -> None:
    with pytest.raises(ValueError):
        FastNormalizedSum(3)(torch.zeros(1), torch.zeros(1))


@pytest.mark.parametrize("repeats", (1, 3))
def test_shapes_channels_and_gradient(repeats: int) -> None:
    neck = BiFpn((16, 24, 40), Plain, width=0.0625, repeats=repeats)
    features = [feature.requires_grad_() for feature in pyramid()]
    outputs = neck(features)
    assert neck.channels == (16, 16, 16)
    assert [tuple(output.shape) for output in outputs] == [(2, 16, 8, 8), (2, 16, 4, 4), (2, 16, 2, 2)]
    sum((output * torch.rand_like(output)).sum() for output in outputs).backward()
    assert all(feature.grad is not None and feature.grad.abs().sum() > 0 for feature in features)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in neck.parameters())


def test_every_level_hears_of_every_other_within_one_layer() -> None:
    neck = BiFpn((16, 24, 40), Plain, width=0.0625, repeats=1).eval()
    features = pyramid()
    with torch.no_grad():
        before = neck(features)
        for changed in range(3):
            altered = [feature + (level == changed) for level, feature in enumerate(features)]
            after = neck(altered)
            assert all(not torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_the_fusion_stands_behind_the_last_layer_on_the_coarser_grids() -> None:
    class Shallow(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()

        def forward(self, deep: Tensor, shallow: Tensor) -> Tensor:
            assert deep.shape == shallow.shape
            return shallow

    neck = BiFpn((16, 24, 40), Shallow, width=0.0625, repeats=1).eval()  # type: ignore[arg-type]
    features = pyramid()
    with torch.no_grad():
        _, p4, p5 = neck(features)
        assert torch.equal(p4, neck.enter[1](features[1])) and torch.equal(p5, neck.enter[2](features[2]))
