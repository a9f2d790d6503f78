"""Backbones of timm whose maps or parameters are not like those of the usual ones. Nothing is fetched."""

from typing import Any

import pytest
import timm
import torch
from test_models import yolo
from torch import Tensor, nn

from lightdet.backbone.timm import Timm
from lightdet.core.errors import LightdetError

SWIN = "swin_tiny_patch4_window7_224"


@pytest.fixture(scope="module")
def swin() -> Timm:
    return Timm(SWIN)


def test_maps_with_the_channels_at_their_end_are_turned(swin: Timm) -> None:
    maps = swin.eval()(torch.rand(1, 3, 224, 224))
    assert [tuple(one.shape) for one in maps] == [(1, 192, 28, 28), (1, 384, 14, 14), (1, 768, 7, 7)]
    own = swin.features(torch.rand(1, 3, 224, 224))
    assert tuple(own[swin.levels[0]].shape) == (1, 28, 28, 192), "or nothing had to be turned"


def test_a_size_that_a_network_does_not_take_is_one_line(swin: Timm) -> None:
    with pytest.raises(LightdetError, match=rf"backbone.name={SWIN}: takes no images of 64 x 96 px") as refused:
        swin(torch.rand(1, 3, 64, 96))
    assert "\n" not in str(refused.value)


def test_parameters_that_no_map_depends_on_are_not_trained() -> None:
    """Several ranks would wait for their gradients, and stop at the second step."""
    backbone = Timm("hrnet_w18_small").train()
    trained = [p for p in backbone.parameters() if p.requires_grad]
    idle = {name.split(".")[1] for name, p in backbone.named_parameters() if not p.requires_grad}
    assert "incre_modules" in idle and len(trained) > 100, "those of the map at stride 4 alone"
    torch.stack([one.mean() for one in backbone(torch.rand(2, 3, 64, 64))]).sum().backward()
    assert all(p.grad is not None for p in trained)


def test_a_usual_network_is_trained_as_a_whole_and_left_as_it_was() -> None:
    torch.manual_seed(0)
    backbone = yolo("backbone=timm", "width=0.125").network.backbone
    assert all(p.requires_grad and p.grad is None for p in backbone.parameters())
    assert all(part.training for part in backbone.modules())
    counts = [value for name, value in backbone.state_dict().items() if name.endswith("num_batches_tracked")]
    assert len(counts) > 10 and not any(counts)


def test_maps_that_are_not_as_described_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    real = timm.create_model

    class Odd(nn.Module):
        """Gives its maps as rows of tokens."""

        def __init__(self) -> None:
            super().__init__()
            self.inside = real("resnet10t", features_only=True)
            self.feature_info, self.pretrained_cfg = self.inside.feature_info, self.inside.pretrained_cfg

        def forward(self, images: Tensor) -> list[Tensor]:
            return [one.flatten(2).transpose(1, 2) for one in self.inside(images)]

    def created(*_: Any, **__: Any) -> Odd:
        return Odd()

    monkeypatch.setattr(timm, "create_model", created)
    with pytest.raises(LightdetError, match=r"backbone.name=odd: gives maps \[\(\d+, \d+\)") as refused:
        Timm("odd")
    assert "\n" not in str(refused.value)


def test_the_neck_fuses_maps_that_stay_in_float32_under_autocast() -> None:
    """ConvNeXt scales its residuals by parameters, so its maps are wider than what the neck makes of them."""
    torch.manual_seed(0)
    words = ("backbone=timm", "model.network.backbone.name=convnext_atto", "width=0.3125", "fusion=weighted_residual")
    network = yolo(*words).network.eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected: list[Tensor] = network(images)
        with torch.autocast("cpu", torch.bfloat16):
            assert network.backbone(images)[1].dtype == torch.float32, "or nothing had to be fitted"
            found: list[Tensor] = network(images)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.float(), other, rtol=0.05, atol=0.05)
