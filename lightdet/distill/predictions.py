"""Distillation of what a teacher predicts: scores and boxes of each cell, or the probabilities of a classifier."""

from collections.abc import Sequence

from torch import Tensor

from lightdet.core.errors import LightdetError
from lightdet.core.types import Batch
from lightdet.distill.contract import Distillation
from lightdet.distill.watched import Teacher, Watched
from lightdet.model.classifier import ImageClassifier
from lightdet.model.detector import DenseDetector
from lightdet.ops.boxes import paired_iou
from lightdet.ops.grid import ImageSize

EPSILON = 1e-6


class Predictions(Distillation):
    """A detector: binary cross-entropy to the teacher's scores, weighted by the square of the difference (as quality
    focal loss does, Li et al. 2020, arXiv 2006.04388), and 1 - IoU to its boxes, weighted by its best score in the
    cell; both over the sum of those best scores. A classifier: the divergence of probabilities at a temperature, times
    its square (Hinton et al. 2015, arXiv 1503.02531).

    The teacher must predict in the cells of the student. Raises LightdetError otherwise, for other classes, and for
    models that are neither.
    """

    name = "predictions"

    def __init__(self, gain: float = 1.0, box_gain: float = 2.0, temperature: float = 4.0) -> None:
        super().__init__(gain)
        self.box_gain, self.temperature = box_gain, temperature

    def begin(self, student: Watched, teachers: Sequence[Teacher], image_size: ImageSize) -> None:
        super().begin(student, teachers, image_size)
        for teacher in teachers:
            alike = (
                isinstance(student.model, k) and isinstance(teacher.model, k) for k in (DenseDetector, ImageClassifier)
            )
            if not any(alike):
                names = f"{type(teacher.model or teacher.network).__name__} and {type(student.model).__name__}"
                raise LightdetError(f"distill=predictions: {names} do not predict alike; take distill=cwd or relation")

    def term(self, number: int, batch: Batch) -> Tensor:
        student, teacher = self.student, self.teachers[number]
        if isinstance(student.model, ImageClassifier):
            own, their = (each.raw.float() / self.temperature for each in (student, teacher))
            difference = their.log_softmax(1) - own.log_softmax(1)
            return (their.softmax(1) * difference).sum(dim=1).mean() * self.temperature**2
        (own_boxes, own_scores), (boxes, scores) = (_predicted(each) for each in (student, teacher))
        if own_scores.shape != scores.shape:
            raise LightdetError(
                f"distill=predictions: the teacher scores {scores.shape[1]} boxes of {scores.shape[2]} classes, the "
                f"student {own_scores.shape[1]} of {own_scores.shape[2]}; they predict in other cells: distill=cwd"
            )
        best = scores.amax(dim=2)
        total = best.sum().clamp(min=1.0)
        own_scores = own_scores.clamp(EPSILON, 1 - EPSILON)
        cross = -(scores * own_scores.log() + (1 - scores) * (1 - own_scores).log())
        of_class = (cross * (scores - own_scores).square()).sum() / total
        overlap = paired_iou(own_boxes.flatten(0, 1), boxes.flatten(0, 1)).view_as(best)
        return of_class + self.box_gain * ((1 - overlap) * best).sum() / total


def _predicted(watched: Watched) -> tuple[Tensor, Tensor]:
    assert isinstance(watched.model, DenseDetector)
    boxes, scores = watched.model.decoded(watched.raw)
    return boxes.float(), scores.float()
