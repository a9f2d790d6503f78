"""Bilinear pooling, where its logits come from (Bi-CAM), and the loss of object-level attention."""

from dataclasses import replace

import pytest
import torch
from hydra.errors import InstantiationException
from targets import target
from test_models import composed
from torch import Tensor

from lightdet.core.errors import LightdetError, underneath
from lightdet.core.types import Target
from lightdet.engine.load import build_model
from lightdet.model.object_attention import ObjectAttention, covered
from lightdet.nn.bilinear import BilinearPooling

# Two channels of a map of 2 x 2 places.
FEATURES = torch.tensor([[[1.0, 0], [0, 2]], [[0, 1], [1, 1]]], dtype=torch.float64)[None]
WEIGHTS = torch.tensor([[1.0, 2], [0, 1]], dtype=torch.float64).flatten()[None]


def pooling(normalised: bool) -> BilinearPooling:
    return BilinearPooling(8, width=2, normalised=normalised)


def build(*words: str) -> ObjectAttention:
    torch.manual_seed(0)
    built = build_model(composed("model=object_attention", "model.criterion.smoothing=0", *words), 3)
    assert isinstance(built, ObjectAttention)
    return built


def labelled(boxes: list[list[float]], label: int) -> Target:
    return replace(target(boxes, [label] * len(boxes)), class_label=label)


def test_pooled_values_by_hand() -> None:
    """z = [[1 + 4, 2], [2, 3]] / 4."""
    plain = pooling(False).pool(FEATURES)
    torch.testing.assert_close(plain, torch.tensor([[5.0, 2, 2, 3]], dtype=torch.float64) / 4)
    rooted = pooling(True).pool(FEATURES)
    expected = torch.tensor([[5.0, 2, 2, 3]], dtype=torch.float64).sqrt()
    torch.testing.assert_close(rooted, expected / expected.norm(), rtol=1e-4, atol=0)


def test_pooling_of_some_places_is_that_of_a_map_of_these_alone() -> None:
    features = torch.rand(2, 2, 4, 5)
    inside = torch.zeros(2, 4, 5)
    inside[0, :2, 1:4] = 1
    inside[1, 1:3, :3] = 0.5  # alike everywhere: the same mean
    for each in (pooling(False), pooling(True)):
        found = each.pool(features, inside)
        torch.testing.assert_close(found[:1], each.pool(features[:1, :, :2, 1:4]))
        torch.testing.assert_close(found[1:], each.pool(features[1:, :, 1:3, :3]))
        torch.testing.assert_close(each.pool(features, torch.zeros(2, 4, 5)), each.pool(features))


def test_share_of_each_place_by_hand() -> None:
    shares = pooling(False).places(FEATURES, WEIGHTS)
    torch.testing.assert_close(shares * 4, torch.tensor([[[1.0, 1], [1, 9]]], dtype=torch.float64))


@pytest.mark.parametrize("normalised", [False, True])
def test_the_sum_of_bi_cam_and_the_bias_is_the_logit(normalised: bool) -> None:
    network = build(f"model.network.pooling.normalised={normalised}").network.double().eval()
    images = torch.rand(3, 3, 64, 48, dtype=torch.float64)
    with torch.no_grad():
        logits = network(images)
        for label in range(3):
            found = network.bi_cam(images, label)
            assert found.shape == (3, 4, 3)
            summed = found.sum(dim=(1, 2)) + network.linear.bias[label]
            torch.testing.assert_close(summed, logits[:, label], rtol=0, atol=1e-9)
        each = network.bi_cam(images, torch.tensor([2, 0, 1]))
        torch.testing.assert_close(each[1], network.bi_cam(images, 0)[1])


def test_bi_cam_does_not_speak_for_a_fitted_readout() -> None:
    pytest.importorskip("sklearn")
    network, images = build("readout=logistic").network.eval(), torch.rand(6, 3, 32, 32)
    assert network.readout is not None
    with torch.no_grad():
        assert network.bi_cam(images, 0).shape == (6, 2, 2)
        network.readout.fit(network.pooled(images), torch.arange(6) % 3, 0)
        with pytest.raises(LightdetError, match="this network answers by Logistic; take rise"):
            network.bi_cam(images, 0)


def test_share_of_a_cell_that_boxes_cover() -> None:
    boxes = torch.tensor([[0.0, 0, 16, 8], [24, 8, 40, 32], [0, 0, 4, 32]])
    by_hand = torch.tensor([[0.5, 0.5, 0, 0.5, 0.5, 0], [0.5, 0, 0, 1, 1, 0]])  # cells are 16 px high, 8 px wide
    torch.testing.assert_close(covered(boxes, (2, 6), (32, 48)), by_hand)


def losses(model: ObjectAttention, images: Tensor, targets: list[Target]) -> dict[str, float]:
    return {name: value.item() for name, value in model.losses(images, targets).items()}


def test_the_loss_is_the_mean_over_the_image_and_its_object() -> None:
    model, images = build().eval(), torch.rand(2, 3, 64, 64)
    network = model.network
    targets = [labelled([[16, 0, 48, 32]], 1), labelled([[0, 0, 64, 64]], 2)]
    labels = torch.tensor([1, 2])
    with torch.no_grad():
        found = losses(model, images, targets)
        reduced = network.pooling.reduce(network.features(images))
        assert reduced.shape == (2, 64, 4, 4)
        whole = model.criterion(network(images), labels)
        alone = network.linear(network.pooling.pool(reduced[:1, :, :2, 1:3]))
        part = (model.criterion(alone, labels[:1]) + model.criterion(network(images[1:]), labels[1:])) / 2
    assert found == pytest.approx({"class": whole.item() / 2, "object": part.item() / 2}, abs=1e-5)


def test_without_boxes_the_bright_places_are_the_object() -> None:
    model, images = build("model.objects=map").eval(), torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        evidence = model.network.bi_cam(images, torch.tensor([0, 1]))
        bright = evidence > evidence.amax(dim=(1, 2), keepdim=True) / 2
        assert 0 < bright.sum() < bright.numel()
        reduced = model.network.pooling.reduce(model.network.features(images))
        part = model.criterion(model.network.judged(reduced, bright.float()), torch.tensor([0, 1]))
        boxes = [labelled([[16, 0, 48, 32]], 0), labelled([], 1)]
        assert losses(model, images, boxes)["object"] == pytest.approx(part.item() / 2, abs=1e-6)
        model.objects = "boxes"
        boxes[1] = replace(labelled([[16, 0, 48, 32]], 0), class_label=1)  # of another class than the image
        mixed = model.object_places(reduced, torch.tensor([0, 1]), boxes, images)
        assert mixed[0].sum() == 4 and torch.equal(mixed[1], bright[1].float())


def test_plain_bilinear_pooling_is_trained_on_the_image_alone() -> None:
    model, images = build("model.objects=none").eval(), torch.rand(2, 3, 64, 64)
    targets = [labelled([[16, 0, 48, 32]], 0), labelled([], 1)]
    with torch.no_grad():
        whole = model.criterion(model.network(images), torch.tensor([0, 1])).item()
    assert losses(model, images, targets) == pytest.approx({"class": whole}, abs=1e-6)


def test_every_weight_learns_from_a_grey_image_too() -> None:
    model = build()
    found = model.losses(torch.full((2, 3, 64, 64), 0.5), [labelled([], 0), labelled([], 1)])
    torch.stack(list(found.values())).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("model.objects=crop",), "model.objects=crop: one of boxes, map, none"),
        (("model.network.pooling.width=0",), "model.network.pooling: width"),
        (("model.network.pooling=null",), "its model.network.pooling must be bilinear"),
    ],
)
def test_settings_that_are_none_are_refused(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(InstantiationException) as refused:
        build(*words)
    assert said in str(underneath(refused.value))
