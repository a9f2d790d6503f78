"""Relational distillation: how objects lie to each other in features.

Our reading of Park et al. 2019, arXiv 1904.05068, whose text could not be read here.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torchvision.ops import roi_align

from lightdet.core.annotation import Boxes
from lightdet.core.errors import LightdetError
from lightdet.core.types import Batch
from lightdet.distill.contract import Distillation
from lightdet.distill.watched import Teacher, Watched
from lightdet.ops.grid import ImageSize

MOST = 64  # objects of a batch that are compared: every k-th of more
SAMPLES = 3  # along each side of an object, whose mean is its vector
LEAST = 1e-3  # of lengths and distances: below it differences of products are rounding


class Relation(Distillation):
    """The Huber distance between student and teacher of the distances between the vectors of two objects, each over the
    mean of all, and of the cosines of the angles between three, times `angle_gain`.

    Objects are the ground-truth boxes of a batch, and whole images where a model needs no boxes; the vector of one is
    the mean of each map in its box, all maps in a row, each over its mean length, so that all count alike. Only
    relations are compared, so maps may have any widths and need no adapters. A batch of fewer than three objects gives
    0. Raises LightdetError for a model without maps.
    """

    name = "relation"

    def __init__(self, gain: float = 1.0, angle_gain: float = 2.0) -> None:
        super().__init__(gain)
        self.angle_gain = angle_gain

    def begin(self, student: Watched, teachers: Sequence[Teacher], image_size: ImageSize) -> None:
        super().begin(student, teachers, image_size)
        for each in (student, *teachers):
            if not each.channels(image_size):
                name = type(each.model or each.network).__name__
                raise LightdetError(f"distill=relation: {name} has no maps; take distill=predictions")

    def term(self, number: int, batch: Batch) -> Tensor:
        rois = self._objects(batch)
        if len(rois) < 3:
            return sum((0 * each.sum() for each in self.student.maps), batch.images.new_zeros(()))
        height = batch.images.shape[-2]
        own, their = (_vectors(each.maps, rois, height) for each in (self.student, self.teachers[number]))
        pairs = zip(relations(own), relations(their), strict=True)
        distance, angle = (F.smooth_l1_loss(mine, others) for mine, others in pairs)
        return distance + self.angle_gain * angle

    def _objects(self, batch: Batch) -> Tensor:
        """(K, 5): the image's number in the batch, and the box in input px."""
        height, width = batch.images.shape[-2:]
        whole = batch.images.new_tensor([[0, 0, width, height]])
        kind = None if self.student.model is None else self.student.model.annotation
        boxed = kind is not None and issubclass(kind, Boxes)
        boxes = [target.boxes_xyxy if boxed else whole for target in batch.targets]
        rois = torch.cat([F.pad(each, (1, 0), value=float(number)) for number, each in enumerate(boxes)])
        return rois[:: max(1, -(-len(rois) // MOST))]


def _vectors(maps: Sequence[Tensor], rois: Tensor, height: int) -> Tensor:
    """(K, D) float32 of K objects; height: of the images, px."""
    parts = []
    for each in maps:
        pooled = roi_align(each.float(), rois.float(), 1, each.shape[-2] / height, SAMPLES, True)[..., 0, 0]
        parts.append(pooled / pooled.norm(dim=1).mean().clamp(min=LEAST))
    return torch.cat(parts, dim=1)


def relations(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """(K, D) -> the distance of each two over the mean of all (K, K), and at each object the cosine of the angle
    between the directions to two others (K, K, K)."""
    vectors = vectors - vectors.mean(dim=0)  # smaller products, the same differences
    products = vectors @ vectors.T
    lengths = products.diagonal()
    squares = lengths[:, None] + lengths - 2 * products
    distances = squares.clamp(min=LEAST**2).sqrt()
    between = products - products[:, :, None] - products[:, None] + lengths[:, None, None]
    cosines = between / (distances[:, :, None] * distances[:, None])
    count = len(vectors)
    others = ~torch.eye(count, dtype=torch.bool, device=vectors.device)
    return distances / distances[others].mean(), cosines
