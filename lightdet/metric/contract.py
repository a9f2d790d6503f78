"""The contract between a metric and everything that validates, evaluates or compares models. No torch here."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lightdet.core.score import Score


@dataclass(frozen=True, slots=True)
class Contributions:
    """What each image contributes to scores that are ratios of sums over images.

    image_ids: one per image.
    scores: key of a score -> (numerator (I,), denominator (I,)), float64. The score is sum(numerator) /
        sum(denominator), also over any resample of the images.
    """

    image_ids: tuple[str, ...]
    scores: dict[str, tuple[np.ndarray, np.ndarray]]


class Metric(ABC):
    """Collects predictions and targets batch by batch and computes the declared scores of the whole set.

    scores: the numbers that `compute` returns and a training logs; exactly one of them is primary.
    files: a function that adds files of numbers to an evaluation, as module:function, called with (folder, report,
        metric, records); "": none. It may add keys to the report.
    drawings: a function that adds curves and pictures when all numbers are on disk, as module:function, called with
        (folder, report, metric, records, max_pictures); "": none.

    Under distributed training every rank updates with its share, and `compute` returns the scores of all images on
    every rank.
    """

    scores: tuple[Score, ...]
    files: str = ""
    drawings: str = ""

    @abstractmethod
    def update(self, predictions: Sequence[Any], targets: Sequence[Any]) -> None:
        """Adds a batch: predictions as the model's `predict` returns them and as many targets, both in input px."""

    @abstractmethod
    def compute(self, full: bool = True, threshold: float | None = None) -> dict[str, Any]:
        """The scores as plain JSON types under their keys; None where a score does not exist.

        Scores per class lie under "per_class", by class name. full=False computes what validation after an epoch
        needs; full=True adds what a report of the task shows. `threshold`: the least score that counts, for metrics
        with an operating point; None: one that the metric chooses, such as the best one for these images. The report
        then has it under "operating_point"."threshold".
        """

    @abstractmethod
    def reset(self) -> None:
        """Forgets all images."""

    def contributions(self) -> Contributions | None:
        """Per-image contributions to the scores, for paired resampling; None where the scores are no such ratios."""
        return None

    def text(self, report: dict[str, Any]) -> str:
        """What `compute` returned as a few lines for a terminal: each score of the whole set with its title."""
        whole = [score for score in self.scores if not score.per_class]
        return "  ".join(f"{score.title} {_number(report[score.key])}" for score in whole)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
