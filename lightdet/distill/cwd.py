"""Channel-wise distillation. Shu et al. 2021, arXiv 2011.13256."""

from torch import Tensor

from lightdet.distill.contract import MapDistillation


class Cwd(MapDistillation):
    """Each channel of a map as a distribution over its places; the term is T^2 / C times the Kullback-Leibler
    divergence from the teacher's to the student's, mean over the batch and the maps."""

    name = "cwd"

    def __init__(self, gain: float = 5.0, temperature: float = 4.0) -> None:
        super().__init__(gain)
        self.temperature = temperature

    def distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        batch, channels = student.shape[:2]
        own = (student.flatten(2) / self.temperature).log_softmax(dim=2)
        their = (teacher.flatten(2) / self.temperature).log_softmax(dim=2)
        divergence = (their.exp() * (their - own)).sum()
        return divergence * self.temperature**2 / (batch * channels)
