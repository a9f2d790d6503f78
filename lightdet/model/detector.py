"""The contract between detectors and everything that trains, evaluates or runs them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

from lightdet.core.types import Detections, Target, TrainingFacts


class Detector(nn.Module, ABC):
    """Two verbs; neither changes its meaning with `self.training`."""

    @abstractmethod
    def losses(self, images: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        """images (B, 3, H, W) RGB 0..1, targets in input px -> named scalar terms whose sum is the objective."""

    @abstractmethod
    def detect(self, images: Tensor) -> list[Detections]:
        """images (B, 3, H, W) RGB 0..1 -> B detections, boxes in input px."""

    result = "lightdet.engine.detection_result:DetectionResult"  # what a person gets per image, as module:class
    network: nn.Module  # the part that turns images into raw maps: what is counted, timed and exported

    def fit_to(self, facts: TrainingFacts) -> str:
        """Adapt what may depend on the training set, before training; says what was done."""
        return ""

    def at(self, progress: float) -> None:
        """Said before every training step: the share of the training's epochs that is over, 0 <= progress < 1.

        For losses that change on the way. What follows must depend on `progress` alone, not on what was said before:
        a resumed training says it anew.
        """

    def placement(self) -> str:
        """Where the attention stands, for the line printed at the start."""
        return "none"
