"""YOLOX: its size, its boxes and its loss, worked by hand."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from targets import target
from torch import Tensor, nn

from lightdet.assigner.ratio import Ratio
from lightdet.assigner.simota import SimOta
from lightdet.config.conf_folder import conf_folder
from lightdet.core.errors import LightdetError
from lightdet.core.types import Batch
from lightdet.engine.load import build_model
from lightdet.loss.box.giou import Giou
from lightdet.loss.box.iou_square import IouSquare
from lightdet.loss.yolo import AnchorCriterion
from lightdet.loss.yolox import YoloxCriterion
from lightdet.model.yolo import YoloDetector
from lightdet.nn.fold import fold
from lightdet.predictor.anchor import Anchor
from lightdet.predictor.decoupled import Decoupled, boxes_from_cells, offsets_from_boxes
from lightdet.task.training_task import EXPLODED, TrainingTask

SIZES = (8, 4, 2)  # cells along a side of 64 px at strides 8, 16, 32


def detector(*overrides: str, num_classes: int = 6) -> YoloDetector:
    torch.manual_seed(0)
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        built = build_model(compose("train", overrides=list(overrides)), num_classes)
    assert isinstance(built, YoloDetector)
    return built


def criterion(**changed: Any) -> YoloxCriterion:
    asked = {"box_gain": 5.0, "objectness_gain": 1.0, "class_gain": 1.0, "l1_gain": 1.0, "l1_from": 0.95, **changed}
    return YoloxCriterion(SimOta(), IouSquare(), **asked)


def zeros(outputs: int = 7) -> list[Tensor]:
    return [torch.zeros(1, outputs, size, size) for size in SIZES]


@pytest.mark.parametrize(
    ("model", "parameters"),
    [("yolox_s", 8_939_617), ("yolox_tiny", 5_034_321), ("yolox_nano", 897_729), ("hybrid_attention", 14_423_326)],
)
def test_parameters_at_six_classes(model: str, parameters: int) -> None:
    """8.89 M stand in Huang's Table 3 for YOLOX; no source gives the hybrid's."""
    assert sum(p.numel() for p in detector(f"model={model}").parameters()) == parameters


def test_parameters_at_the_classes_of_coco_are_the_published_ones() -> None:
    # 9.0, 5.06 and 0.91 M in the README of YOLOX
    for model, millions, digits in (("yolox_s", 9.0, 1), ("yolox_tiny", 5.06, 2), ("yolox_nano", 0.91, 2)):
        count = sum(p.numel() for p in detector(f"model={model}", num_classes=80).parameters())
        assert round(count / 1e6, digits) == millions


def test_nano_splits_its_3x3_convolutions_and_the_others_do_not() -> None:
    def split(model: str) -> list[str]:
        network = detector(f"model={model}", "width=0.125").network
        return [name for name, m in network.named_modules() if isinstance(m, nn.Conv2d) and m.groups > 1]

    rooms = {name.split(".")[0] for name in split("yolox_nano")}
    assert rooms == {"backbone", "neck", "predictor"} and not split("yolox_tiny")
    whole = [
        name
        for name, m in detector("model=yolox_nano", "width=0.125").network.named_modules()
        if isinstance(m, nn.Conv2d) and m.groups == 1 and m.kernel_size == (3, 3)
    ]
    assert not whole  # the first convolution is the 6x6 of Focus


def test_an_option_inside_an_option_is_chosen_by_its_place() -> None:
    inside = ("backbone@model.network.backbone.inner=spp_darknet", "attention@model.network.backbone=se")
    model = detector("model=yolov5s", "width=0.125", "backbone=attended", *inside, "model.network.backbone.head=38")
    assert model.placement() == "Se behind the backbone on grid 38"
    assert type(model.network.backbone.inner).__name__ == "SppDarknet"
    model = detector("model=yolox_nano", "width=0.125", "neck=asff", "neck@model.network.neck.inner=pan")
    assert type(model.network.neck.inner).__name__ == "Pan"


def test_a_fused_network_answers_the_same_without_a_norm() -> None:
    network = detector("model=hybrid_attention", "width=0.125", "depthwise=true").network
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
    images = torch.rand(1, 3, 64, 96)
    fused = fold(network, images)
    with torch.no_grad():
        for found, expected in zip(fused(images), network.eval()(images), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert not [module for module in fused.modules() if isinstance(module, nn.BatchNorm2d)]


def test_decode_by_hand() -> None:
    predictor = Decoupled((4, 4, 4), (8, 16, 32), num_classes=2).eval()
    raw = [torch.full((1, 7, size, size), -20.0) for size in SIZES]
    raw[1][0, :, 1, 3] = torch.tensor([0.5, -0.25, math.log(2), math.log(0.5), 20, -20, 20])  # row 1, column 3
    boxes, scores = predictor.decode(raw)
    assert boxes.shape == (1, 84, 4) and scores.shape == (1, 84, 2)
    best = int(scores[0, :, 1].argmax())
    assert best == 64 + 1 * 4 + 3
    # centre (3.5, 0.75) * 16 = (56, 12), size (2, 0.5) * 16 = (32, 8)
    assert boxes[0, best].tolist() == pytest.approx([40, 8, 72, 16], abs=1e-4)
    assert scores[0, best, 1] > 0.999 and scores[0, best, 0] < 1e-6


def test_encoding_and_decoding_are_inverse_and_huge_outputs_stay_finite() -> None:
    torch.manual_seed(0)
    cells, strides = torch.randint(0, 20, (50, 2)).float(), torch.tensor([8.0, 16, 32])[torch.randint(0, 3, (50, 1))]
    offsets = torch.randn(50, 4)
    boxes = boxes_from_cells(offsets, cells, strides)
    torch.testing.assert_close(offsets_from_boxes(boxes, cells, strides), offsets, rtol=1e-4, atol=1e-4)
    assert boxes_from_cells(torch.full((50, 4), 1e4), cells, strides).isfinite().all()
    assert offsets_from_boxes(torch.zeros(50, 4), cells, strides).isfinite().all()


def test_an_untrained_predictor_starts_from_the_prior() -> None:
    predictor = Decoupled((8, 8, 8), (8, 16, 32), num_classes=3)
    raw = predictor([torch.zeros(1, 8, size, size) for size in SIZES])
    for one in raw:
        assert one[:, 4:].sigmoid().mean().item() == pytest.approx(0.01, rel=0.5)


def test_loss_of_a_truth_that_is_met_exactly() -> None:
    # Raw zeros: every cell predicts a box of its stride around its upper left corner. The truth [8, 8, 24, 24] is the
    # box of cell (1, 1) of stride 16. IoUs of its 12 candidates: at stride 16 1 and 3 x 0, at stride 8 0.25, 2 x 0.111
    # and 0.053, at stride 32 4 x 0.053. Sum 1.7 -> k = 1, the perfect one. Objectness: 84 cells at logit 0, ln 2 each;
    # class: two of them.
    terms = criterion()(zeros(), [target([[8, 8, 24, 24]], [1])], Decoupled((4, 4, 4), (8, 16, 32), 2))
    assert terms["box"].item() == pytest.approx(0, abs=1e-5)
    assert terms["objectness"].item() == pytest.approx(84 * math.log(2), rel=1e-5)
    assert terms["class"].item() == pytest.approx(2 * math.log(2), rel=1e-5)
    assert terms["l1"] == 0


def test_loss_by_hand_and_the_switch_of_l1() -> None:
    # The truth moved by 4 px: IoU with that cell's box 12 * 16 / (512 - 192) = 0.6, again k = 1 (sum 1.68).
    # box = 5 (1 - 0.36) = 3.2. Class logits 2 (wrong class, target 0) and -1 (right class, target 0.6):
    # ln(1 + e^2) + 0.6 ln(1 + e) + 0.4 ln(1 + 1/e). L1 = |20 / 16 - 1| = 0.25.
    raw = zeros()
    raw[1][0, 5:, 1, 1] = torch.tensor([2.0, -1.0])
    truth, predictor = [target([[12, 8, 28, 24]], [1])], Decoupled((4, 4, 4), (8, 16, 32), 2)
    loss = criterion()
    terms = loss(raw, truth, predictor)
    expected = math.log(1 + math.e**2) + 0.6 * math.log(1 + math.e) + 0.4 * math.log(1 + 1 / math.e)
    assert terms["box"].item() == pytest.approx(3.2, rel=1e-5)
    assert terms["class"].item() == pytest.approx(expected, rel=1e-5)
    told = []
    for progress in (0.0, 0.94, 0.95, 0.99, 0.5):  # back again: only the present progress counts
        loss.set_progress(progress)
        told.append(loss(raw, truth, predictor)["l1"].item())
    assert told == pytest.approx([0, 0, 0.25, 0.25, 0])
    never = criterion(l1_from=1.0)
    never.set_progress(0.999)
    assert never(raw, truth, predictor)["l1"] == 0


def test_terms_are_divided_by_the_positives_of_the_whole_batch() -> None:
    one, predictor = [8.0, 8, 24, 24], Decoupled((4, 4, 4), (8, 16, 32), 2)
    raw = [torch.zeros(2, 7, size, size) for size in SIZES]
    both = criterion()(raw, [target([one], [1]), target([one], [0])], predictor)
    alone = criterion()(raw, [target([one], [1]), target([], [])], predictor)
    assert both["objectness"].item() == pytest.approx(84 * math.log(2), rel=1e-5)  # 168 cells, 2 positives
    assert both["class"].item() == pytest.approx(2 * alone["class"].item(), rel=1e-5)  # 1 positive, but 2 images


@pytest.mark.parametrize("truths", [0, 1])
def test_many_images_with_hardly_a_truth_weigh_as_one(truths: int) -> None:
    predictor, truth = Decoupled((4, 4, 4), (8, 16, 32), 2), [target([[8.0, 8, 24, 24]], [1])] * truths
    raw = [torch.zeros(32, 7, size, size) for size in SIZES]
    terms = criterion()(raw, truth + [target([], [])] * (32 - truths), predictor)
    assert terms["objectness"].item() == pytest.approx(84 * math.log(2), rel=1e-5)


@pytest.mark.parametrize("model", ["yolox_tiny", "light", "yolov3", "yolov5n"])
def test_an_untrained_network_is_not_taken_for_a_broken_one(model: str) -> None:
    """Large photos without a truth, and any number of them in a batch: what the priors say to maps of nothing."""
    small = () if model == "light" else ("width=0.125",)
    built = detector(f"model={model}", *small).eval()
    predictor = built.network.predictor
    maps = zip(built.network.neck.channels, (160, 80, 40), strict=True)
    with torch.no_grad():
        raw = predictor([torch.zeros(1, channels, side, side) for channels, side in maps])
        one, four = (
            sum(built.criterion([each.repeat(n, 1, 1, 1) for each in raw], [target([], [])] * n, predictor).values())
            for n in (1, 4)
        )
    assert one < EXPLODED / 10
    assert float(four) == pytest.approx(float(one), rel=1e-4)


def test_a_batch_without_truth_teaches_objectness_alone() -> None:
    model = detector("model=yolox_tiny", "width=0.125").train()
    model.set_progress(1.0)
    terms = model.losses(torch.rand(2, 3, 64, 64), [target([], []), target([], [])])
    assert terms["objectness"] > 0 and all(terms[name] == 0 for name in ("box", "class", "l1"))
    torch.stack(tuple(terms.values())).sum().backward()
    reached = {name for name, p in model.network.predictor.named_parameters() if p.grad is not None and p.grad.any()}
    assert {name.split(".")[0] for name in reached} == {"stems", "box_branches", "objectness"}
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_l1_is_what_reaches_a_box_that_touches_no_truth() -> None:
    raw = zeros()
    for one in raw:
        one[:, 0] = 100.0  # all boxes far to the right
        one.requires_grad_()
    loss = criterion()
    truth, predictor = [target([[8, 8, 24, 24]], [1])], Decoupled((4, 4, 4), (8, 16, 32), 2)
    for progress, reached in ((0.0, False), (0.95, True)):
        loss.set_progress(progress)
        terms = loss(raw, truth, predictor)
        gradients = torch.autograd.grad(terms["box"] + terms["l1"], raw)
        assert all(g.isfinite().all() for g in gradients)
        assert any(g[:, :4].any() for g in gradients) == reached


def test_iou_square_by_hand() -> None:
    predicted = torch.tensor([[0.0, 0, 2, 2], [0, 0, 1, 1], [3, 4, 9, 9]], requires_grad=True)
    truth = torch.tensor([[1.0, 0, 3, 2], [5, 5, 6, 6], [3, 4, 9, 9]])
    value = IouSquare()(predicted, truth)
    assert value.tolist() == pytest.approx([1 - 1 / 9, 1, 0], abs=1e-5)
    value.sum().backward()
    assert predicted.grad is not None and predicted.grad[0].any() and not predicted.grad[1].any()


def test_parts_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(LightdetError, match="assigner: YoloxCriterion works with SimOta, not Ratio; choose predictor="):
        YoloxCriterion(Ratio(), IouSquare(), 5, 1, 1, 1, 0.95)  # type: ignore[arg-type]
    with pytest.raises(LightdetError, match="assigner: AnchorCriterion works with AnchorAssigner, not SimOta"):
        AnchorCriterion(SimOta(), Giou(), 1, 1, 1)  # type: ignore[arg-type]
    network = detector("model=yolox_tiny", "width=0.125").network
    with pytest.raises(LightdetError, match="predictor: AnchorCriterion works with Anchor, not Decoupled"):
        YoloDetector(network, AnchorCriterion(Ratio(), Giou(), 1, 1, 1))
    with pytest.raises(LightdetError, match="predictor: YoloxCriterion works with Decoupled, not Anchor"):
        criterion().check(Anchor((4, 4, 4), (8, 16, 32), 2))


def test_the_task_says_the_progress_before_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = detector("model=yolox_tiny", "width=0.125").train()
    said: list[float] = []
    monkeypatch.setattr(model, "set_progress", said.append)
    task = TrainingTask(model, ["a"] * 6, torch.optim.SGD, SimpleNamespace(), tmp_path)  # type: ignore[arg-type]
    monkeypatch.setattr(task, "log", lambda *_, **__: None)
    for epoch in (0, 0, 19):
        task._trainer = SimpleNamespace(current_epoch=epoch, max_epochs=20)  # type: ignore[assignment]
        task.training_step(Batch(torch.rand(2, 3, 64, 64), [target([], []), target([], [])]), 0)
    assert said == [0, 0, 0.95]
