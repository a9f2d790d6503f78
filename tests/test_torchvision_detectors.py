"""Faster R-CNN, SSD and SSDLite answer as torchvision does, on the same weights and without its hidden resize."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import torch
from test_models import batch, composed
from torch import Tensor, nn

from lightdet.core.errors import LightdetError
from lightdet.core.types import Target
from lightdet.engine.load import build_model
from lightdet.metric.footprint import footprint
from lightdet.model.torchvision import TorchvisionDetector
from lightdet.nn.mode import in_mode

MODELS = ("faster_rcnn", "ssd", "ssdlite_mobilenetv2")
SIZE = 64  # px
PROPOSALS = 300


def built(name: str, *overrides: str) -> TorchvisionDetector:
    detector = build_model(composed(f"model={name}", *overrides), 6)
    assert isinstance(detector, TorchvisionDetector)
    return detector


@cache
def _shared(name: str) -> TorchvisionDetector:
    torch.manual_seed(0)
    few = [f"model.network.proposals={PROPOSALS}"] if name == "faster_rcnn" else []
    detector = built(name, f"image_size={SIZE}", *few)
    if name == "faster_rcnn":
        detector.network.model.roi_heads.fg_bg_sampler.batch_size_per_image = 32  # instead of 512: quick
    norms = [part for part in detector.modules() if isinstance(part, nn.BatchNorm2d)]
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        detector.network(batch(SIZE)[0])  # statistics of real maps, and ...
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
    model = detector.network.model  # ... scores that are clearly apart, so that rounding cannot reorder them
    classifier = model.roi_heads.box_predictor.cls_score if name == "faster_rcnn" else model.head.classification_head
    for parameter in classifier.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=1 / parameter[0].numel() ** 0.5)
    return detector


@pytest.fixture
def detector(request: pytest.FixtureRequest) -> Iterator[TorchvisionDetector]:
    """Built once; in train mode, without gradients and with the weights and statistics it was built with."""
    detector = _shared(request.param).train()
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    yield detector
    detector.load_state_dict(before)
    detector.zero_grad(set_to_none=True)


every_model = pytest.mark.parametrize("detector", MODELS, indirect=True)
only_faster_rcnn = pytest.mark.parametrize("detector", ["faster_rcnn"], indirect=True)
only_ssdlite = pytest.mark.parametrize("detector", ["ssdlite_mobilenetv2"], indirect=True)


def as_torchvision_wants(targets: list[Target]) -> list[dict[str, Tensor]]:
    return [{"boxes": target.boxes_xyxy, "labels": target.labels + 1} for target in targets]


def torchvision_itself(detector: TorchvisionDetector) -> Any:
    """The torchvision model on the same weights, with the same selection."""
    model = detector.network.model
    for part in (model, getattr(model, "roi_heads", None)):
        if part is not None:
            part.score_thresh, part.nms_thresh, part.detections_per_img = 0.001, 0.6, 100
    return model


@every_model
def test_losses_are_those_of_torchvision(detector: TorchvisionDetector) -> None:
    images, targets = batch(SIZE)
    model = torchvision_itself(detector)
    for training in (True, False):
        detector.train(training)
        torch.manual_seed(5)
        for _ in images:  # torchvision draws one of the sizes it may resize to, for every image
            torch.empty(1).uniform_()
        ours = detector.losses(images, targets)
        torch.manual_seed(5)
        model.train()  # its forward gives losses in train mode alone
        with in_mode(training, model.backbone, *([] if hasattr(model, "roi_heads") else [model.head])):
            theirs = model(list(images), as_torchvision_wants(targets))
        assert ours.keys() == theirs.keys() and len(ours) >= 2
        for name, value in theirs.items():
            torch.testing.assert_close(ours[name], value, msg=f"{name}, training={training}")


@every_model
def test_detections_are_those_of_torchvision(detector: TorchvisionDetector) -> None:
    images, _ = batch(SIZE)
    detector.eval()
    with torch.no_grad():
        ours = detector.detect(images)
        theirs = torchvision_itself(detector)(list(images))
    for one, other in zip(ours, theirs, strict=True):
        assert 10 < len(one.scores) <= 100
        torch.testing.assert_close(one.scores, other["scores"])
        first, second = (  # as sets: equal scores may come in any order
            torch.cat((boxes, 100 * labels[:, None], 100 * scores[:, None]), dim=1)
            for boxes, labels, scores in (
                (one.boxes_xyxy, one.labels + 1, one.scores),
                (other["boxes"], other["labels"], other["scores"]),
            )
        )
        distance = (first[:, None] - second).abs().amax(dim=2)
        assert distance.amin(dim=0).max() < 1e-2 and distance.amin(dim=1).max() < 1e-2
        assert one.labels.dtype == torch.int64


@every_model
def test_what_is_given_is_what_reaches_the_backbone(detector: TorchvisionDetector) -> None:
    """By any way, torchvision's own forward included, which would have resized to 800, 300 or 320 px."""
    images, targets = batch(SIZE)
    model = detector.network.model
    seen: list[Tensor] = []
    hook = model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    try:
        detector.losses(images, targets)
        detector.detect(images)
        model.train()(list(images), as_torchvision_wants(targets))
        model.eval()(list(images))
    finally:
        hook.remove()
    mean, std = (
        torch.tensor(values)[:, None, None] for values in (model.transform.image_mean, model.transform.image_std)
    )
    assert len(seen) == 4
    for tensor in seen:
        torch.testing.assert_close(tensor, (images - mean) / std)


@every_model
def test_the_mode_changes_neither_detections_nor_what_detecting_leaves_behind(detector: TorchvisionDetector) -> None:
    images, _ = batch(SIZE)
    detector.network.model.backbone.eval()  # a mixture of modes has to survive, too
    modes = {name: part.training for name, part in detector.named_modules()}
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    with torch.no_grad():
        first = detector.detect(images)
    assert {name: part.training for name, part in detector.named_modules()} == modes
    assert all(torch.equal(before[name], value) for name, value in detector.state_dict().items())
    with torch.no_grad():
        second = detector.eval().detect(images)
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.boxes_xyxy, other.boxes_xyxy) and torch.equal(one.scores, other.scores)


@every_model
def test_losses_in_eval_mode_have_the_same_terms_and_leave_the_statistics_alone(detector: TorchvisionDetector) -> None:
    images, targets = batch(SIZE)
    trained = detector.losses(images, targets).keys()
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    terms = detector.eval().losses(images, targets)
    assert terms.keys() == trained and all(term.isfinite() for term in terms.values())
    assert not any(part.training for part in detector.modules())
    assert all(torch.equal(before[name], value) for name, value in detector.state_dict().items())


@every_model
def test_images_without_a_box(detector: TorchvisionDetector) -> None:
    images, (_, empty) = batch(SIZE)
    terms = detector.losses(images, [empty, empty])
    torch.stack(tuple(terms.values())).sum().backward()
    assert all(term.isfinite() for term in terms.values())
    assert all(p.grad.isfinite().all() for p in detector.parameters() if p.grad is not None)


@every_model
def test_training_is_deterministic_and_its_random_numbers_are_torchs(detector: TorchvisionDetector) -> None:
    """A checkpoint keeps torch's random state: with it, a resumed step samples what the undisturbed one did."""
    images, targets = batch(SIZE)
    detector.eval()  # the same statistics in both passes
    state = torch.get_rng_state()
    gradients: list[dict[str, Tensor]] = []
    torch.use_deterministic_algorithms(True)
    try:
        for _ in range(2):
            torch.set_rng_state(state)
            detector.zero_grad(set_to_none=True)
            torch.stack(tuple(detector.losses(images, targets).values())).sum().backward()
            gradients.append({name: p.grad.clone() for name, p in detector.named_parameters() if p.grad is not None})
    finally:
        torch.use_deterministic_algorithms(False)
    first, second = gradients
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@every_model
def test_a_label_comes_back_as_the_one_that_was_taught(detector: TorchvisionDetector) -> None:
    """A network whose logits fit the truth perfectly finds the truth's labels."""
    images, _ = batch(SIZE)
    raw = detector.network(images)
    logits = torch.zeros_like(raw[0])
    for label in range(6):
        logits[:, label, label + 1] = 20.0
    _, scores = detector.network.decode([logits, *raw[1:]])
    for label in range(6):
        place = label * (6 if scores.shape[1] > logits.shape[1] else 1)
        per_class = scores[0, place : place + (6 if scores.shape[1] > logits.shape[1] else 1)].amax(dim=0)
        assert per_class.argmax() == label and per_class[label] > 0.99


@every_model
def test_the_network_is_the_whole_computation_on_the_detectors_own_weights(detector: TorchvisionDetector) -> None:
    state = detector.state_dict()
    assert len({value.data_ptr() for value in state.values() if value.numel()}) == len(
        [value for value in state.values() if value.numel()]
    )
    assert sum(p.numel() for p in detector.network.parameters()) == sum(p.numel() for p in detector.parameters())
    images, _ = batch(SIZE)
    raw = detector.network(images)
    assert all(isinstance(tensor, Tensor) and tensor.dtype == torch.float32 for tensor in raw)
    sum(tensor.square().mean() for tensor in raw).backward()  # what choosing a precision does
    convolution = next(p for p in detector.network.model.backbone.parameters() if p.ndim == 4)
    assert convolution.grad is not None and convolution.grad.abs().sum() > 0


@only_faster_rcnn
def test_operations_do_not_depend_on_what_the_proposals_are(detector: TorchvisionDetector) -> None:
    images, _ = batch(SIZE)
    heads = 2 * PROPOSALS * (256 * 7 * 7 * 1024 + 1024 * 1024 + 1024 * 7 * 5)
    first = footprint(detector.network, SIZE)
    with torch.no_grad():
        proposals = detector.network(images)[2]
        detector.network.model.rpn.head.bbox_pred.bias.add_(1.0)
        others = detector.network(images)[2]
    empty = [(boxes[..., 2:] <= boxes[..., :2]).all(dim=-1).sum() for boxes in (proposals, others)]
    assert empty[0] > 0 and empty[0] != empty[1]  # another number was filled up
    second = footprint(detector.network, SIZE)
    assert first == second and first["gflops"] * 1e9 > heads


@only_ssdlite
def test_one_image_cannot_be_normalised_over_the_batch(detector: TorchvisionDetector) -> None:
    images, targets = batch(SIZE)
    with pytest.raises(LightdetError, match=r"data\.batch_size=1"):
        detector.losses(images[:1], targets[:1])
    detector.eval().losses(images[:1], targets[:1])


@every_model
def test_boxes_are_computed_in_float32_under_autocast(detector: TorchvisionDetector) -> None:
    images, targets = batch(SIZE)
    with torch.autocast("cpu", torch.bfloat16):
        raw = detector.network(images)
        terms = detector.losses(images, targets)
    assert all(tensor.dtype == torch.float32 for tensor in raw)
    assert all(term.isfinite() for term in terms.values())
    boxes = raw[2].flatten(0, -2)
    assert (boxes != boxes.bfloat16().float()).any()
