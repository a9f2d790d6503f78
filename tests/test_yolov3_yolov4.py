"""YOLOv3, YOLOv4 and the sizes of YOLOv5 as composed: parameters, spellings, presets, folding."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hydra.errors import HydraException
from targets import target
from test_models import composed
from torch import Tensor, nn

from lightdet.engine.load import build_model
from lightdet.neck.bricks import ConvSet
from lightdet.nn.fold import fold
from lightdet.ops.anchors import YOLOV4_ANCHORS


def parameters(*overrides: str, num_classes: int = 6) -> int:
    with torch.device("meta"):  # nothing is allocated: only counted
        return sum(p.numel() for p in build_model(composed(*overrides), num_classes).network.parameters())


def test_parameters_of_yolov5_by_its_two_multipliers() -> None:
    counts = {name: parameters(f"model=yolov5{name}") for name in "nsml"}
    assert counts["s"] == 7_268_579
    assert counts["m"] == pytest.approx(21_260_000, rel=0.03)  # Huang 2024, Table 3
    assert counts == {"n": 1_830_819, "s": 7_268_579, "m": 21_506_019, "l": 47_420_259}


def test_parameters_of_yolov3_and_yolov4() -> None:
    three, four = parameters("model=yolov3"), parameters("model=yolov4")
    assert three == pytest.approx(62_380_000, rel=0.03)  # Huang 2024, Table 3; its YOLOv4 row repeats the operations
    assert (three, four) == (61_550_659, 63_964_611)
    of_coco = [parameters(f"model={model}", num_classes=80) for model in ("yolov3", "yolov4")]
    assert of_coco == [61_949_149, 64_363_101]  # trained parameters of the published models


@pytest.mark.parametrize("model", ["yolov3", "yolov4"])
def test_the_short_spellings_of_the_anchor_yolos_work(model: str) -> None:
    words = ("attention=cbam", "head=76-19", "fusion=weighted_residual", "loss/box=eiou", "loss/class=focal")
    torch.manual_seed(0)
    detector = build_model(composed(f"model={model}", "width=0.0625", "depth=0.25", *words), 3).train()
    assert list(detector.network.attention) == ["76", "19"]
    assert detector.network.neck.fuse5.gate_logit.shape == (1, 1, 1, 1)
    terms = detector.losses(torch.rand(2, 3, 64, 64), [target([[5.0, 5, 40, 30]], [2]), target([], [])])
    torch.stack(tuple(terms.values())).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in detector.parameters())


def test_presets_are_what_they_are_called() -> None:
    three, four = (composed(f"model={model}").model for model in ("yolov3", "yolov4"))
    assert (three.criterion.ignore_iou, four.criterion.ignore_iou) == (0.5, 0.7)
    assert three.criterion.box_loss._target_.endswith("SquaredOffsets")
    assert four.criterion.box_loss._target_.endswith("Ciou")
    assert three.criterion.assigner._target_.endswith("BestAnchor")
    assert four.criterion.assigner.iou_threshold == 0.213
    assert four.network.predictor.centre_scale == [1.2, 1.1, 1.05] and "anchors" not in three.network.predictor
    detector = build_model(composed("model=yolov4", "width=0.0625"), 3)
    assert torch.equal(detector.network.predictor.anchors_wh, torch.tensor(YOLOV4_ANCHORS))
    backbone = {type(m) for m in detector.network.backbone.modules()}
    neck = {type(m) for m in detector.network.neck.modules()}
    assert nn.Mish in backbone and nn.LeakyReLU not in backbone and nn.LeakyReLU in neck and nn.Mish not in neck
    overridden = composed("model=yolov4", "neck=pan", "loss/box=siou", "assigner=ratio", "predictor=anchor")
    assert "anchors" not in overridden.model.network.predictor


@pytest.mark.parametrize("word", ["model.criterion.ignore_iou=0.5", "model.network.predictor.centre_scale=[1,1,1]"])
def test_a_knob_that_a_model_lacks_is_refused(word: str) -> None:
    with pytest.raises(HydraException):
        composed("model=yolov5s", word)


@pytest.mark.parametrize("model", ["yolov3", "yolov4"])
def test_a_fused_network_answers_the_same_without_a_norm(model: str) -> None:
    torch.manual_seed(0)
    network = build_model(composed(f"model={model}", "width=0.0625", "depth=0.25"), 3).network
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
    x = torch.rand(1, 3, 64, 96)
    fused = fold(network, x)
    with torch.no_grad():
        expected: list[Tensor] = network.eval()(x)
        for a, b in zip(fused(x), expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    assert not [module for module in fused.modules() if isinstance(module, nn.BatchNorm2d)]


def test_the_set_of_five_is_the_published_one() -> None:
    kernels = [m.kernel_size[0] for m in ConvSet(24, 8).modules() if isinstance(m, nn.Conv2d)]
    widths = [m.out_channels for m in ConvSet(24, 8).modules() if isinstance(m, nn.Conv2d)]
    assert (kernels, widths) == ([1, 3, 1, 3, 1], [8, 16, 8, 16, 8])
    x = torch.randn(1, 24, 5, 7)
    assert F.relu(ConvSet(24, 8)(x)).shape == (1, 8, 5, 7)
