"""YOLOv5s on EfficientNet-B0."""

from typing import Any

import pytest
import timm
import torch
from test_models import yolo
from torch import Tensor

from lightdet.backbone.timm import Timm


def test_parameters_and_strides() -> None:
    with torch.device("meta"):
        network = yolo("model=yolov5_efficientnet").network
        maps = network.eval()(torch.empty(1, 3, 64, 64))
    assert network.backbone.channels == (40, 112, 320)
    assert network.neck.channels == (128, 256, 512)
    assert [tuple(raw.shape[-2:]) for raw in maps] == [(8, 8), (4, 4), (2, 2)]
    assert sum(p.numel() for p in network.parameters()) == 6_762_719


def test_pretrained_weights_see_images_as_they_knew_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(name: str, features_only: bool, pretrained: bool, **further: Any) -> Any:
        return create(name, features_only=features_only, **further)

    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", offline)
    for pretrained, expected in ((False, [0.5, 0.5, 0.5]), (True, [0.015 / 0.229, 0.044 / 0.224, 0.094 / 0.225])):
        backbone = Timm("resnet10t", pretrained).eval()
        seen: list[Tensor] = []
        backbone.features.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0]))
        backbone(torch.full((1, 3, 32, 32), 0.5))
        assert seen[0][0, :, 0, 0].tolist() == pytest.approx(expected, abs=1e-5)
        assert not {"mean", "std"} & set(backbone.state_dict())
