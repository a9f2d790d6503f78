"""Faster R-CNN, SSD and SSDLite answer as torchvision does, on the same weights and without its hidden resize."""

import urllib.error
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import torch
from hydra.errors import ConfigCompositionException, InstantiationException
from omegaconf import OmegaConf
from test_models import batch, composed
from torch import Tensor, nn
from torchvision.models import MobileNet_V2_Weights, mobilenet_v2
from torchvision.models.detection import fasterrcnn_resnet50_fpn, ssd300_vgg16
from torchvision.models.detection.image_list import ImageList

from lightdet.core.errors import LightdetError
from lightdet.core.types import Target
from lightdet.data.dataset import ImageDataset
from lightdet.data.loader import BatchLoader
from lightdet.data.sampler import EpochBatchSampler
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


def test_a_loader_leaves_the_global_random_numbers_alone() -> None:
    """Or a run resumed inside an epoch, which opens its loader anew, would sample other regions."""

    class Blank(ImageDataset):
        def __init__(self) -> None: ...

        def __getitem__(self, key: tuple[int, int]) -> Any:
            return torch.zeros(8, 8, 3, dtype=torch.uint8).numpy(), None

    loader = BatchLoader(Blank(), EpochBatchSampler(4, 2, 0, True, True), 0, lambda: (0, 0))
    before = torch.get_rng_state()
    assert len(list(loader)) == 2
    assert torch.equal(torch.get_rng_state(), before)


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


def test_the_wide_layers_of_a_region_take_the_number_format_of_the_training() -> None:
    detector = built("faster_rcnn")
    images, targets = batch(SIZE)
    formats: list[torch.dtype] = []
    head = detector.network.model.roi_heads.box_head
    head.register_forward_hook(lambda layers, given, made: formats.append(made.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        detector.network(images)
        detector.losses(images, targets)
    detector.losses(images, targets)
    assert formats == [torch.bfloat16, torch.bfloat16, torch.float32]


def test_parameters_are_those_of_the_papers_rows() -> None:
    """Huang 2024, Table 3: Faster R-CNN 42.52 M, SSD 24.69 M. Nothing is frozen."""
    with torch.device("meta"):
        models = {name: built(name) for name in MODELS}
        originals = {
            "faster_rcnn": fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=7),
            "ssd": ssd300_vgg16(weights=None, weights_backbone=None, num_classes=7),
        }
    counts = {name: sum(p.numel() for p in model.parameters()) for name, model in models.items()}
    assert counts == {"faster_rcnn": 41_377_906, "ssd": 24_414_218, "ssdlite_mobilenetv2": 3_136_076}
    assert abs(counts["faster_rcnn"] / 42.52e6 - 1) < 0.03 and abs(counts["ssd"] / 24.69e6 - 1) < 0.03
    assert all(p.requires_grad for model in models.values() for p in model.parameters())
    for name, original in originals.items():  # the very modules of torchvision, normalisation included
        ours = models[name].network.model.state_dict()
        assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in original.state_dict().items()}
    assert models["faster_rcnn"].network.model.transform.min_size == (160,)
    assert models["ssd"].network.model.transform.fixed_size == (160, 160)


@pytest.mark.parametrize("name", ["ssd", "ssdlite_mobilenetv2"])
def test_default_boxes_cover_the_image_at_any_input_size(name: str) -> None:
    finest, per_cell, least = (8, [4, 6, 6, 6, 4, 4], 0.07) if name == "ssd" else (16, [6] * 6, 0.2)
    with torch.device("meta"):
        model = built(name).network.model.eval()
    for size in (64, 160, 192, 224, 320, 608):
        maps = list(model.backbone(torch.empty(1, 3, size, size, device="meta")).values())
        grids = [feature.shape[-1] for feature in maps]
        assert len(grids) == 6 and grids[0] == size // finest and grids == sorted(grids, reverse=True)
        images = ImageList(torch.empty(1, 3, size, size), [(size, size)])
        boxes = model.anchor_generator(images, [torch.empty(1, 1, grid, grid) for grid in grids])[0] / size
        assert len(boxes) == sum(grid * grid * count for grid, count in zip(grids, per_cell, strict=True))
        centre, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        assert centre.min() > 0 and centre.max() < 1
        torch.testing.assert_close(centre.mean(dim=0), torch.tensor([0.5, 0.5]))
        assert sides.max() <= 1 and sides.min() >= least / 3**0.5 - 1e-6
        assert sides[: grids[0] ** 2 * per_cell[0]].max() < 0.4 < 0.8 < sides[-per_cell[-1] :].max()  # fine to coarse


@pytest.mark.parametrize("name", ["ssd", "ssdlite_mobilenetv2"])
def test_a_default_box_is_as_large_at_every_input_size(name: str) -> None:
    """`augment=window` trains on inputs of half the size, in which the objects are as large as in the whole photo."""
    network = built(name, "image_size=192").network.eval()
    with torch.no_grad():
        whole, window = (network(torch.rand(1, 3, size, size))[2] for size in (192, 96))
    sides = [boxes[:, 2:] - boxes[:, :2] for boxes in (whole, window)]
    torch.testing.assert_close(sides[0][0], sides[1][0])  # on the finest map
    torch.testing.assert_close(sides[0][-1], sides[1][-1])  # and on the coarsest
    assert {*sides[0].round().unique().tolist()} == {*sides[1].round().unique().tolist()}
    centres = (window[:, :2] + window[:, 2:]) / 2
    assert centres.min() > 0 and centres.max() < 96
    torch.testing.assert_close(centres.mean(dim=0), torch.tensor([48.0, 48.0]))


def test_imagenet_weights_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    def offline(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    for name in MODELS:
        with torch.device("meta"), pytest.raises(InstantiationException) as refused:
            built(name, "model.network.pretrained_backbone=true")
        reason = refused.value.__cause__
        while reason is not None and not isinstance(reason, LightdetError):
            reason = reason.__cause__
        assert "pretrained_backbone=false" in str(reason) and "\n" not in str(reason)


def test_imagenet_weights_fill_the_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    """From a file as torchvision's are: all names begin with the same word, and batches are not counted."""
    file = {k: torch.full_like(v, 0.25) for k, v in mobilenet_v2().state_dict().items() if v.ndim}
    monkeypatch.setattr(MobileNet_V2_Weights, "get_state_dict", lambda *_, **__: file)
    model = built("ssdlite_mobilenetv2", "model.network.pretrained_backbone=true").network.model
    fine, coarse = model.backbone.stages[0], model.backbone.stages[1]
    assert all((value == 0.25).all() for part in (fine, coarse) for value in part.state_dict().values() if value.ndim)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("knob", ["attention=cbam", "head=76", "width=0.25"])
def test_a_knob_of_other_models_is_refused(name: str, knob: str) -> None:
    with pytest.raises(ConfigCompositionException):
        composed(f"model={name}", knob)


def test_the_composed_model_is_one_detector_with_one_network() -> None:
    network = OmegaConf.to_container(composed("model=ssd").model.network, resolve=True)
    assert network == {
        "_target_": "lightdet.model.ssd.Ssd",
        "num_classes": 0,
        "image_size": 160,
        "pretrained_backbone": False,
    }
