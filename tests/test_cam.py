"""The methods named CAM: against pytorch-grad-cam, and by what their formulas promise."""

from functools import cache

import numpy as np
import pytest
import torch
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from pytorch_grad_cam.utils.svd_on_activations import get_2d_projection
from test_models import composed

from lightdet.core.errors import LightdetError
from lightdet.core.types import Subject
from lightdet.engine.load import build_model
from lightdet.explain.contract import Method
from lightdet.explain.gradient import chosen_layers
from lightdet.explain.methods import build_methods
from lightdet.model.classifier import Classifier
from lightdet.model.exported import through_file
from lightdet.model.yolo import YoloDetector
from lightdet.nn.capture import captured

ORACLES = {
    "layer_cam": LayerCAM,
    "grad_cam": GradCAM,
    "grad_cam_pp": GradCAMPlusPlus,
    "hires_cam": HiResCAM,
}
SUBJECT = Subject(1, 0.5)  # of which the logit is positive


def method(name: str, layer: str | None = None) -> Method:
    return build_methods([name], layer=layer)[name]


def unit(heat: np.ndarray) -> np.ndarray:
    """0..1: the scale of a map is its method's own."""
    return (heat - heat.min()) / (heat.max() - heat.min())


@cache
def classifier() -> Classifier:
    torch.manual_seed(3)
    with torch.inference_mode(False):  # whoever asks first
        model = build_model(composed("model=light_classifier"), 4).eval()
    assert isinstance(model, Classifier)
    return model


@cache
def images() -> torch.Tensor:
    torch.manual_seed(1)
    return torch.rand(1, 3, 64, 96)


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize("layer", [None, "backbone.blocks.1"])
def test_maps_are_those_of_pytorch_grad_cam(name: str, layer: str | None) -> None:
    ours = method(name, layer)(classifier(), images(), SUBJECT)
    network = classifier().network
    where = network.backbone.blocks[2] if layer is None else network.backbone.blocks[1]
    with ORACLES[name](network, [where]) as oracle:
        theirs = oracle(images(), [ClassifierOutputTarget(SUBJECT.label)])[0]
    assert ours.max() > 0
    np.testing.assert_allclose(unit(ours), unit(theirs), atol=1e-4)


@pytest.mark.parametrize("layer", [None, "backbone.blocks.1"])
def test_eigen_cam_is_that_of_pytorch_grad_cam_with_the_sign_of_the_map(layer: str | None) -> None:
    ours = method("eigen_cam", layer)(classifier(), images(), SUBJECT)
    with torch.no_grad(), captured(classifier().network, [layer or "attention"]) as outputs:
        classifier().network(images())
    (one,) = outputs.values()
    projection = get_2d_projection(one.numpy())
    rises = np.corrcoef(projection.ravel(), one.numpy().sum(axis=1).ravel())[0, 1] > 0
    theirs = scale_cam_image(np.maximum(projection if rises else -projection, 0), (96, 64))[0]
    np.testing.assert_allclose(unit(ours), unit(theirs), atol=1e-4)


def test_hires_cam_of_averaged_places_adds_up_to_the_logit() -> None:
    """Without negative parts, as in a network whose weights of the class are positive."""
    model = classifier()
    linear = model.network.linear
    with torch.no_grad():
        before = linear.weight.clone()
        linear.weight.abs_()
    try:
        heat = method("hires_cam")(model, images(), SUBJECT)
        logit = float((model.evidence(images(), SUBJECT) - linear.bias[SUBJECT.label]).detach())
    finally:
        with torch.no_grad():
            linear.weight.copy_(before)
    assert heat.sum() / 16**2 == pytest.approx(logit, rel=0.02)  # stride 16; enlarged, the borders count a little more


@cache
def yolo() -> YoloDetector:
    torch.manual_seed(0)
    model = build_model(composed("model=light", "width=0.0625"), 3).eval()
    assert isinstance(model, YoloDetector)
    return model


def test_evidence_of_a_box_is_the_logit_of_its_best_cell() -> None:
    with torch.no_grad():
        found = yolo().detect(images())[0]
    for index in (0, len(found.scores) // 2):
        box = tuple(found.boxes_xyxy[index].tolist())
        subject = Subject(int(found.labels[index]), float(found.scores[index]), box)
        logit = yolo().evidence(images(), subject)
        assert logit.requires_grad
        assert float(logit.sigmoid()) >= subject.score - 1e-6
    assert float(yolo().evidence(images(), _best()).sigmoid()) == pytest.approx(_best().score, abs=1e-6)


def _best() -> Subject:
    with torch.no_grad():
        found = yolo().detect(images())[0]
    return Subject(int(found.labels[0]), float(found.scores[0]), tuple(found.boxes_xyxy[0].tolist()))


@pytest.mark.parametrize("name", [*ORACLES, "eigen_cam", "input_gradient"])
def test_a_box_is_explained(name: str) -> None:
    heat = method(name)(yolo(), images(), _best())
    assert heat.shape == (64, 96) and heat.dtype == np.float32
    assert (heat >= 0).all() and (heat.max() > 0 or "grad_cam" in name)  # a mean gradient may be negative everywhere


def test_the_explanation_of_a_box_is_around_it() -> None:
    """LayerCAM weighs each place by its own gradient, which only the cells around the box have."""
    left, top, right, bottom = _best().box_xyxy or (0, 0, 0, 0)
    heat = method("layer_cam")(yolo(), images(), _best())
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert left - 32 <= column <= right + 32 and top - 32 <= row <= bottom + 32


def test_the_gradient_of_the_image_is_that_of_small_steps() -> None:
    model = build_model(composed("model=light_classifier"), 4).eval().double()
    image = images().double()
    heat = method("input_gradient")(model, image, SUBJECT)
    at = (slice(None), slice(None), 20, 30)
    steps = []
    for channel in range(3):
        moved = image.clone()
        moved[0, channel, 20, 30] += 1e-5
        with torch.no_grad():
            steps.append(abs(float(model.evidence(moved, SUBJECT) - model.evidence(image, SUBJECT))) / 1e-5)
    assert image[at].shape == (1, 3)
    assert heat[20, 30] == pytest.approx(max(steps), rel=1e-3)


@pytest.mark.parametrize("name", ["layer_cam", "eigen_cam"])
def test_an_unknown_layer_is_refused(name: str) -> None:
    with pytest.raises(LightdetError, match="layer nick: not in this network; one of backbone"):
        method(name, "nick")(classifier(), images(), SUBJECT)


def test_a_layer_that_is_no_map_is_refused() -> None:
    with pytest.raises(LightdetError, match="linear: its output is no feature map"):
        method("layer_cam", "linear")(classifier(), images(), SUBJECT)


def test_a_model_without_gradient_is_told_what_remains() -> None:
    model = build_model(composed("model=ssdlite_mobilenetv2", "model.network.pretrained_backbone=false"), 3).eval()
    with pytest.raises(LightdetError, match="take --method rise"):
        method("layer_cam")(model, images(), Subject(0, 0.5, (0.0, 0.0, 9.0, 9.0)))


@pytest.mark.parametrize(
    ("names", "words", "layer", "reason"),
    [
        (["layercam"], [], None, "--method layercam: one of .*did you mean layer_cam"),
        (["input_gradient"], [], "neck", "--layer neck: input_gradient looks at no layer"),
        (["layer_cam"], ["explain.layer_cam.leyer=neck"], None, "explain.layer_cam.leyer"),
    ],
)
def test_a_wrong_choice_of_methods_is_refused(
    names: list[str], words: list[str], layer: str | None, reason: str
) -> None:
    with pytest.raises(LightdetError, match=reason):
        build_methods(names, words, None, layer)


def test_an_exported_file_is_explained_from_outside_alone() -> None:
    model = through_file(classifier(), lambda pixels, names: [np.zeros((len(pixels), 4), np.float32)], 3, False)
    for layer in (None, "network"):
        with pytest.raises(LightdetError, match="neither layers nor a gradient; take --method rise"):
            chosen_layers(model, layer)
