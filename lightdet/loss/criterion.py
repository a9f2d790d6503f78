"""What a detector asks of its loss."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from lightdet.core.errors import LightdetError
from lightdet.core.types import Target, TrainingStats


class Criterion(nn.Module, ABC):
    """Belongs to one kind of predictor, whose raw maps it understands.

    A module without parameters: what a loss has to remember from step to step is a buffer and lies in the checkpoint.
    """

    teaches: type = object  # that kind of predictor

    def check(self, predictor: object) -> None:
        """Raises LightdetError for a predictor of another kind."""
        require(predictor, self.teaches, "predictor", type(self).__name__)

    @abstractmethod
    def forward(self, raw_maps: Sequence[Tensor], targets: Sequence[Target], predictor: Any) -> dict[str, Tensor]:
        """Named scalar terms whose sum is the objective."""

    def set_progress(self, progress: float) -> None:  # nothing changes unless a criterion says so
        """The share of the training that is over, 0 <= progress < 1, before each step; see `Detector.at`."""

    def prepare(self, stats: TrainingStats, predictor: Any) -> str:
        """Adapt loss and predictor to the training set; says what was done."""
        return "nothing to fit"


def require(part: object, kind: type, room: str, criterion: str) -> None:
    """Raises LightdetError where the option of `room` is not of the kind that the criterion works with."""
    if not isinstance(part, kind):
        raise LightdetError(
            f"{room}: {criterion} works with {kind.__name__}, not {type(part).__name__}; choose predictor=, loss= and "
            "assigner= that belong together, as the presets in conf/model do"
        )
