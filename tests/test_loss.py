"""Box losses and the anchor criterion against hand-worked values and an independent implementation."""

import math

import pytest
import torch
from targets import target
from torch import Tensor
from torchvision.ops import complete_box_iou_loss, distance_box_iou_loss, generalized_box_iou_loss

from lightdet.assigner.anchors import best_possible_recall, cluster_anchors
from lightdet.assigner.ratio import Ratio
from lightdet.core.types import TrainingStats
from lightdet.loss.box.ciou import Ciou
from lightdet.loss.box.diou import Diou
from lightdet.loss.box.giou import Giou
from lightdet.loss.box.siou import Siou
from lightdet.loss.yolo import AnchorCriterion
from lightdet.predictor.anchor import Anchor


def random_pairs() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    low = torch.rand(2, 50, 2, generator=generator) * 60
    size = 1 + torch.rand(2, 50, 2, generator=generator) * 60
    boxes = torch.cat((low, low + size), dim=-1)
    return boxes[0], boxes[1]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(Giou(), generalized_box_iou_loss), (Diou(), distance_box_iou_loss), (Ciou(), complete_box_iou_loss)],
)
def test_box_losses_equal_torchvision_in_value_and_gradient(ours, theirs) -> None:
    predicted, truth = random_pairs()
    first, second = predicted.clone().requires_grad_(), predicted.clone().requires_grad_()
    mine, reference = ours(first, truth), theirs(second, truth)
    torch.testing.assert_close(mine, reference, rtol=1e-4, atol=1e-5)
    mine.sum().backward()
    reference.sum().backward()
    torch.testing.assert_close(first.grad, second.grad, rtol=1e-3, atol=1e-5)


def test_giou_by_hand() -> None:
    # 2x2 boxes one apart along x: IoU 2/6, hull 3x2, nothing of the hull empty; then two boxes that do not touch
    value = Giou()(torch.tensor([[0.0, 0, 2, 2], [0, 0, 1, 1]]), torch.tensor([[1.0, 0, 3, 2], [2, 0, 3, 1]]))
    assert value.tolist() == pytest.approx([1 - 1 / 3, 1 - (0 - 1 / 3)], abs=1e-5)


def test_siou_by_hand() -> None:
    # same 2x2 box shifted by 1 along x: the angle term is 0, distance (1/3)^2 with gamma 2, shapes equal
    value = Siou()(torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([[1.0, 0, 3, 2]]))
    angle = math.cos(2 * math.asin(0) - math.pi / 2)
    distance = (1 - math.exp(-(2 - angle) * (1 / 3) ** 2)) + (1 - math.exp(0))
    assert value.item() == pytest.approx(1 - 1 / 3 + distance / 2, abs=1e-5)


@pytest.mark.parametrize("loss", [Giou(), Diou(), Ciou(), Siou()])
def test_perfect_boxes_cost_nothing_and_gradients_stay_finite(loss) -> None:
    boxes = torch.tensor([[3.0, 4, 30, 20], [0, 0, 8, 8]])
    assert loss(boxes, boxes).abs().max() < 1e-3
    apart = torch.tensor([[3.0, 4, 3, 4], [500, 500, 501, 501]], requires_grad=True)  # degenerate, far away
    loss(apart, boxes).sum().backward()
    assert apart.grad is not None and apart.grad.isfinite().all()


def test_ratio_assigns_centre_cell_and_two_nearest_neighbours() -> None:
    # stride 8, centre (26, 21) px = cell (3, 2) at .25 and .625: left neighbour and lower neighbour are nearest
    anchors = torch.tensor([[[10.0, 10.0], [100.0, 100.0]]])
    found = Ratio()([target([[21.0, 16, 31, 26]], [4])], anchors, (8,), [(8, 8)])[0]
    assert sorted(zip(found.column.tolist(), found.row.tolist(), strict=True)) == [(2, 2), (3, 2), (3, 3)]
    assert found.anchor.tolist() == [0, 0, 0]  # 100 px is ten times 10 px: out of reach
    assert found.labels.tolist() == [4, 4, 4]
    assert found.boxes_cxcywh[0].tolist() == [26, 21, 10, 10]


def test_a_centre_on_a_border_has_the_cells_on_both_sides_and_no_further_one() -> None:
    # stride 8, centre (24, 40) px = the corner of cells (2, 4), (3, 4), (2, 5) and (3, 5), which holds it
    found = Ratio()([target([[19.0, 35, 29, 45]], [4])], torch.tensor([[[10.0, 10.0]]]), (8,), [(8, 8)])[0]
    assert sorted(zip(found.column.tolist(), found.row.tolist(), strict=True)) == [(2, 5), (3, 4), (3, 5)]


def test_ratio_stays_inside_the_grid_and_takes_empty_images() -> None:
    anchors = torch.tensor([[[10.0, 10.0]]])
    empty = target([], [])
    found = Ratio()([empty, target([[54.0, 54, 64, 64], [0, 0, 9, 9]], [0, 1])], anchors, (8,), [(8, 8)])[0]
    assert found.image.unique().tolist() == [1]
    assert found.row.max() <= 7 and found.column.max() <= 7 and found.row.min() >= 0
    assert len(Ratio()([empty], anchors, (8,), [(8, 8)])[0].labels) == 0


def stats(box_sizes: Tensor) -> TrainingStats:
    return TrainingStats(box_sizes, torch.tensor([len(box_sizes), 0]))


def one_grid_criterion() -> tuple[AnchorCriterion, Anchor]:
    predictor = Anchor((4, 4, 4), (8, 16, 32), num_classes=2)
    return AnchorCriterion(Ratio(), Giou(), box_gain=1.0, objectness_gain=1.0, class_gain=1.0), predictor


def test_criterion_without_truth_is_the_objectness_of_background() -> None:
    criterion, predictor = one_grid_criterion()
    raw = [torch.zeros(1, 21, size, size) for size in (8, 4, 2)]
    terms = criterion(raw, [target([], [])], predictor)
    assert terms["box"] == 0 and terms["class"] == 0
    assert terms["objectness"].item() == pytest.approx((4.0 + 1.0 + 0.4) * math.log(2), rel=1e-5)


def test_criterion_by_hand_for_one_truth() -> None:
    # a 10x13 truth centred in a cell of stride 8; raw zeros predict centre .5 of the cell and the anchor's size
    criterion, predictor = one_grid_criterion()
    predictor.anchors_wh = torch.tensor([[[10.0, 13], [900, 900], [900, 900]]] + [[[900.0, 900]] * 3] * 2)
    criterion.assigner.neighbour_offset = 0.0  # the centre's cell alone
    raw = [torch.zeros(1, 21, size, size) for size in (8, 4, 2)]
    box = [20 - 5.0, 20 - 6.5, 20 + 5.0, 20 + 6.5]
    terms = criterion(raw, [target([box], [1])], predictor)
    assert terms["box"].item() == pytest.approx(0.0, abs=1e-5)
    assert terms["class"].item() == pytest.approx(math.log(2), rel=1e-5)
    shifted = [value + 2.0 for value in box]  # moved by (2, 2): IoU = 8*11 / (2*130 - 88)
    terms = criterion(raw, [target([shifted], [1])], predictor)
    iou, hull = 88 / 172, 12 * 15
    assert terms["box"].item() == pytest.approx(1 - (iou - (hull - 172) / hull), rel=1e-4)


def test_decode_inverts_the_encoding() -> None:
    predictor = Anchor((4, 4, 4), (8, 16, 32), num_classes=2)
    raw = [torch.full((1, 21, size, size), -20.0) for size in (8, 4, 2)]
    width, height = predictor.anchors_wh[1, 2].tolist()
    cell = raw[1].view(1, 3, 7, 4, 4)
    cell[0, 2, :, 1, 3] = torch.tensor([0.0, 0, 0, 0, 20, -20, 20])  # column 3, row 1 of stride 16, third anchor
    boxes, scores = predictor.decode(raw)
    best = scores[0, :, 1].argmax()
    centre = (16 * 3.5, 16 * 1.5)
    expected = [centre[0] - width / 2, centre[1] - height / 2, centre[0] + width / 2, centre[1] + height / 2]
    assert boxes[0, best].tolist() == pytest.approx(expected, abs=1e-3)
    assert scores[0, best, 1] > 0.999 and scores[0, best, 0] < 1e-6


def test_anchors_are_clustered_only_when_recall_is_poor() -> None:
    criterion, predictor = one_grid_criterion()
    before = predictor.anchors_wh.clone()
    assert "kept" in criterion.prepare(stats(torch.tensor([[20.0, 20.0], [100, 90]])), predictor)
    assert torch.equal(predictor.anchors_wh, before)
    generator = torch.Generator().manual_seed(0)
    thin = torch.stack((1000 + 50 * torch.rand(200, generator=generator), 3 + torch.rand(200, generator=generator)), 1)
    assert best_possible_recall(thin, before.view(-1, 2), 4.0) == 0
    assert "clustered" in criterion.prepare(stats(thin), predictor)
    assert best_possible_recall(thin, predictor.anchors_wh.view(-1, 2), 4.0) == 1
    areas = predictor.anchors_wh.view(-1, 2).prod(dim=1)
    assert (areas.diff() >= 0).all()


def test_clustering_needs_different_boxes() -> None:
    with pytest.raises(ValueError, match="9 anchors"):
        cluster_anchors(torch.full((50, 2), 20.0), 3, 3)
