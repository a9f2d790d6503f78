"""What distillations share: one pass of each teacher, and adapters between maps."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lightdet.core.errors import LightdetError
from lightdet.core.types import Batch
from lightdet.distill.watched import Teacher, Watched
from lightdet.model.contract import Model
from lightdet.ops.grid import ImageSize
from lightdet.task.extra_training import ExtraTraining


class Distillation(ExtraTraining):
    """A loss term that brings a student nearer to trained teachers; with several it is the mean over them.

    Its constructor takes its settings, `begin` the student and the teachers. Those are kept out of `modules()`: they
    are in no checkpoint, moving average or optimizer of it.
    """

    name: str  # of the option and the term
    student: Watched
    teachers: tuple[Teacher, ...]

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = gain
        self._progress = 0.0

    def begin(self, student: Watched, teachers: Sequence[Teacher], image_size: ImageSize) -> None:
        """Called once before the training; image_size: px. Raises LightdetError for a teacher that cannot teach this
        student."""
        self.student, self.teachers = student, tuple(teachers)

    def set_progress(self, progress: float) -> None:
        self._progress = progress

    def set_average(self, weights: Mapping[str, Tensor]) -> None:
        for teacher in self.teachers:
            teacher.follow(weights)

    def losses(self, model: Model, batch: Batch) -> dict[str, Tensor]:
        terms = []
        for number, teacher in enumerate(self.teachers):
            if self._progress < teacher.begins:
                terms.append(sum((0 * each.sum() for each in self.parameters()), batch.images.new_zeros(())))
                continue  # each parameter takes part in each loss: several ranks wait for its gradient
            teacher.see(batch.images)
            terms.append(self.term(number, batch))
        return {f"distill_{self.name}": self.gain * torch.stack(terms).mean()}

    @abstractmethod
    def term(self, number: int, batch: Batch) -> Tensor:
        """The scalar term of the teacher of this number; it and the student have seen the batch."""


class MapDistillation(Distillation):
    """Compares maps: those in which an explanation looks, with the teacher's of the same order.

    An adapter, a 1 x 1 convolution that is trained and thrown away, gives each map the teacher's channels; the
    teacher's map is resized to the student's. Raises LightdetError for models without maps or with another number.
    """

    def begin(self, student: Watched, teachers: Sequence[Teacher], image_size: ImageSize) -> None:
        super().begin(student, teachers, image_size)
        own = student.channels(image_size)
        self.adapters = nn.ModuleList()
        for teacher in teachers:
            theirs = teacher.channels(image_size)
            if not own or len(own) != len(theirs):
                raise LightdetError(
                    f"distill={self.name}: the student has {len(own)} maps and the teacher {len(theirs)}; take "
                    "distill=relation, or a teacher with the same grids"
                )
            self.adapters.append(nn.ModuleList(map(self.adapter, own, theirs)))

    def adapter(self, own: int, their: int) -> nn.Module:
        """(B, own, H, W) -> (B, their, H, W)."""
        return nn.Conv2d(own, their, 1)

    def term(self, number: int, batch: Batch) -> Tensor:
        adapters: Any = self.adapters[number]
        terms = [
            self.distance(adapter(own).float(), _resized(their, own).float())
            for adapter, own, their in zip(adapters, self.student.maps, self.teachers[number].maps, strict=True)
        ]
        return torch.stack(terms).mean()

    @abstractmethod
    def distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Two maps (B, C, H, W) of the same shape -> how far the student's is from the teacher's."""


def _resized(teacher: Tensor, student: Tensor) -> Tensor:
    if teacher.shape[-2:] == student.shape[-2:]:
        return teacher
    return nn.functional.interpolate(teacher, size=student.shape[-2:], mode="bilinear", align_corners=False)
