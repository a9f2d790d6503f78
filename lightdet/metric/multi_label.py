"""The metric of classification with several classes of an image, for validation during training and for evaluation."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lightdet.core.errors import LightdetError
from lightdet.core.types import Classification, Target
from lightdet.distributed.gather import gather_images
from lightdet.metric.calibration import calibration, reliability
from lightdet.metric.class_scores import as_answers
from lightdet.metric.contract import Contributions, Metric
from lightdet.metric.inspection import inspection
from lightdet.metric.multi_label_scores import (
    AP,
    AUROC,
    ECE,
    EXACT,
    HALF,
    HAMMING,
    MACRO_F1,
    MEAN_AP,
    MICRO_F1,
    MULTI_LABEL_SCORES,
)
from lightdet.metric.multi_label_text import multi_label_text
from lightdet.metric.ranking import auroc, average_precision, best_threshold, known


class Answered(NamedTuple):
    """One image with the prediction for it."""

    image_id: str
    shown: np.ndarray  # (C,) bool: whether it has the class
    probabilities: np.ndarray  # (C,) float64


class MultiLabelMetric(Metric):
    """How the classes rank the images, and a yes or a no for each class of each image at one threshold.

    An image without a class is a good part: the report counts how many of those get a yes, and how many others none.
    """

    scores = MULTI_LABEL_SCORES
    files = "lightdet.draw.multi_label_files:write_files"
    drawings = "lightdet.draw.multi_label_files:draw_files"

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        self.images: list[Answered] = []

    def reset(self) -> None:
        self.images = []

    def update(self, predictions: Sequence[Classification], targets: Sequence[Target]) -> None:
        """One entry per image in both. Raises LightdetError for probabilities that are not finite, and for an image
        whose classes are not known."""
        for prediction, target in zip(predictions, targets, strict=True):
            probabilities = prediction.probabilities.detach().double().cpu().numpy()
            if not np.isfinite(probabilities).all():
                raise LightdetError(f"{target.image_id}: the classifier gave a probability that is NaN or infinite")
            if target.label_set is None:
                raise LightdetError(f"{target.image_id}: no set of classes; take data.label=all")
            shown = np.isin(np.arange(len(self.classes)), target.label_set)
            self.images.append(Answered(target.image_id, shown, probabilities))

    def compute(self, full: bool = True, threshold: float | None = None) -> dict[str, Any]:
        """The scores; None where a score does not exist, as the AP of a class without an image.

        Yes is a probability of at least `threshold`; None: one half. Means over classes are over those with images.
        full=True adds to each class its AUROC, precision, recall, f1, truths (images with it), predictions (images with
        a yes) and the threshold that would be best on these images with its f1; the `operating_point`, whose precision,
        recall and f1 are those of all answers together, with what escapes and is rejected; and the reliability of the
        answers (`calibration`).
        """
        images, shown, probabilities = self._gathered()
        least = HALF if threshold is None else float(threshold)
        yes = probabilities >= least
        once = np.ones((1, len(images)))
        columns = list(zip(self.classes, probabilities.T, shown.T, yes.T, strict=True))
        per_class: dict[str, dict[str, Any]] = {
            name: {AP.key: known(average_precision(column, has, once)[0])} for name, column, has, _ in columns
        }
        counted = {name: _counts(has, said) for name, _, has, said in columns}
        together = _counts(shown, yes)
        answers, truths = as_answers(probabilities), shown.ravel().astype(np.int64)
        report: dict[str, Any] = {
            MEAN_AP.key: _mean([numbers[AP.key] for numbers in per_class.values()]),
            MICRO_F1.key: together["f1"],
            MACRO_F1.key: _mean([counts["f1"] for counts in counted.values() if counts["truths"]]),
            EXACT.key: float((yes == shown).all(axis=1).mean()) if images else None,
            HAMMING.key: float((yes != shown).mean()) if images else None,
            AUROC.key: _mean([known(auroc(column, has, once)[0]) for _, column, has, _ in columns]),
            ECE.key: reliability(answers, truths).error if images else None,
            "per_class": per_class,
            "images": len(images),
        }
        if not full or not images:
            return report
        best = {name: best_threshold(column, has) for name, column, has, _ in columns}
        for name, column, has, _ in columns:
            chosen, f1 = best[name] or (None, None)
            of_rank = {AUROC.key: known(auroc(column, has, once)[0])}
            per_class[name] |= {**of_rank, **counted[name], "best_threshold": chosen, "best_f1": f1}
        report["operating_point"] = {
            "threshold": least,
            "chosen": "one half" if threshold is None else "given",
            **together,
            "macro_f1_at_best_thresholds": _mean([found[1] for found in best.values() if found is not None]),
            **inspection(shown.sum(axis=1) > 0, yes.sum(axis=1) > 0),
        }
        image_of_answer = np.repeat([image.image_id for image in images], len(self.classes))
        report["calibration"] = calibration(answers, truths, image_of_answer.tolist())
        return report

    def contributions(self) -> Contributions:
        images, shown, probabilities = self._gathered()
        yes = probabilities >= HALF
        ones = np.ones(len(images))
        return Contributions(
            tuple(image.image_id for image in images),
            {
                MICRO_F1.key: (2.0 * (yes & shown).sum(axis=1), (yes.sum(axis=1) + shown.sum(axis=1)).astype(float)),
                EXACT.key: ((yes == shown).all(axis=1).astype(float), ones),
                HAMMING.key: ((yes != shown).mean(axis=1), ones),
            },
        )

    def text(self, report: dict[str, Any]) -> str:
        return multi_label_text(report)

    def _gathered(self) -> tuple[list[Answered], np.ndarray, np.ndarray]:
        """The images of all ranks, what they show (N, C) and their probabilities (N, C)."""
        images = gather_images(self.images, lambda image: image.image_id)
        shape = (-1, len(self.classes))
        shown = np.array([image.shown for image in images], bool).reshape(shape)
        return images, shown, np.array([image.probabilities for image in images]).reshape(shape)


def _counts(shown: np.ndarray, yes: np.ndarray) -> dict[str, Any]:
    """Answers of one class, or of all together; a ratio whose denominator is zero is None."""
    found, given, wanted = int((shown & yes).sum()), int(yes.sum()), int(shown.sum())
    return {
        "precision": found / given if given else None,
        "recall": found / wanted if wanted else None,
        "f1": 2 * found / (given + wanted) if given + wanted else None,
        "truths": wanted,
        "predictions": given,
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
