"""The criterion of YOLOv3 and YOLOv4 on maps worked by hand; when anchors are clustered."""

import math

import pytest
import torch
from anchors import GRIDS, STRIDES
from targets import target

from lightdet.assigner.best_anchor import BestAnchor
from lightdet.assigner.iou_threshold import IouThreshold
from lightdet.core.errors import LightdetError
from lightdet.core.types import TrainingStats
from lightdet.loss.box.ciou import Ciou
from lightdet.loss.box.giou import Giou
from lightdet.loss.yolov3 import Yolov3Criterion
from lightdet.ops.anchors import YOLOV4_ANCHORS
from lightdet.predictor.yolov3 import Yolov3Anchor

GAINS = {"box_gain": 1.0, "objectness_gain": 1.0, "class_gain": 2.0}


def criterion(ignore_iou: float = 0.5, box_loss: object = None) -> tuple[Yolov3Criterion, Yolov3Anchor]:
    anchors = [[[10.0, 13], [900, 900], [900, 900]], [[900.0, 900]] * 3, [[900.0, 900]] * 3]
    predictor = Yolov3Anchor((4, 4, 4), STRIDES, num_classes=2, anchors=anchors)
    box_loss = box_loss or Giou()
    return Yolov3Criterion(assigner=BestAnchor(), box_loss=box_loss, ignore_iou=ignore_iou, **GAINS), predictor


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
    loss = Yolov3Criterion(assigner=assigner, box_loss=Giou(), ignore_iou=0.5, **GAINS)
    predictor = Yolov3Anchor((4, 4, 4), STRIDES, num_classes=2, anchors=YOLOV4_ANCHORS)
    before = predictor.anchors_wh.clone()
    counts = torch.tensor([2, 0])
    assert "kept" in loss.prepare(TrainingStats(torch.tensor([[20.0, 20.0], [100, 90]]), counts), predictor)
    assert torch.equal(predictor.anchors_wh, before)
    generator = torch.Generator().manual_seed(0)
    thin = torch.stack((1000 + 50 * torch.rand(200, generator=generator), 3 + torch.rand(200, generator=generator)), 1)
    assert "clustered" in loss.prepare(TrainingStats(thin, counts), predictor)
    assert assigner.recall(thin, predictor.anchors_wh.view(-1, 2)) == 1
