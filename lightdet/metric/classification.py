"""The metric of image classification, for validation during training and for evaluation."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lightdet.core.errors import LightdetError
from lightdet.core.types import Classification, Target
from lightdet.distributed.gather import gather_images
from lightdet.metric.calibration import calibration, reliability
from lightdet.metric.class_scores import one_against_rest
from lightdet.metric.classification_scores import (
    ACCURACY,
    AUROC,
    AVERAGE_PRECISION,
    BALANCED,
    CLASSIFICATION_SCORES,
    COST,
    ECE,
    G_MEAN,
    RECALL,
)
from lightdet.metric.classification_text import classification_text
from lightdet.metric.contract import Contributions, Metric
from lightdet.metric.costs import cheapest
from lightdet.metric.inspection import inspection
from lightdet.metric.ranking import auroc, average_precision, known


class Judged(NamedTuple):
    """One image with the prediction for it."""

    image_id: str
    label: int
    probabilities: np.ndarray  # (C,) float64


class ClassificationMetric(Metric):
    """Right and wrong decisions, their cost, the ranking by probability, and how far the probabilities can be believed.

    `costs` (C, C): of deciding for the column where the row is true. With `by_cost` the decision is the one of the
    least expected cost, otherwise the most probable class. `good`: the label of sound parts, where there is one; then
    the report counts images that escape and that are rejected without need.
    """

    scores = CLASSIFICATION_SCORES
    files = "lightdet.draw.classification_files:write_files"
    drawings = "lightdet.draw.classification_files:draw_files"

    def __init__(
        self, classes: Sequence[str], costs: np.ndarray, by_cost: bool = False, good: int | None = None
    ) -> None:
        self.classes = tuple(classes)
        self.costs = costs
        self.by_cost = by_cost
        self.good = good
        self.images: list[Judged] = []

    def reset(self) -> None:
        self.images = []

    def update(self, predictions: Sequence[Classification], targets: Sequence[Target]) -> None:
        """One entry per image in both. Raises LightdetError for probabilities that are not finite, and for an image
        without a class."""
        for prediction, target in zip(predictions, targets, strict=True):
            probabilities = prediction.probabilities.detach().double().cpu().numpy()
            if not np.isfinite(probabilities).all():
                raise LightdetError(f"{target.image_id}: the classifier gave a probability that is NaN or infinite")
            if target.class_label is None:
                raise LightdetError(
                    f"{target.image_id}: no class; a classifier is measured on images with a class each"
                )
            self.images.append(Judged(target.image_id, target.class_label, probabilities))

    def decisions(self, probabilities: np.ndarray) -> np.ndarray:
        """(N, C) -> (N,) labels."""
        return cheapest(probabilities, self.costs) if self.by_cost else probabilities.argmax(axis=1)

    def compute(self, full: bool = True, threshold: float | None = None) -> dict[str, Any]:
        """The scores; None where a score does not exist, as the recall of a class without an image.

        Means are over the classes with images. full=True adds precision, f1 and images per class, the confusion matrix,
        the reliability of the probabilities with the temperature that fits them (`calibration`), and for data with good
        parts `inspection`: escape and overkill. `threshold` is not used: a class is decided, not accepted.
        """
        images, labels, probabilities = self._gathered()
        count = len(self.classes)
        decided = self.decisions(probabilities)
        matrix = np.zeros((count, count), np.int64)
        np.add.at(matrix, (labels, decided), 1)
        recalls = _shares(matrix.diagonal(), matrix.sum(axis=1))
        existing = [recall for recall in recalls if recall is not None]
        curve = reliability(probabilities, labels)
        shown, once = labels[:, None] == np.arange(count), np.ones((1, len(images)))
        report: dict[str, Any] = {
            ACCURACY.key: _mean(decided == labels),
            BALANCED.key: _mean(existing),
            COST.key: _mean(self.costs[labels, decided]),
            AUROC.key: known(one_against_rest(auroc, probabilities, shown, once)[0]),
            AVERAGE_PRECISION.key: known(one_against_rest(average_precision, probabilities, shown, once)[0]),
            G_MEAN.key: float(np.prod(existing) ** (1 / len(existing))) if existing else None,
            ECE.key: curve.error if len(images) else None,
            "per_class": {name: {RECALL.key: recall} for name, recall in zip(self.classes, recalls, strict=True)},
            "images": len(images),
        }
        if not full or not images:
            return report
        if self.by_cost:
            report["expected_cost_of_most_probable"] = _mean(self.costs[labels, probabilities.argmax(axis=1)])
        precisions = _shares(matrix.diagonal(), matrix.sum(axis=0))
        for label, name in enumerate(self.classes):
            given, wanted = int(matrix[:, label].sum()), int(matrix[label].sum())
            f1 = 2 * int(matrix[label, label]) / (given + wanted) if given + wanted else None
            report["per_class"][name] |= {"precision": precisions[label], "f1": f1, "truths": wanted}
        report["confusion"] = {"matrix": matrix.tolist()}
        report["calibration"] = calibration(probabilities, labels, [image.image_id for image in images])
        if self.good is not None:
            report["inspection"] = inspection(labels != self.good, decided != self.good)
        return report

    def contributions(self) -> Contributions:
        images, labels, probabilities = self._gathered()
        decided = self.decisions(probabilities)
        ones = np.ones(len(images))
        return Contributions(
            tuple(image.image_id for image in images),
            {
                ACCURACY.key: ((decided == labels).astype(float), ones),
                COST.key: (self.costs[labels, decided], ones),
            },
        )

    def _gathered(self) -> tuple[list[Judged], np.ndarray, np.ndarray]:
        """The images of all ranks, their labels (N,) and their probabilities (N, C)."""
        images = gather_images(self.images, lambda image: image.image_id)
        labels = np.array([image.label for image in images], np.int64)
        return images, labels, np.array([image.probabilities for image in images]).reshape(-1, len(self.classes))

    def text(self, report: dict[str, Any]) -> str:
        return classification_text(report)


def _shares(parts: np.ndarray, wholes: np.ndarray) -> list[float | None]:
    return [int(part) / int(whole) if whole else None for part, whole in zip(parts, wholes, strict=True)]


def _mean(values: Sequence[float] | np.ndarray) -> float | None:
    return float(np.mean(values)) if len(values) else None
