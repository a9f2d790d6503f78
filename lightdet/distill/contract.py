"""What distillations share: teachers that are in no checkpoint, and the maps of the student in its own pass."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lightdet.core.errors import LightdetError
from lightdet.core.types import Batch
from lightdet.model.contract import Model
from lightdet.nn.capture import captured
from lightdet.nn.inputs import blank_image
from lightdet.nn.mode import in_mode
from lightdet.ops.grid import ImageSize
from lightdet.task.extra_training import ExtraTraining


class Distillation(ExtraTraining):
    """A loss term that brings a student nearer to trained teachers; with several it is the mean over them.

    The teachers are in eval mode, see the images of the student's batch, and are kept out of `modules()`: they are in
    no checkpoint, moving average or optimizer.
    """

    name: str  # of the term

    def __init__(self, student: Model, teachers: Sequence[Model], gain: float) -> None:
        """Raises LightdetError for a gain that is negative."""
        super().__init__()
        if not gain >= 0:
            raise LightdetError(f"distill.{self.name}.gain={gain}: a number that is not negative")
        self.gain = gain
        self._teachers = tuple(teacher.eval().requires_grad_(False) for teacher in teachers)

    def losses(self, model: Model, batch: Batch) -> dict[str, Tensor]:
        terms = []
        for number, teacher in enumerate(self._teachers):
            teacher.to(batch.images.device)
            terms.append(self.term(model, teacher, number, batch.images))
        return {f"distill_{self.name}": self.gain * torch.stack(terms).mean()}

    @abstractmethod
    def term(self, student: Model, teacher: Model, number: int, images: Tensor) -> Tensor:
        """The scalar term of one teacher, `number` of all; images (B, C, H, W) 0..1."""


class MapDistillation(Distillation):
    """Compares maps: those in which an explanation looks, with the teacher's of the same order.

    An adapter, a 1 x 1 convolution that is trained and thrown away, gives each map the teacher's channels; the
    teacher's map is resized to the student's. Raises LightdetError for models without maps or with another number.
    """

    def __init__(self, student: Model, teachers: Sequence[Model], image_size: ImageSize, gain: float) -> None:
        super().__init__(student, teachers, gain)
        own = _channels(student, image_size)
        self.adapters = nn.ModuleList()
        for teacher in self._teachers:
            theirs = _channels(teacher, image_size)
            if not own or len(own) != len(theirs):
                raise LightdetError(
                    f"distill={self.name}: the student has {len(own)} maps and the teacher {len(theirs)}; take "
                    "distill=predictions, or a teacher with the same grids"
                )
            self.adapters.append(nn.ModuleList(nn.Conv2d(c, t, 1) for c, t in zip(own, theirs, strict=True)))
        self._context = captured(student.network, _layers(student))
        self._maps = self._context.__enter__()  # every pass of the student fills it, as long as there is a student

    def term(self, student: Model, teacher: Model, number: int, images: Tensor) -> Tensor:
        with torch.no_grad():
            theirs = _maps(teacher, images)
        adapters: Any = self.adapters[number]
        terms = [
            self.distance(adapter(own).float(), _resized(their, own).float(), number, level)
            for level, (adapter, own, their) in enumerate(zip(adapters, self._maps.values(), theirs, strict=True))
        ]
        return torch.stack(terms).mean()

    @abstractmethod
    def distance(self, student: Tensor, teacher: Tensor, number: int, level: int) -> Tensor:
        """Two maps (B, C, H, W) of the same shape -> how far the student's is from the teacher's."""


def _layers(model: Model) -> tuple[str, ...]:
    return model.explained() or model.layers()


def _maps(model: Model, images: Tensor) -> list[Tensor]:
    with captured(model.network, _layers(model)) as found:
        model.network(images)
    return [each for each in found.values() if each.ndim == 4]


def _channels(model: Model, image_size: ImageSize) -> list[int]:
    with torch.no_grad(), in_mode(False, model):
        return [each.shape[1] for each in _maps(model, blank_image(model.network, image_size))]


def _resized(teacher: Tensor, student: Tensor) -> Tensor:
    if teacher.shape[-2:] == student.shape[-2:]:
        return teacher
    return nn.functional.interpolate(teacher, size=student.shape[-2:], mode="bilinear", align_corners=False)
