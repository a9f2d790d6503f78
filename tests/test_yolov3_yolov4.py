"""YOLOv3, YOLOv4 and the sizes of YOLOv5: assignments and losses by hand, decoding and its inverse, parameters."""

import math
import re
from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException, InstantiationException
from omegaconf import DictConfig
from torch import Tensor, nn

from lightdet.assigner.best_anchor import BestAnchor
from lightdet.assigner.iou_threshold import IouThreshold
from lightdet.assigner.ratio import Ratio
from lightdet.config.conf_folder import conf_folder
from lightdet.core.errors import LightdetError, underneath
from lightdet.core.types import Letterbox, Target, TrainingStats
from lightdet.engine.load import build_model
from lightdet.loss.box.ciou import Ciou
from lightdet.loss.box.giou import Giou
from lightdet.loss.yolov3 import Yolov3Criterion
from lightdet.neck.bricks import ConvSet
from lightdet.nn.fold import fold
from lightdet.ops.anchors import YOLOV4_ANCHORS
from lightdet.ops.boxes import shape_iou
from lightdet.predictor.anchor import Anchor
from lightdet.predictor.yolov3 import LARGEST_GROWTH, Yolov3Anchor

STRIDES = (8, 16, 32)
GRIDS = (8, 4, 2)  # cells along a side at 64 px
SHAPES = [(size, size) for size in GRIDS]
PLACED = Letterbox(1.0, 1.0, 0.0, 0.0, 64, 64)
ANCHORS = torch.tensor([[[8.0, 8], [12, 12]], [[16, 16], [32, 8]], [[40, 40], [60, 60]]])


def target(boxes: list[list[float]], labels: list[int]) -> Target:
    return Target(torch.tensor(boxes).reshape(-1, 4), torch.tensor(labels, dtype=torch.int64), "a", PLACED)


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return compose("train", overrides=list(overrides))


def places(found: list) -> list[tuple[int, int, int, int]]:
    """(grid, anchor, column, row) of all positives."""
    return [
        (grid, int(a), int(c), int(r))
        for grid, one in enumerate(found)
        for a, c, r in zip(one.anchor, one.column, one.row, strict=True)
    ]


# Assignment


def test_shape_iou_by_hand() -> None:
    assert shape_iou(torch.tensor([[4.0, 4]]), torch.tensor([[4.0, 4], [2, 4], [8, 2]]))[0].tolist() == pytest.approx(
        [1, 1 / 2, 8 / 24]
    )


def test_the_best_anchor_of_all_grids_answers_alone() -> None:
    # 14 x 14 px: IoU with 12 x 12 is 144/196 = .73, with 16 x 16 it is 196/256 = .77; centre (27, 21) in cell (1, 1)
    truth = target([[20.0, 14, 34, 28]], [3])
    found = BestAnchor()([truth], ANCHORS, STRIDES, SHAPES)
    assert places(found) == [(1, 0, 1, 1)]
    assert found[1].labels.tolist() == [3] and found[1].boxes_cxcywh[0].tolist() == [27, 21, 14, 14]
    # 30 x 9 px at the lower right border: 32 x 8 fits best (240 / 286), the centre's cell is the last one
    assert places(BestAnchor()([truth, target([[34.0, 55, 64, 64]], [0])], ANCHORS, STRIDES, SHAPES)) == [
        (1, 0, 1, 1),
        (1, 1, 3, 3),
    ]


def test_the_threshold_adds_every_similar_anchor_and_never_leaves_a_truth_alone() -> None:
    # 14 x 14 px: 8x8 .33, 12x12 .73, 16x16 .77, 32x8 112/340 = .33, 40x40 .12, 60x60 .05
    truth = target([[20.0, 14, 34, 28]], [3])
    assert places(IouThreshold(0.213)([truth], ANCHORS, STRIDES, SHAPES)) == [
        (0, 0, 3, 2),
        (0, 1, 3, 2),
        (1, 0, 1, 1),
        (1, 1, 1, 1),
    ]
    assert places(IouThreshold(0.7)([truth], ANCHORS, STRIDES, SHAPES)) == [(0, 1, 3, 2), (1, 0, 1, 1)]
    assert places(IouThreshold(0.9)([truth], ANCHORS, STRIDES, SHAPES)) == [(1, 0, 1, 1)]


def test_images_keep_their_truths_and_may_have_none() -> None:
    empty = target([], [])
    for assigner in (BestAnchor(), IouThreshold()):
        found = assigner([empty, target([[20.0, 14, 34, 28]], [3]), empty], ANCHORS, STRIDES, SHAPES)
        assert {int(i) for one in found for i in one.image} == {1}
        assert places(assigner([empty], ANCHORS, STRIDES, SHAPES)) == []


def test_anchors_are_judged_by_shape() -> None:
    sizes = torch.tensor([[14.0, 14], [3, 60]])  # the second: 24 / 412 with 32 x 8, 180 / 3600 with 60 x 60
    assert BestAnchor()(  # assigned all the same
        [target([[0.0, 0, 3, 60]], [0])], ANCHORS, STRIDES, SHAPES
    )
    for assigner in (BestAnchor(), IouThreshold()):
        assert assigner.recall(sizes, ANCHORS.view(-1, 2)) == 0.5
        assert assigner.recall(sizes[:0], ANCHORS.view(-1, 2)) == 1


def test_a_threshold_that_is_no_overlap_is_refused() -> None:
    for build in (BestAnchor, IouThreshold):
        with pytest.raises(LightdetError, match="shape IoU"):
            build(2.0)


# Predictor


@pytest.mark.parametrize("centre_scale", [(1.0, 1.0, 1.0), (1.2, 1.1, 1.05)])
def test_decode_inverts_the_encoding(centre_scale: tuple[float, ...]) -> None:
    predictor = Yolov3Anchor((4, 4, 4), STRIDES, num_classes=2, centre_scale=centre_scale)
    generator = torch.Generator().manual_seed(0)
    for level, stride in enumerate(STRIDES):
        anchors = predictor.anchors_wh[level]
        share = 0.1 + 0.8 * torch.rand(3, 2, generator=generator)  # of the cell
        growth = 0.3 + 3 * torch.rand(3, 2, generator=generator)
        s = centre_scale[level]
        encoded = torch.cat((torch.logit((share + (s - 1) / 2) / s), growth.log()), dim=1)
        cells = torch.tensor([[0.0, 0], [3, 1], [1, 2]])
        boxes = predictor.boxes(predictor.activate(encoded), cells, anchors, level)
        torch.testing.assert_close(boxes, torch.cat(((cells + share) * stride, growth * anchors), dim=1))


def test_decode_of_a_map_by_hand() -> None:
    predictor = Yolov3Anchor((4, 4, 4), STRIDES, num_classes=2)
    raw = [torch.full((1, 21, size, size), -20.0) for size in GRIDS]
    cell = raw[1].view(1, 3, 7, 4, 4)
    cell[0, 2, :, 1, 3] = torch.tensor([0.0, math.log(3), math.log(0.5), 0, 20, -20, 20])
    boxes, scores = predictor.decode(raw)
    best = scores[0, :, 1].argmax()
    width, height = 59 / 2, 119.0  # third anchor of stride 16
    centre = (16 * 3.5, 16 * 1.75)
    expected = [centre[0] - width / 2, centre[1] - height / 2, centre[0] + width / 2, centre[1] + height / 2]
    assert boxes[0, best].tolist() == pytest.approx(expected, abs=1e-3)
    assert scores[0, best, 1] > 0.999 and scores[0, best, 0] < 1e-6


def test_a_sensitive_grid_reaches_the_border_of_its_cell_and_no_output_overflows() -> None:
    outputs = torch.tensor([[3.0, 3, 1000, 1000]])
    plain, sensitive = (Yolov3Anchor((4, 4, 4), STRIDES, 2, centre_scale=(s, 1.0, 1.0)) for s in (1.0, 1.2))
    for predictor, beyond in ((plain, False), (sensitive, True)):
        box = predictor.boxes(predictor.activate(outputs), torch.zeros(1, 2), torch.tensor([[10.0, 13]]), 0)
        assert (box[0, 0] > 8) == beyond
        assert box[0, 2:].tolist() == pytest.approx([10 * LARGEST_GROWTH, 13 * LARGEST_GROWTH], rel=1e-5)


@pytest.mark.parametrize("centre_scale", [(1.0, 1.0), (0.9, 1.0, 1.0)])
def test_a_centre_scale_without_a_meaning_is_refused(centre_scale: tuple[float, ...]) -> None:
    with pytest.raises(LightdetError, match="centre_scale"):
        Yolov3Anchor((4, 4, 4), STRIDES, 2, centre_scale=centre_scale)


# What an assigner asks and what a predictor reaches


@pytest.mark.parametrize("offset", [0.0, 0.3, 0.5])
def test_cells_answer_for_centres_no_further_outside_than_is_said(offset: float) -> None:
    assigner, generator = Ratio(neighbour_offset=offset), torch.Generator().manual_seed(0)
    centres = 64 * torch.rand(200, 2, generator=generator)
    truth = target(torch.cat((centres - 8, centres + 8), dim=1).tolist(), [0] * 200)
    outside = []
    for stride, found in zip(STRIDES, assigner([truth], ANCHORS, STRIDES, SHAPES), strict=True):
        inside = found.boxes_cxcywh[:, :2] / stride - torch.stack((found.column, found.row), dim=1)
        outside.append(torch.maximum(-inside, inside - 1).amax().item())
    assert max(outside) <= assigner.beyond + 1e-5 and (max(outside) > offset - 0.05 or offset == 0)


@pytest.mark.parametrize("predictor", [Anchor, Yolov3Anchor, partial(Yolov3Anchor, centre_scale=(1.2, 1.1, 1.05))])
def test_a_predictor_reaches_as_far_as_it_says(predictor: Callable[..., Anchor]) -> None:
    built = predictor((4, 4, 4), STRIDES, 2)
    extremes = torch.tensor([[-50.0, 50, 0, 0]])
    reached = []
    for level, stride in enumerate(STRIDES):
        box = built.boxes(built.activate(extremes), torch.zeros(1, 2), torch.ones(1, 2), level)[0] / stride
        assert -box[0].item() == pytest.approx(box[1].item() - 1, abs=1e-5)
        reached.append(-box[0].item())
    assert min(reached) == pytest.approx(built.reach, abs=1e-5)


@pytest.mark.parametrize("model", ["yolov3", "yolov4"])
def test_centres_that_cannot_be_reached_are_not_taught(model: str) -> None:
    words = (f"model={model}", "width=0.0625", "depth=0.25", "assigner=ratio")
    with pytest.raises(InstantiationException) as refused:
        build_model(composed(*words), 3)
    said = str(underneath(refused.value))
    way_out = re.search(r"take (\S+=0) or another", said)
    assert way_out and "\n" not in said
    detector = build_model(composed(*words, way_out[1]), 3).train()
    terms = detector.losses(torch.rand(2, 3, 64, 64), [target([[5.0, 5, 40, 30]], [2]), target([], [])])
    assert all(term > 0 and term.isfinite() for term in terms.values())
    build_model(composed(f"model={model}", "width=0.0625", "assigner=ratio", "predictor=anchor"), 3)


# Loss


def criterion(ignore_iou: float = 0.5, box_loss: object = None) -> tuple[Yolov3Criterion, Yolov3Anchor]:
    anchors = [[[10.0, 13], [900, 900], [900, 900]], [[900.0, 900]] * 3, [[900.0, 900]] * 3]
    predictor = Yolov3Anchor((4, 4, 4), STRIDES, num_classes=2, anchors=anchors)
    return Yolov3Criterion(BestAnchor(), box_loss or Giou(), 1.0, 1.0, 2.0, ignore_iou), predictor


CELLS = 3 * sum(size * size for size in GRIDS)
BACKGROUND = math.log(2)  # what a place with logit 0 costs, whatever it is taught


def test_background_alone_is_summed_over_places_and_averaged_over_images() -> None:
    loss, predictor = criterion()
    terms = loss([torch.zeros(2, 21, size, size) for size in GRIDS], [target([], []), target([], [])], predictor)
    assert terms["box"] == 0 and terms["class"] == 0
    assert terms["objectness"].item() == pytest.approx(CELLS * BACKGROUND, rel=1e-5)


def test_one_truth_by_hand() -> None:
    # raw zeros predict the centre of the cell and the size of the anchor; the truth lies (2, 2) px beside that
    loss, predictor = criterion()
    raw = [torch.zeros(2, 21, size, size) for size in GRIDS]
    truth = target([[20 - 5.0 + 2, 20 - 6.5 + 2, 20 + 5.0 + 2, 20 + 6.5 + 2]], [1])
    terms = loss(raw, [truth, target([], [])], predictor)
    iou, hull = 88 / 172, 12 * 15
    assert terms["box"].item() == pytest.approx((1 - (iou - (hull - 172) / hull)) / 2, rel=1e-4)  # of two images
    assert terms["class"].item() == pytest.approx(2 * math.log(2) / 2, rel=1e-5)
    assert terms["objectness"].item() == pytest.approx(CELLS * BACKGROUND, rel=1e-5)  # the positive counts, too


def test_a_well_placed_prediction_is_no_background() -> None:
    # the truth lies between two cells: (24, 20) is in column 3; column 2 predicts 4 px to the left, IoU 6/14 = .43
    truth = [target([[19.0, 13.5, 29, 26.5]], [1])]
    raw = [torch.zeros(1, 21, size, size) for size in GRIDS]
    for ignore_iou, ignored in ((0.5, 0), (0.4, 1)):
        loss, predictor = criterion(ignore_iou)
        value = loss(raw, truth, predictor)["objectness"].item()
        assert value == pytest.approx((CELLS - ignored) * BACKGROUND, rel=1e-6)
    loss, predictor = criterion(0.4)
    maps = predictor.flatten(raw[0])
    well_placed = loss.well_placed(maps, truth, predictor, 0).view(3, 8, 8).nonzero().tolist()
    assert well_placed == [[0, 2, 2], [0, 2, 3]]  # the neighbour, and the positive itself, which counts all the same


def test_an_ignored_place_gets_no_gradient_and_a_positive_is_taught_one() -> None:
    loss, predictor = criterion(0.4)
    raw = [torch.zeros(1, 21, size, size, requires_grad=True) for size in GRIDS]
    loss(raw, [target([[19.0, 13.5, 29, 26.5]], [1])], predictor)["objectness"].backward()
    gradient = raw[0].grad.view(3, 7, 8, 8)[:, 4]
    assert gradient[0, 2, 2] == 0
    assert gradient[0, 2, 3].item() == pytest.approx(-0.5)  # taught 1, though its IoU is .43
    assert gradient[1, 2, 2].item() == pytest.approx(0.5)


def test_the_box_loss_is_swapped() -> None:
    raw = [torch.zeros(1, 21, size, size) for size in GRIDS]
    truth = [target([[17.0, 15.5, 31, 24.5]], [1])]
    giou, ciou = (criterion(box_loss=each)[0](raw, truth, criterion()[1])["box"] for each in (Giou(), Ciou()))
    assert giou != ciou


def test_an_ignore_zone_that_is_no_overlap_is_refused() -> None:
    with pytest.raises(LightdetError, match="ignore_iou"):
        criterion(ignore_iou=1.5)


@pytest.mark.parametrize("assigner", [BestAnchor(), IouThreshold()])
def test_anchors_are_clustered_only_when_recall_is_poor(assigner: BestAnchor) -> None:
    loss = Yolov3Criterion(assigner, Giou(), 1.0, 1.0, 1.0, 0.5)
    predictor = Yolov3Anchor((4, 4, 4), STRIDES, num_classes=2, anchors=YOLOV4_ANCHORS)
    before = predictor.anchors_wh.clone()
    counts = torch.tensor([2, 0])
    assert "kept" in loss.prepare(TrainingStats(torch.tensor([[20.0, 20.0], [100, 90]]), counts), predictor)
    assert torch.equal(predictor.anchors_wh, before)
    generator = torch.Generator().manual_seed(0)
    thin = torch.stack((1000 + 50 * torch.rand(200, generator=generator), 3 + torch.rand(200, generator=generator)), 1)
    assert "clustered" in loss.prepare(TrainingStats(thin, counts), predictor)
    assert assigner.recall(thin, predictor.anchors_wh.view(-1, 2)) == 1


# Whole models


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
