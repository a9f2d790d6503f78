"""The contract between a metric and everything that validates, evaluates or compares models."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from lightdet.core.score import Score


@dataclass(frozen=True, slots=True)
class Contributions:
    """What each image contributes to scores that are ratios of sums over images.

    `image_ids`: one per image. `scores`: key of a score -> (numerator (I,), denominator (I,)), float64; the score is
    sum(numerator) / sum(denominator), also over any resample of the images.
    """

    image_ids: tuple[str, ...]
    scores: dict[str, tuple[np.ndarray, np.ndarray]]


class Metric(Protocol):
    """Collects predictions and targets batch by batch and computes the declared scores of the whole set.

    Under distributed training `compute` returns the scores of the images of all ranks on every rank.
    """

    @property
    def scores(self) -> tuple[Score, ...]:
        """What `compute` returns and a training logs; exactly one of them is primary."""
        ...

    def update(self, predictions: Sequence[Any], targets: Sequence[Any]) -> None:
        """Adds a batch: as many predictions, as the model's `predict` returns them, as targets."""
        ...

    def compute(self, full: bool = True) -> dict[str, Any]:
        """The scores as plain JSON types under their keys; None where a score does not exist.

        Scores per class lie under "per_class", by class name. full=False computes what validation after an epoch
        needs; full=True may add whatever a report of the task shows.
        """
        ...

    def reset(self) -> None:
        """Forgets all images."""
        ...

    def contributions(self) -> Contributions | None:
        """Per-image contributions to the scores, for paired resampling; None where scores are no such ratios."""
        ...
