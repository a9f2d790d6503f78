"""Results of label assignment: which anchors or cells are positive, and their ground truth."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from lightdet.core.types import Target
from lightdet.ops.boxes import xyxy_to_cxcywh


@dataclass(slots=True)
class Positives:
    """K positives of one grid: an anchor in a cell, and the ground truth assigned to it."""

    image: Tensor  # (K,) int64, index in the batch
    anchor: Tensor  # (K,) int64
    row: Tensor  # (K,) int64
    column: Tensor  # (K,) int64
    boxes_cxcywh: Tensor  # (K, 4) px, input frame: the ground truth
    labels: Tensor  # (K,) int64


@dataclass(slots=True)
class CellPositives:
    """K positive cells, ordered by image and cell, and the ground truth assigned to each."""

    image: Tensor  # (K,) int64, index in the batch
    cell: Tensor  # (K,) int64, 0..N-1
    boxes_xyxy: Tensor  # (K, 4) px, input frame: the ground truth
    labels: Tensor  # (K,) int64

    @classmethod
    def of(cls, targets: Sequence[Target], found: Sequence[tuple[Tensor, Tensor]]) -> Self:
        """`found`: of each image the cells (K,) and the index (K,) of the ground-truth box assigned to each."""
        counts = torch.tensor([len(cell) for cell, _ in found])
        cells = torch.cat([cell for cell, _ in found])
        image = torch.repeat_interleave(torch.arange(len(targets)), counts).to(cells.device)
        boxes_xyxy = torch.cat([target.boxes_xyxy[box] for target, (_, box) in zip(targets, found, strict=True)])
        labels = torch.cat([target.labels[box] for target, (_, box) in zip(targets, found, strict=True)])
        return cls(image, cells, boxes_xyxy, labels)


@dataclass(slots=True)
class GroundTruth:
    """All N ground-truth boxes of a batch."""

    image: Tensor  # (N,) int64, index in the batch
    boxes_cxcywh: Tensor  # (N, 4) px, input frame
    labels: Tensor  # (N,) int64

    @staticmethod
    def of(targets: Sequence[Target]) -> "GroundTruth":
        labels = torch.cat([target.labels for target in targets])
        counts = torch.tensor([len(target.labels) for target in targets], device=labels.device)
        image = torch.repeat_interleave(torch.arange(len(targets), device=labels.device), counts)
        return GroundTruth(image, xyxy_to_cxcywh(torch.cat([target.boxes_xyxy for target in targets])), labels)

    def at(self, box: Tensor, anchor: Tensor, cell: Tensor) -> Positives:
        """Indices (K,) of boxes and of anchors, and cells (K, 2), column and row -> the positives of a grid."""
        return Positives(self.image[box], anchor, cell[:, 1], cell[:, 0], self.boxes_cxcywh[box], self.labels[box])


class AnchorAssigner(ABC):
    """Targets and anchors -> the positives of each grid."""

    @property
    def beyond(self) -> float:
        """How far outside a positive cell the centre of its ground-truth box may lie, in cells."""
        return 0.0

    @abstractmethod
    def __call__(
        self, targets: Sequence[Target], anchors_wh: Tensor, strides: Sequence[int], shapes: Sequence[tuple[int, int]]
    ) -> list[Positives]:
        """anchors_wh (grids, A, 2) px; shapes = (height, width) of each grid -> one `Positives` per grid."""

    @abstractmethod
    def recall(self, box_sizes: Tensor, anchors_wh: Tensor) -> float:
        """Share of boxes (N, 2) px that some anchor (A, 2) px fits well; 1 when there are none."""
