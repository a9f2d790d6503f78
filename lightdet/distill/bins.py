"""Localization distillation: where a teacher doubts the side of a box, and how much, is learnt as well.

Zheng et al. 2022, arXiv 2102.12252 (LD). The original could not be read here; this is our reading of its description
and of the settings that implementations publish (temperature 10).
"""

from collections.abc import Sequence

from torch import Tensor

from lightdet.core.errors import LightdetError
from lightdet.core.types import Batch
from lightdet.distill.contract import Distillation
from lightdet.distill.watched import Teacher, Watched
from lightdet.ops.grid import ImageSize
from lightdet.predictor.distances import Distances


class Bins(Distillation):
    """T^2 times the Kullback-Leibler divergence from the teacher's distributions of the four distances to the
    student's, at a temperature T: the mean over the sides, and over the cells, weighted by the teacher's best score.

    The cells are those in which that score is at least `least`: what the paper calls the main region, and of the
    valuable region around it as much as the teacher believes in. Differs: the paper draws both regions by the
    ground truth, and weighs the second as a whole.
    Raises LightdetError unless teacher and student predict distributions of as many bins in the same cells.
    """

    name = "bins"

    def __init__(self, gain: float = 0.5, temperature: float = 10.0, least: float = 0.05) -> None:
        super().__init__(gain)
        self.temperature, self.least = temperature, least

    def begin(self, student: Watched, teachers: Sequence[Teacher], image_size: ImageSize) -> None:
        super().begin(student, teachers, image_size)
        own = _predictor(student)
        for teacher in teachers:
            their = _predictor(teacher)
            if (own.bins, own.strides) != (their.bins, their.strides) or own.bins == 1:
                raise LightdetError(
                    f"distill=bins: the teacher has {their.bins} bins at strides {_listed(their)}, the student "
                    f"{own.bins} at {_listed(own)}; both need the same, of 2 bins or more: distill=predictions or cwd"
                )

    def term(self, number: int, batch: Batch) -> Tensor:
        own, their = (_predictor(each).flatten(each.raw) for each in (self.student, self.teachers[number]))
        predictor = _predictor(self.student)
        width = 4 * predictor.bins
        best = their[..., width:].sigmoid().amax(dim=-1).flatten()
        cells = (best >= self.least).nonzero()[:, 0]
        weight = best[cells]
        sides = [
            (each.flatten(0, 1).index_select(0, cells)[:, :width].unflatten(1, (4, -1)) / self.temperature).log_softmax(
                2
            )
            for each in (own, their)
        ]
        divergence = (sides[1].exp() * (sides[1] - sides[0])).sum(dim=2).mean(dim=1)  # of each cell
        return self.temperature**2 * (divergence * weight).sum() / weight.sum().clamp(min=1.0)


def _predictor(watched: Watched) -> Distances:
    predictor = getattr(watched.network, "predictor", None)
    if not isinstance(predictor, Distances):
        raise LightdetError(
            f"distill=bins: {type(predictor or watched.network).__name__} predicts no distances as distributions, as "
            "predictor=distances does; take distill=predictions or cwd"
        )
    return predictor


def _listed(predictor: Distances) -> str:
    return ", ".join(map(str, predictor.strides))
