"""Methods that are no CAM: what the network lets through, black boxes, and the trivial maps."""

from typing import Any

import numpy as np
import pytest
import torch
from test_cam import classifier, images, method, unit, yolo
from test_models import composed
from torch import Tensor, nn

from lightdet.core.errors import LightdetError
from lightdet.core.types import Classification, Detections, Subject
from lightdet.engine.load import build_model
from lightdet.explain.methods import build_methods, method_names
from lightdet.explain.rise import Rise
from lightdet.model.classifier import Classifier
from lightdet.nn.contracts import GatingAttention

CORNER = (slice(0, 32), slice(0, 32))  # of an input of 96 px
BOX = Subject(0, 0.5, (8.0, 8.0, 24.0, 24.0))


class Watching(nn.Module):
    """A model that finds its class, or its box, as far as the corner is bright."""

    def __init__(self, boxes: bool) -> None:
        super().__init__()
        self.boxes = boxes
        self.calls: list[int] = []
        self.owner: list[Any] = [yolo() if boxes else classifier()]  # built here, not under inference mode

    def predict(self, seen: Tensor) -> list[Any]:
        self.calls.append(len(seen))
        shares = seen[:, :, CORNER[0], CORNER[1]].mean(dim=(1, 2, 3))
        if not self.boxes:
            return [Classification(torch.stack((share, 1 - share))) for share in shares]
        box = torch.tensor([BOX.box_xyxy])
        return [Detections(box, share[None], torch.tensor([0])) for share in shares]

    def support(self, prediction: Any, subject: Subject) -> float:
        return float(self.owner[0].support(prediction, subject))


@pytest.mark.parametrize("boxes", [False, True])
def test_rise_finds_what_a_black_box_looks_at(boxes: bool) -> None:
    model: Any = Watching(boxes)
    heat = Rise(masks=200, batch=64)(model, torch.ones(1, 3, 96, 96), BOX)
    inside, outside = heat[CORNER].mean(), heat[40:, 40:].mean()
    assert inside > 4 * outside, "what changes nothing is near 0"
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert row < 40 and column < 40
    assert model.calls == [64, 64, 64, 8]


def test_rise_draws_by_its_seed() -> None:
    def drawn(seed: int) -> np.ndarray:
        return Rise(masks=8, seed=seed)(classifier(), images(), Subject(1, 0.5))

    np.testing.assert_array_equal(drawn(0), drawn(0))
    assert not np.array_equal(drawn(0), drawn(1))
    assert drawn(0).shape == (64, 96)


@pytest.mark.parametrize("word", ["explain.rise.masks=1", "explain.rise.visible=1.5", "explain.rise.batch=many"])
def test_settings_of_rise_are_judged(word: str) -> None:
    with pytest.raises(Exception, match=word.partition("=")[0]):
        build_methods(["rise"], [word])


def attended(name: str) -> Classifier:
    torch.manual_seed(2)
    model = build_model(composed("model=light_classifier", f"attention={name}"), 4).eval()
    assert isinstance(model, Classifier)
    return model


@pytest.mark.parametrize("name", ["cbam", "can", "coord", "eca", "se"])
def test_the_factors_of_an_attention_are_those_it_multiplies_with(name: str) -> None:
    attention = attended(name).network.attention
    assert isinstance(attention, GatingAttention)
    x = torch.randn(2, 128, 5, 7)
    with torch.no_grad():
        torch.testing.assert_close(x * attention.gate(x), attention(x))


@pytest.mark.parametrize("name", ["cbam", "can", "coord", "eca", "se"])
def test_what_an_attention_lets_through_is_shown(name: str) -> None:
    model = attended(name)
    heat = method("attention_map")(model, images(), Subject(0, 0.5))
    assert heat.shape == (64, 96) and heat.min() >= 0 and heat.max() == pytest.approx(1, abs=0.1)
    with torch.no_grad():
        x = model.network.backbone(images())[-1]
        factors = model.network.attention.gate(x)
    expected = (factors if factors.shape[-1] > 1 else (factors * x).clamp(min=0)).mean(dim=1)[0].numpy()
    centres = heat[8::16, 8::16]  # stride 16: the middle of each place
    assert np.corrcoef(centres.ravel(), expected.ravel())[0, 1] > 0.99


@pytest.mark.parametrize(
    ("name", "reason"),
    [("bi_cam", "bilinear classifiers alone"), ("attention_map", "no attention"), ("box_centre", "predicts none")],
)
def test_what_a_model_does_not_have_is_told(name: str, reason: str) -> None:
    with pytest.raises(LightdetError, match=reason):
        method(name)(classifier(), images(), Subject(1, 0.5))


def test_bi_cam_is_the_share_of_each_place_in_the_logit() -> None:
    torch.manual_seed(2)
    model = build_model(composed("model=object_attention"), 4).eval()
    with torch.no_grad():
        places = model.network.bi_cam(images(), 1)[0].clamp(min=0).numpy()
    heat = method("bi_cam")(model, images(), Subject(1, 0.5))
    assert heat.shape == (64, 96)
    assert np.corrcoef(heat[8::16, 8::16].ravel(), places.ravel())[0, 1] > 0.99


def test_trivial_maps_are_where_they_say() -> None:
    subject = Subject(0, 0.5, (10.0, 20.0, 30.0, 60.0))
    box = method("box_centre")(classifier(), images(), subject)
    assert np.unravel_index(box.argmax(), box.shape) in [(39, 19), (40, 20), (39, 20), (40, 19)]
    assert box[40, 25] == pytest.approx(np.exp(-(1.1**2) / 2), abs=0.01), "the deviation is width / 4"
    middle = method("image_centre")(classifier(), images(), subject)
    np.testing.assert_allclose(middle, middle[::-1, ::-1], rtol=1e-5)
    image = torch.full((1, 3, 40, 40), 0.5)
    image[:, :, 12:28] = torch.linspace(0.1, 0.2, 40)  # an image between two borders of grey
    image[:, :, 18:22, 18:22] = 1
    edges = method("edges")(classifier(), image, subject)
    assert edges[17:23, 17:23].sum() > 0.8 * edges.sum(), "where the border begins is no edge"


def test_every_method_is_an_option_and_every_option_explains_something() -> None:
    names = method_names()
    assert names[0] == "layer_cam"
    assert set(build_methods(["all"])) == set(names)
    assert unit(np.array([1.0, 3.0])).tolist() == [0, 1]
