"""The light detector's parts: distances as distributions, task-aligned assignment, and the loss that joins them."""

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from targets import target
from torch import Tensor
from torchvision.ops import box_iou

from lightdet.assigner.task_aligned import ScoredCells, SoftPositives, TaskAligned
from lightdet.backbone.thin_csp import ThinCsp
from lightdet.config.compose import compose_config
from lightdet.core.errors import LightdetError
from lightdet.core.types import TrainingStats
from lightdet.engine.load import build_model
from lightdet.loss.box.ciou import Ciou
from lightdet.loss.task_aligned import TaskAlignedCriterion, distribution_loss
from lightdet.metric.footprint import footprint
from lightdet.predictor.distances import Distances

A, B = [0.0, 0, 16, 8], [8.0, 0, 24, 8]  # they share the cell at (12, 4)


def row_of_cells(boxes: list[list[float]], scores: list[list[float]]) -> ScoredCells:
    """One image, cells of stride 8 in one row: centres (4, 4), (12, 4), (20, 4), ..."""
    count = len(boxes)
    centres = torch.stack((torch.arange(count) * 8.0 + 4, torch.full((count,), 4.0)), dim=1)
    return ScoredCells(torch.tensor(boxes)[None], torch.tensor(scores)[None], centres, torch.full((count, 1), 8.0))


def answers(found: SoftPositives) -> list[tuple[int, int, float]]:
    """(cell, label, taught score) of each positive."""
    return [
        (cell, label, round(score, 4))
        for cell, label, score in zip(found.cell.tolist(), found.labels.tolist(), found.score.tolist(), strict=True)
    ]


def test_the_best_aligned_cell_is_taught_the_best_overlap() -> None:
    # Truth A holds the centres of cells 0 and 1. alpha 1, beta 1, so alignment = score x IoU:
    #   cell 0: score 0.9, predicts half of A: 0.45     cell 1: score 0.6, predicts A: 0.6
    # The greater, 0.6, is taught the greatest IoU, 1; the other 0.45 / 0.6 = 0.75.
    cells = row_of_cells([[0.0, 0, 8, 8], A, A], [[0.9, 0], [0.6, 0], [0.9, 0]])
    assigner = TaskAligned(alpha=1.0, beta=1.0)
    assert answers(assigner([target([A], [0])], cells)) == [(0, 0, 0.75), (1, 0, 1.0)]
    assert answers(TaskAligned(most=1, alpha=1.0, beta=1.0)([target([A], [0])], cells)) == [(1, 0, 1.0)]
    # With the usual powers the overlap decides: 0.9^0.5 x 0.5^6 = 0.01482; 0.6^0.5 = 0.7746; ratio 0.0191.
    assert answers(TaskAligned()([target([A], [0])], cells)) == [(0, 0, 0.0191), (1, 0, 1.0)]


def test_a_cell_of_two_truths_answers_for_the_one_it_overlaps_most() -> None:
    cells = row_of_cells([A, B, B], [[0.5, 0.5]] * 3)  # cell 1, inside both, predicts B
    found = TaskAligned(alpha=1.0, beta=1.0)([target([A, B], [0, 1])], cells)
    assert answers(found) == [(0, 0, 1.0), (1, 1, 1.0), (2, 1, 1.0)]
    assert found.boxes_xyxy.tolist() == [A, B, B]


def test_a_truth_smaller_than_a_cell_has_a_candidate_all_the_same() -> None:
    small = [5.0, 1, 7, 3]  # 2 px, no centre in it; grown to one stride, 2..10 x -2..6, it holds (4, 4)
    cells = row_of_cells([small, A], [[0.5], [0.5]])
    assert answers(TaskAligned()([target([small], [0])], cells)) == [(0, 0, 1.0)]
    assert answers(TaskAligned(least_side=0.0)([target([small], [0])], cells)) == []
    large = [-60.0, -60, 70, 70]  # IoU 4 / 130^2, to the sixth power 2e-22: the best it has, so it is taught all of it
    cells = row_of_cells([large, A], [[0.25], [0.5]])
    assert TaskAligned()([target([small], [0])], cells).score.item() == pytest.approx(4 / 130**2)
    between = [7.0, 3, 9, 5]  # its centre, (8, 4), is as far from either cell
    cells = row_of_cells([between, A], [[0.5], [0.5]])
    assert [cell for cell, _, _ in answers(TaskAligned()([target([between], [0])], cells))] == [0, 1]


def test_images_without_truth_and_many_images() -> None:
    one = row_of_cells([A, A], [[0.5], [0.5]])
    two = ScoredCells(one.boxes_xyxy.repeat(2, 1, 1), one.scores.repeat(2, 1, 1), one.centres_xy, one.strides)
    found = TaskAligned()([target([], []), target([A], [0])], two)
    assert found.image.tolist() == [1, 1] and len(TaskAligned()([target([], [])], one).cell) == 0


def test_a_distance_is_the_mean_of_its_distribution() -> None:
    predictor = Distances((8,), (8,), num_classes=2, bins=4)
    raw = torch.full((16,), -30.0)
    for side, chosen in enumerate((0, 1, 2, 3)):
        raw[4 * side + chosen] = 30.0
    assert predictor.distances(raw).tolist() == pytest.approx([0, 1, 2, 3])
    assert predictor.distances(torch.zeros(16)).tolist() == pytest.approx([1.5] * 4), "an even one lies in the middle"
    spread = predictor.distances(raw / 30)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(predictor.distances(raw / 30), spread), "bfloat16 would round a distance to 1/128 of itself"
    box = predictor.boxes_xyxy(raw, torch.tensor([20.0, 20]), torch.tensor([8.0]))
    assert box.tolist() == pytest.approx([20, 12, 36, 44])
    single = Distances((8,), (8,), num_classes=2, bins=1)
    assert single.distances(torch.tensor([0.0, math.log(2), 1e9, -1e9])).isfinite().all()


def test_the_distribution_loss_by_hand() -> None:
    predictor = Distances((8,), (8,), num_classes=2, bins=4)
    raw = torch.randn(5, 16, generator=torch.Generator().manual_seed(0), requires_grad=True)
    wanted = torch.tensor([[0.0, 0.25, 1.5, 2.0]]).repeat(5, 1)
    loss = distribution_loss(raw, wanted, predictor)
    logits = raw.reshape(5, 4, 4)
    ce = [F.cross_entropy(logits[:, 1], torch.full((5,), k), reduction="none") for k in (0, 1)]
    assert torch.allclose(loss[:, 1], 0.75 * ce[0] + 0.25 * ce[1])
    assert torch.allclose(loss[:, 3], F.cross_entropy(logits[:, 3], torch.full((5,), 2), reduction="none"), atol=1e-6)
    far = distribution_loss(raw, torch.full((5, 4), 99.0), predictor)
    assert far.isfinite().all()
    loss.sum().backward()
    assert raw.grad is not None and raw.grad.abs().sum() > 0


def criterion() -> TaskAlignedCriterion:
    return TaskAlignedCriterion(TaskAligned(), Ciou(), 7.5, 1.5, 0.5)


def scored(predictor: Distances, raw: Tensor) -> ScoredCells:
    """What a raw map says, as the assigner sees it."""
    centres, strides = predictor.centres([raw])
    boxes, scores = predictor.decode([raw])
    return ScoredCells(boxes, scores, centres, strides)


def told(predictor: Distances, boxes: list[list[float]], strides: int = 8, size: int = 64) -> Tensor:
    """A raw map of which every cell inside a box tells exactly that box, with certainty, and nothing elsewhere."""
    side = size // strides
    raw = torch.full((1, 4 * predictor.bins + predictor.num_classes, side, side), -20.0)
    for label, (x1, y1, x2, y2) in enumerate(boxes):
        for row in range(side):
            for column in range(side):
                x, y = (column + 0.5) * strides, (row + 0.5) * strides
                if not (x1 < x < x2 and y1 < y < y2):
                    continue
                for number, distance in enumerate((x - x1, y - y1, x2 - x, y2 - y)):
                    low = math.floor(distance / strides)
                    share = distance / strides - low
                    for mark, probability in ((low, 1 - share), (low + 1, share)):
                        raw[0, number * predictor.bins + mark, row, column] = math.log(max(probability, 1e-9))
                raw[0, 4 * predictor.bins + label, row, column] = 20.0
    return raw


def test_a_perfect_answer_costs_only_its_entropy_and_decodes_to_the_truth() -> None:
    predictor = Distances((8,), (8,), num_classes=2, bins=8)
    boxes = [[4.0, 4, 28, 28], [36.0, 36, 60, 60]]
    raw = told(predictor, boxes)
    terms = criterion()([raw], [target(boxes, [0, 1])], predictor)
    assert terms["box"].item() < 1e-3 and terms["class"].item() < 1e-3
    decoded, scores = predictor.decode([raw])
    sure = scores[0].amax(dim=1) > 0.5
    assert box_iou(decoded[0][sure], torch.tensor(boxes)).amax(dim=1).min() > 0.999
    moved = criterion()([raw], [target([[4.0, 4, 36, 36], boxes[1]], [0, 1])], predictor)
    assert moved["box"] > 0.1 and moved["distribution"] > terms["distribution"]
    wrong = criterion()([raw], [target(boxes, [1, 0])], predictor)
    assert wrong["class"] > 1


def test_boxes_longer_than_the_bins_can_tell_are_named() -> None:
    predictor = Distances((8, 8), (16, 32), 2, bins=4)
    assert predictor.widest == 192
    longest = torch.full((1, 4, 4, 4), -20.0)
    longest[..., -1] = 20
    boxes = predictor.boxes_xyxy(longest.flatten(2), torch.full((1, 4, 2), 100.0), torch.full((1, 4, 1), 32.0))
    assert boxes[0, 0].tolist() == pytest.approx([4, 4, 196, 196], abs=1e-3)
    counts = torch.tensor([1, 1])
    told = criterion().prepare(TrainingStats(torch.tensor([[30.0, 193.0], [192.0, 192.0]]), counts), predictor)
    assert told.startswith("1 of 2 boxes are longer than the 192 px that 4 bins can express")
    one_number = Distances((8, 8), (16, 32), 2, bins=1)
    assert criterion().prepare(TrainingStats(torch.tensor([[3000.0, 10.0]]), counts), one_number) == "nothing to fit"


def test_an_image_without_truth_teaches_the_background_alone() -> None:
    predictor = Distances((8,), (8,), num_classes=2, bins=8)
    raw = torch.zeros(1, 34, 8, 8, requires_grad=True)
    terms = criterion()([raw], [target([], [])], predictor)
    assert terms["box"] == terms["distribution"] == 0
    assert terms["class"].item() == pytest.approx(0.5 * 64 * 2 * math.log(2), rel=1e-5)
    sum(terms.values()).backward()
    assert raw.grad is not None and (raw.grad[:, 32:] > 0).all(), "every score is pushed down"


def test_images_without_truth_weigh_as_images_and_others_as_before() -> None:
    predictor = Distances((8,), (8,), num_classes=2, bins=8)
    boxes = [[4.0, 4, 28, 28]]
    raw = torch.zeros(1, 34, 8, 8)
    alone = criterion()([raw], [target([], [])], predictor)["class"]
    many = criterion()([raw.repeat(32, 1, 1, 1)], [target([], [])] * 32, predictor)["class"]
    hardly = criterion()([raw.repeat(32, 1, 1, 1)], [target(boxes, [0]), *[target([], [])] * 31], predictor)["class"]
    assert many.item() == pytest.approx(alone.item(), rel=1e-5)
    assert hardly.item() == pytest.approx(32 / 31 * alone.item(), rel=1e-3)
    taught = criterion()([raw.repeat(2, 1, 1, 1)], [target(boxes, [0])] * 2, predictor)["class"]
    found = TaskAligned()([target(boxes, [0])], scored(predictor, raw))
    assert found.score.sum() < 1, "less is taught than there are images"
    assert taught.item() == pytest.approx(2 * alone.item() / max(1, 2 * found.score.sum().item()), rel=1e-3)


def test_the_preset_keeps_its_budget_and_every_weight_learns() -> None:
    config = compose_config(["model=light"])
    config.num_classes = 6
    torch.manual_seed(0)
    detector = build_model(config, 6)
    cost = footprint(detector.network, 608)
    assert cost["parameters"] <= 1.56e6 and cost["gflops"] <= 3.6
    terms = detector.losses(torch.rand(2, 3, 64, 64), [target([[4.0, 4, 40, 40]], [0]), target([], [])])
    sum(terms.values()).backward()
    silent = [name for name, weight in detector.named_parameters() if weight.grad is None]
    assert not silent and all(value.isfinite() for value in terms.values())


def test_channels_are_said_outright_and_counted() -> None:
    backbone = ThinCsp([8, 16, 24, 32, 40], [1, 2, 1, 1])
    maps = backbone(torch.zeros(2, 3, 64, 96))
    assert [tuple(one.shape) for one in maps] == [(2, 24, 8, 12), (2, 32, 4, 6), (2, 40, 2, 3)]
    with pytest.raises(LightdetError, match=r"channels=\[8, 16\] .* five channels and four counts"):
        ThinCsp([8, 16], [1, 2, 1, 1])


def test_the_recipe_changes_what_the_command_line_leaves_open() -> None:
    plain, recipe = compose_config(["model=light"]), compose_config(["model=light", "recipe=light"])
    assert plain.optimizer._target_ != recipe.optimizer._target_ and "mosaic" in recipe.augment
    said = compose_config(["model=light", "augment=none", "optimizer.lr=0.5", "recipe=light"])
    assert said.optimizer._target_ == recipe.optimizer._target_ and said.optimizer.lr == 0.5
    assert "mosaic" not in said.augment
