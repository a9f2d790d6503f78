"""Folding BatchNorm: every preset answers the same without one, and nothing is folded that must not be."""

from pathlib import Path

import pytest
import torch
from test_models import PRESETS, batch, composed, small
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from lightdet.engine.load import build_model
from lightdet.model.detector import Detector
from lightdet.model.folded import folded
from lightdet.nn.fold import fold

SIZE = 64  # px


def norms(module: nn.Module) -> list[nn.Module]:
    return [part for part in module.modules() if isinstance(part, nn.BatchNorm2d | FrozenBatchNorm2d)]


def as_after_training(network: nn.Module, images: Tensor) -> nn.Module:
    """Every norm with weights of its own and the statistics of real maps, moved a little."""
    for norm in norms(network):
        assert isinstance(norm, nn.BatchNorm2d)
        nn.init.uniform_(norm.weight, 0.5, 1.0)
        nn.init.normal_(norm.bias, std=0.1)
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(images)
        for norm in norms(network):
            norm.running_mean += 0.1 * torch.randn_like(norm.running_mean) * norm.running_var.sqrt()
            norm.running_var *= torch.empty_like(norm.running_var).uniform_(0.7, 1.4)
    return network


def preset(model: str) -> Detector:
    torch.manual_seed(0)
    few = ["model.network.proposals=20"] if model == "faster_rcnn" else []
    words = [f"model={model}", f"image_size={SIZE}", *small(f"model={model}"), *few]
    return build_model(composed(*words), 6)


@pytest.mark.parametrize("model", PRESETS)
def test_every_preset_answers_the_same_without_a_norm(model: str) -> None:
    detector = preset(model)
    images, _ = batch(SIZE)
    if model != "faster_rcnn":  # whose heads compute in float32; elsewhere rounding is out of the way
        detector, images = detector.double(), images.double()
    network = as_after_training(detector.network, torch.cat((images, images.flip(3), images.flip(2))))
    there = len(norms(network))
    answer = folded(detector, SIZE)
    assert there > 0 or model == "ssd", "the VGG of SSD has no norm"
    assert not norms(answer.network)
    assert len(norms(detector.network)) == there and network.training, "the detector stays as it was"
    with torch.no_grad():
        expected: list[Tensor] = network.eval()(images)
        found: list[Tensor] = answer.network(images)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape and one.isfinite().all()
        assert (one - other).abs().max() < 1e-4 * max(1.0, float(other.abs().max()))


def test_the_activation_inside_a_norm_of_timm_stays() -> None:
    layers = pytest.importorskip("timm.layers")
    block = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), layers.BatchNormAct2d(4, act_layer=nn.SiLU))
    images = torch.randn(2, 3, 6, 6)
    as_after_training(block, images).eval()
    folded = fold(block, images)
    assert not norms(folded) and [part for part in folded.modules() if isinstance(part, nn.SiLU)]
    with torch.no_grad():
        torch.testing.assert_close(folded(images), block(images), rtol=1e-5, atol=1e-5)


def test_frozen_norms_fold_too() -> None:
    block = nn.Sequential(nn.Conv2d(3, 2, 1), FrozenBatchNorm2d(2))
    for buffer in block[1].buffers():
        nn.init.uniform_(buffer, 0.5, 1.5)
    images = torch.randn(1, 3, 4, 4)
    folded = fold(block, images)
    assert not norms(folded)
    with torch.no_grad():
        torch.testing.assert_close(folded(images), block(images), rtol=1e-5, atol=1e-5)


class Own(nn.BatchNorm2d):
    """Does more than its base."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) + 1


class Wired(nn.Module):
    """A convolution and a norm whose attributes stand beside each other, wired in one of several ways."""

    def __init__(self, wiring: str) -> None:
        super().__init__()
        self.wiring = wiring
        self.conv = nn.Conv2d(3, 3, 1, bias=False)
        self.norm: nn.Module = Own(3) if wiring == "subclass" else nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> list[Tensor]:
        between = self.conv(x)
        match self.wiring:
            case "norm first":
                return [self.conv(self.norm(x))]
            case "seen by another":
                return [self.norm(between) + between]
            case "given out":
                return [self.norm(between), between]
            case "run twice":
                return [self.norm(self.conv(between))]
            case "changed on the way":
                return [self.norm(between.relu_())]
        return [self.norm(between)]


@pytest.mark.parametrize(
    ("wiring", "left"),
    [
        ("straight", 0),
        ("norm first", 1),
        ("seen by another", 1),
        ("given out", 1),
        ("run twice", 1),
        ("changed on the way", 1),
        ("subclass", 1),
    ],
)
def test_only_a_norm_that_alone_takes_a_convolution_is_folded(wiring: str, left: int) -> None:
    network, images = Wired(wiring), torch.randn(2, 3, 4, 4)
    as_after_training(network, images).eval()
    folded = fold(network, images)
    assert len(norms(folded)) == left
    with torch.no_grad():
        for one, other in zip(folded(images), network(images), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_prediction_uses_the_folded_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import lightdet.engine.predictor
    from lightdet.engine.load import LoadedRun

    detector = preset("yolov5n")
    as_after_training(detector.network, batch(SIZE)[0])
    monkeypatch.setattr(
        lightdet.engine.predictor,
        "load_run",
        lambda *_, **__: LoadedRun(detector.eval(), ("a",), SIZE, composed(), 0, None),
    )
    used = lightdet.engine.predictor.load_predictor(tmp_path, threshold=0.5).model
    assert not norms(used) and norms(detector)
