"""Adaptive fusion of a neck's outputs, and attentions behind a backbone."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from lightdet.attention.cbam import Cbam
from lightdet.attention.se import Se
from lightdet.backbone.attended import Attended
from lightdet.backbone.csp_layer_darknet import CspLayerDarknet
from lightdet.core.errors import LightdetError
from lightdet.fusion.weighted_residual import WeightedResidual
from lightdet.model.yolo import Yolo
from lightdet.neck.asff import Asff, Blend
from lightdet.neck.pafpn import Pafpn
from lightdet.neck.pan import Pan
from lightdet.predictor.decoupled import Decoupled

CHANNELS = (8, 16, 32)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def maps(height: int = 8, width: int = 12) -> list[Tensor]:
    return [torch.randn(2, c, height >> level, width >> level) for level, c in enumerate(CHANNELS)]


def blend(level: int) -> Blend:
    return Blend(CHANNELS, level, compress=4, activation=nn.SiLU).eval()


@pytest.mark.parametrize("level", (0, 1, 2))
@pytest.mark.parametrize("source", (0, 1, 2))
def test_a_level_that_has_all_the_weight_is_the_only_one_seen(level: int, source: int) -> None:
    module, features = blend(level), maps()
    with torch.no_grad():
        module.weigh.weight.zero_()
        module.weigh.bias.copy_(torch.tensor([100.0 * (index == source) for index in range(3)]))
        found = module(features)
        torch.testing.assert_close(found, module.expand(module.resizes[source](features[source])))
        assert found.shape == features[level].shape
        others = [one if index == source else torch.randn_like(one) for index, one in enumerate(features)]
        torch.testing.assert_close(module(others), found)


def test_equal_weights_are_the_mean_of_the_resized_maps() -> None:
    module, features = blend(1), maps()
    with torch.no_grad():
        module.weigh.weight.zero_()
        module.weigh.bias.zero_()
        resized = [resize(one) for resize, one in zip(module.resizes, features, strict=True)]
        torch.testing.assert_close(module(features), module.expand(sum(resized) / 3))


def test_weights_differ_from_place_to_place() -> None:
    # the softmax of a place sees that place alone: the left half of the inputs changes, the right half stays
    module = blend(0)
    module.expand = nn.Identity()  # type: ignore[assignment]
    features = maps(16, 16)
    changed = [one.clone() for one in features]
    changed[0][..., :8] += 3
    with torch.no_grad():
        before, after = module(features), module(changed)
    assert torch.equal(before[..., 8:], after[..., 8:])
    assert not torch.allclose(before[..., :8], after[..., :8])


def test_upwards_by_neighbours_and_downwards_by_strides() -> None:
    features = maps(8, 8)
    with torch.no_grad():
        up = blend(0).resizes[2](features[2])
        assert up.shape == (2, 8, 8, 8) and torch.equal(up[..., ::4, ::4], up[..., 3::4, 3::4])
        assert blend(2).resizes[0](features[0]).shape == (2, 32, 2, 2)
        assert [type(m).__name__ for m in blend(2).resizes[0]] == ["MaxPool2d", "ConvBnAct"]
        assert [type(m).__name__ for m in blend(1).resizes[0]] == ["ConvBnAct"]


@pytest.mark.parametrize("inner", (Pan, Pafpn))
def test_any_neck_inside_keeps_its_channels_sizes_and_fusion(inner: type[Pan]) -> None:
    neck = Asff(CHANNELS, WeightedResidual, partial(inner, width=1 / 32, depth=0.33))
    assert neck.channels == CHANNELS and isinstance(neck.inner.fuse4, WeightedResidual)
    features = [one.requires_grad_() for one in maps(8, 8)]
    found = neck(features)
    assert [one.shape for one in found] == [one.shape for one in features]
    found[2].square().sum().backward()  # the coarsest output alone
    assert all(one.grad is not None and one.grad.any() for one in features)


def test_an_attention_stands_behind_each_output_that_head_names() -> None:
    inner, images = CspLayerDarknet(width=0.125, depth=0.33), torch.rand(2, 3, 64, 64)
    attended = Attended(inner, Cbam, head="76-19").train()  # in eval mode, maps of an untrained network are all near 0
    with torch.no_grad():
        plain, found = inner(images), attended(images)
        for index, grid in ((0, "76"), (2, "19")):
            torch.testing.assert_close(found[index], attended.attention[grid](plain[index]))
            assert not torch.allclose(found[index], plain[index])
        assert torch.equal(found[1], plain[1])
        without = Attended(inner, None)
        assert all(torch.equal(a, b) for a, b in zip(without(images), plain, strict=True))
    assert attended.channels == inner.channels and attended.strides == inner.strides
    with pytest.raises(LightdetError, match="76, 38, 19"):
        Attended(inner, Cbam, head="75")


def test_both_places_of_attention_are_told() -> None:
    backbone = Attended(CspLayerDarknet(width=0.125, depth=0.33), Cbam, head=38)
    neck = partial(Pafpn, width=0.125, depth=0.33)
    network = Yolo(backbone, neck, WeightedResidual, Decoupled, num_classes=2, attention=Se, head=76)
    told = [*network.backbone.placement(), *network.attention.placement("before")]
    assert told == ["Cbam behind the backbone on grid 38", "Se before grid 76"]
