"""The contract of a detector's loss."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from lightdet.core.errors import LightdetError
from lightdet.core.types import Target, TrainingStats


class Criterion(nn.Module, ABC):
    """The loss of one kind of predictor, computed from its raw maps.

    A module without parameters: state that is kept from step to step is a buffer, saved in the checkpoint.
    """

    predictor_type: type = object  # the kind of predictor it works with

    def check(self, predictor: object) -> None:
        """Raises LightdetError for a predictor of another kind."""
        require(predictor, self.predictor_type, "predictor", type(self).__name__)

    @abstractmethod
    def forward(self, raw_maps: Sequence[Tensor], targets: Sequence[Target], predictor: Any) -> dict[str, Tensor]:
        """Raw maps and targets -> named scalar terms whose sum is the objective."""

    def set_progress(self, progress: float) -> None:  # does nothing by default
        """Called before each training step with the fraction of the training completed, 0 <= progress < 1."""

    def prepare(self, stats: TrainingStats, predictor: Any) -> str:
        """Adapt loss and predictor to statistics of the training set; returns a text of what was done."""
        return "nothing to fit"


def require(part: object, kind: type, group: str, criterion: str) -> None:
    """Raises LightdetError unless `part`, the option of the config group `group`, is a `kind`."""
    if not isinstance(part, kind):
        raise LightdetError(
            f"{group}: {criterion} works with {kind.__name__}, not {type(part).__name__}; choose predictor=, loss= and "
            "assigner= that belong together, as the presets in conf/model do"
        )
