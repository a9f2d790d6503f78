"""Channel-wise distillation. Shu et al. 2021, arXiv 2011.13256."""

from collections.abc import Sequence

from torch import Tensor

from lightdet.core.errors import LightdetError
from lightdet.distill.contract import MapDistillation
from lightdet.model.contract import Model
from lightdet.ops.grid import ImageSize


class Cwd(MapDistillation):
    """Each channel of a map as a distribution over its places; the term is T^2 / C times the Kullback-Leibler
    divergence from the teacher's to the student's (equations 3 and 4), mean over the batch and the maps."""

    name = "cwd"

    def __init__(
        self,
        student: Model,
        teachers: Sequence[Model],
        image_size: ImageSize,
        gain: float = 5.0,
        temperature: float = 4.0,
    ) -> None:
        super().__init__(student, teachers, image_size, gain)
        if not temperature > 0:
            raise LightdetError(f"distill.cwd.temperature={temperature}: a number above 0")
        self.temperature = temperature

    def distance(self, student: Tensor, teacher: Tensor, number: int, level: int) -> Tensor:
        batch, channels = student.shape[:2]
        own = (student.flatten(2) / self.temperature).log_softmax(dim=2)
        their = (teacher.flatten(2) / self.temperature).log_softmax(dim=2)
        divergence = (their.exp() * (their - own)).sum()
        return divergence * self.temperature**2 / (batch * channels)
