"""YOLOv5s on EfficientNet-B0."""

import torch
from test_models import yolo


def test_parameters_and_strides() -> None:
    with torch.device("meta"):
        network = yolo("model=yolov5_efficientnet").network
        maps = network.eval()(torch.empty(1, 3, 64, 64))
    assert network.backbone.channels == (40, 112, 320)
    assert network.neck.channels == (128, 256, 512)
    assert [tuple(raw.shape[-2:]) for raw in maps] == [(8, 8), (4, 4), (2, 2)]
    assert sum(p.numel() for p in network.parameters()) == 6_762_719
