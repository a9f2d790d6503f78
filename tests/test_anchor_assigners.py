"""Assigning anchors by overlap and by shape, decoding and its inverse, and how far a cell reaches, by hand."""

import math
import re
from collections.abc import Callable
from functools import partial

import pytest
import torch
from anchors import ANCHORS, GRIDS, SHAPES, STRIDES, places
from hydra.errors import InstantiationException
from targets import target
from test_models import composed

from lightdet.assigner.best_anchor import BestAnchor
from lightdet.assigner.iou_threshold import IouThreshold
from lightdet.assigner.ratio import Ratio
from lightdet.core.errors import LightdetError, underneath
from lightdet.engine.load import build_model
from lightdet.ops.boxes import shape_iou
from lightdet.predictor.anchor import Anchor
from lightdet.predictor.yolov3 import LARGEST_GROWTH, Yolov3Anchor

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


@pytest.mark.parametrize("snapped", [False, True])  # real boxes lie on whole pixels, and many centres on borders
@pytest.mark.parametrize("offset", [0.0, 0.3, 0.5])
def test_cells_answer_for_centres_no_further_outside_than_is_said(offset: float, snapped: bool) -> None:
    assigner, generator = Ratio(neighbour_offset=offset), torch.Generator().manual_seed(0)
    centres = 64 * torch.rand(200, 2, generator=generator)
    if snapped:
        centres = centres.floor()
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
