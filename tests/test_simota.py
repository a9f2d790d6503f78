"""SimOTA against cases worked by hand, and against the published steps written out one by one."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from targets import PLACED, target
from torch import Tensor
from torchvision.ops import box_iou

from lightdet.assigner.positives import CellPositives
from lightdet.assigner.simota import Cells, SimOta
from lightdet.core.types import Target

A, B = [8.0, 0, 16, 8], [16.0, 0, 24, 8]  # two truths, centres (12, 4) and (20, 4)


def row_of_cells(boxes: list[list[float]], classes: list[list[float]] | None = None) -> Cells:
    """One image, cells of stride 8 in one row: centres (4, 4), (12, 4), (20, 4), ...; logits 0 unless said."""
    count = len(boxes)
    centres = torch.stack((torch.arange(count) * 8.0 + 4, torch.full((count,), 4.0)), dim=1)
    logits = torch.zeros(count, 2) if classes is None else torch.tensor(classes)
    return Cells(
        torch.tensor(boxes, dtype=torch.float32)[None],
        torch.zeros(1, count),
        logits[None],
        centres,
        torch.full((count, 1), 8.0),
    )


def answers(found: CellPositives) -> list[tuple[int, int]]:
    """(cell, label) of each positive."""
    return list(zip(found.cell.tolist(), found.labels.tolist(), strict=True))


def test_k_is_the_sum_of_the_ious_and_the_region_is_open_at_its_border() -> None:
    # Truth A, centre (12, 4). Cells with |x - 12| < 1.5 * 8 = 12: x = 4, 12, 20, but not x = 28 (16 away), whose
    # prediction is perfect as well. IoUs of the three: 1, 6/8, 4/8; sum 2.25 -> k = 2: cells 0 and 1.
    cells = row_of_cells([A, [8, 0, 16, 6], [8, 0, 16, 4], A])
    found = SimOta()([target([A], [1])], cells)
    assert answers(found) == [(0, 1), (1, 1)]
    assert found.image.tolist() == [0, 0] and found.boxes_xyxy.tolist() == [A, A]
    # With a radius of 1 stride the cells at x = 4 and 20 are exactly 8 away: no longer near. IoU 0.75 -> k = 1.
    assert answers(SimOta(centre_radius=1.0)([target([A], [1])], cells)) == [(1, 1)]
    # At most one: the sum of the single largest IoU is 1.
    assert answers(SimOta(most=1)([target([A], [1])], cells)) == [(0, 1)]


def test_a_conflict_goes_to_the_truth_that_the_cell_costs_least() -> None:
    # All logits 0, so every class cost is 2 ln 2 and the IoU decides. Candidates of A: cells 0, 1, 2; of B: 1, 2, 3.
    #   cell 0 [8, 0, 16, 7]    IoU with A 7/8, with B 0
    #   cell 1 [10, 0, 24, 8]   area 112; A: 6*8 = 48 / (112 + 64 - 48) = 3/8; B: 64/112 = 4/7
    #   cell 2 [8, 0, 16, 2.4]  A: 0.3; B 0
    #   cell 3 [8, 0, 16, 8]    A: 1; B 0; too far from A to answer for it, but an IoU that A's k counts
    # A: k = floor(0.875 + 0.375 + 0.3 + 1) = 2: its cheapest of cells 0, 1, 2 are 0 and 1.
    # B: k = max(1, floor(4/7)) = 1: its cheapest is cell 1.
    # Cell 1 is claimed twice: it costs A -3 ln 3/8, B -3 ln 4/7, which is less: it answers for B.
    cells = row_of_cells([[8, 0, 16, 7], [10, 0, 24, 8], [8, 0, 16, 2.4], A])
    assert answers(SimOta()([target([A, B], [0, 1])], cells)) == [(0, 0), (1, 1)]
    assert answers(SimOta()([target([B, A], [1, 0])], cells)) == [(0, 0), (1, 1)], "the order of truths is irrelevant"


def test_a_truth_may_lose_its_only_cell() -> None:
    # cell 1 [8, 0, 22, 8]: area 112; A: 64/112 = 4/7, B: 48/128 = 3/8. Cell 0: A 1/2. Cells 2, 3: B 0.28, 0.25.
    # A: k = floor(0.5 + 0.571) = 1 -> cell 1. B: k = 1 -> cell 1 (3/8). The cell costs A less; B has none left.
    cells = row_of_cells([[8, 0, 16, 4], [8, 0, 22, 8], [18, 0, 24, 3], [16, 0, 24, 2]])
    assert answers(SimOta()([target([A, B], [0, 1])], cells)) == [(1, 0)]


def test_the_class_counts_beside_the_iou() -> None:
    # As before, but cell 1 says class 1 (logits -4 and 4; objectness 0, so p = sqrt(sigmoid / 2) = 0.095 and 0.701).
    # It costs A -ln 0.095 - ln(1 - 0.701) - 3 ln 4/7 = 2.36 + 1.21 + 1.68 = 5.24; cell 0 costs 2 ln 2 - 3 ln 1/2 =
    # 3.47, so A takes cell 0. It costs B -ln 0.701 - ln(1 - 0.095) - 3 ln 3/8 = 3.40, the cheapest of B.
    boxes = [[8.0, 0, 16, 4], [8, 0, 22, 8], [18, 0, 24, 3], [16, 0, 24, 2]]
    cells = row_of_cells(boxes, [[0.0, 0], [-4, 4], [0, 0], [0, 0]])
    assert answers(SimOta()([target([A, B], [0, 1])], cells)) == [(0, 0), (1, 1)]
    # Without any weight on the IoU, B takes cell 1 for its class alone, and A the first of the equally dear others.
    assert answers(SimOta(iou_weight=0.0)([target([A, B], [0, 1])], cells)) == [(0, 0), (1, 1)]


@pytest.mark.parametrize("boxes", [[], [[500.0, 500, 510, 510]], [[-90.0, -90, -80, -80]]])
def test_an_image_without_truth_or_without_a_candidate_has_no_positive(boxes: list[list[float]]) -> None:
    found = SimOta()([target(boxes, [0] * len(boxes))], row_of_cells([A, B]))
    assert len(found.cell) == len(found.image) == len(found.labels) == 0 and found.boxes_xyxy.shape == (0, 4)


def test_a_truth_without_any_overlap_still_gets_one_cell() -> None:
    nothing = [40.0, 0, 48, 8]
    assert answers(SimOta()([target([A], [1])], row_of_cells([nothing, nothing, nothing]))) == [(0, 1)]
    flat = [12.0, 4, 12, 4]  # a truth without area: its IoU is 0 everywhere
    assert answers(SimOta()([target([flat], [1])], row_of_cells([A, A, A]))) == [(0, 1)]


def random_case(images: int, truths: int, seed: int) -> tuple[list[Target], Cells]:
    """Grids of strides 8, 16 and 32 on 128 px; predictions scattered around the cells, some images without truth."""
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    centres, strides = [], []
    for stride in (8, 16, 32):
        line = (torch.arange(128 // stride) + 0.5) * stride
        centres.append(torch.cartesian_prod(line, line).flip(1))
        strides.append(torch.full((len(centres[-1]), 1), float(stride)))
    centre, stride = torch.cat(centres), torch.cat(strides)
    middle = centre + (rand(images, len(centre), 2) - 0.5) * 2 * stride
    half = (0.3 + 2 * rand(images, len(centre), 2)) * stride
    logits = rand(images, len(centre), 4) * 8 - 4
    cells = Cells(torch.cat((middle - half, middle + half), -1), logits[..., 0], logits[..., 1:], centre, stride)
    targets = []
    for image in range(images):
        count = 0 if image == 1 else truths
        low, size = rand(count, 2) * 100, 4 + rand(count, 2) * 60
        labels = (rand(count) * 3).long()
        targets.append(Target(torch.cat((low, (low + size).clamp(max=128)), dim=1), labels, f"{image}", PLACED))
    return targets, cells


def step_by_step(one: Target, boxes: Tensor, objectness: Tensor, classes: Tensor, cells: Cells) -> dict[int, int]:
    """Cell -> truth of one image, as published: dense tensors, 1e6 for cells outside, a loop over the truths."""
    middle = (one.boxes_xyxy[:, None, :2] + one.boxes_xyxy[:, None, 2:]) / 2
    near = ((cells.centres_xy[None] - middle).abs() < 1.5 * cells.strides[None]).all(dim=-1)
    kept = near.any(dim=0).nonzero()[:, 0]
    iou = box_iou(one.boxes_xyxy, boxes[kept])
    score = (classes[kept].sigmoid() * objectness[kept, None].sigmoid()).sqrt()
    score = score[None].expand(len(one.labels), -1, -1)
    wanted = F.one_hot(one.labels, classes.shape[1]).float()[:, None].expand_as(score)
    cost = F.binary_cross_entropy(score, wanted, reduction="none").sum(dim=-1)
    cost = cost + 3 * -(iou + 1e-8).log() + 1e6 * ~near[:, kept]
    matching = torch.zeros_like(cost, dtype=torch.int64)
    for truth in range(len(one.labels)):
        k = max(1, int(iou[truth].topk(min(10, len(kept))).values.sum()))
        matching[truth, cost[truth].topk(k, largest=False).indices] = 1
    for column in (matching.sum(dim=0) > 1).nonzero()[:, 0].tolist():
        matching[:, column] = 0
        matching[cost[:, column].argmin(), column] = 1
    return {int(kept[column]): int(truth) for truth, column in matching.nonzero().tolist()}


@pytest.mark.parametrize(("truths", "seed"), [(1, 0), (5, 1), (40, 2)])
def test_equals_the_published_steps(truths: int, seed: int) -> None:
    targets, cells = random_case(3, truths, seed)
    found = SimOta()(targets, cells)
    expected, seen = [], []
    for image, one in enumerate(targets):
        if len(one.labels):
            by_cell = step_by_step(one, cells.boxes_xyxy[image], cells.objectness[image], cells.classes[image], cells)
            expected += [(image, cell, one.boxes_xyxy[by_cell[cell]].tolist()) for cell in sorted(by_cell)]
    for image, cell, box in zip(found.image.tolist(), found.cell.tolist(), found.boxes_xyxy.tolist(), strict=True):
        seen.append((image, cell, box))
    assert seen == expected and len(seen) >= 2 * (truths > 0)


def test_no_gradient_the_same_twice_and_many_images() -> None:
    targets, cells = random_case(64, 20, 3)
    cells.boxes_xyxy.requires_grad_()
    cells.classes.requires_grad_()
    first, second = SimOta()(targets, cells), SimOta()(targets, cells)
    assert torch.equal(first.cell, second.cell) and torch.equal(first.boxes_xyxy, second.boxes_xyxy)
    assert not first.boxes_xyxy.requires_grad
    pairs = list(zip(first.image.tolist(), first.cell.tolist(), strict=True))
    assert pairs == sorted(set(pairs)), "a cell answers for one truth; positives are in order"
    assert 1 not in first.image.tolist()


def test_extreme_logits_cost_a_finite_amount() -> None:
    cells = row_of_cells([A, A, A], [[1e4, -1e4], [-1e4, 1e4], [1e4, 1e4]])
    assert (1, 1) in answers(SimOta()([target([A], [1])], cells))
