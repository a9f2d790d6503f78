"""Per-image results of a run's validation split, and its scores on any resample of the images. No torch here.

`detections.json` (a detector's boxes and the ground truth) gives mean average precision; `contributions.json`, of any
other metric, gives ratios of sums over images; `probabilities.json`, which a classifier keeps beside it, gives the
scores that are none, such as AUROC and calibration error.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lightdet.config.tree import digest
from lightdet.metric import class_scores
from lightdet.metric.bootstrap import MEANS, mean_precisions
from lightdet.metric.classification_scores import ACCURACY
from lightdet.metric.contract import Contributions
from lightdet.metric.contributions import FILE_NAME as CONTRIBUTIONS
from lightdet.metric.contributions import read_contributions
from lightdet.metric.detections_file import FILE_NAME as DETECTIONS
from lightdet.metric.detections_file import KeptDetections, read_detections
from lightdet.metric.match_record import match_records
from lightdet.metric.probabilities_file import FILE_NAME as PROBABILITIES
from lightdet.metric.probabilities_file import KeptProbabilities, read_probabilities

Scores = Callable[[np.ndarray], np.ndarray]  # how often each image counts (R, I) -> scores (R, K), NaN for none


@dataclass(frozen=True, slots=True)
class PerImage:
    """One run's validation split, image by image."""

    file: str  # that it was read from
    images: int  # I
    data: str  # digest of the image ids and, where they are kept, classes and ground truth: equal for comparable runs
    keys: tuple[str, ...]  # of K scores
    scores_on: Scores


def read_per_image(folder: Path) -> PerImage | str | None:
    """The file in a run's folder, a string with the reason why it cannot be used, or None where there is none.

    Raises LightdetError for a broken file.
    """
    if (folder / DETECTIONS).exists():
        return _of_detections(read_detections(folder / DETECTIONS))
    contributions = read_contributions(folder)
    if contributions is None:
        return None
    if not contributions.image_ids or not contributions.scores:
        return "no validation images"
    numerators, denominators = (
        np.stack([sums[side] for sums in contributions.scores.values()], axis=1) for side in (0, 1)
    )

    def ratios(counts: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return (counts @ numerators) / (counts @ denominators)

    ids, keys = contributions.image_ids, tuple(contributions.scores)
    of_ratios = PerImage(CONTRIBUTIONS, len(ids), digest(list(ids)), keys, ratios)
    kept = read_probabilities(folder)
    return of_ratios if kept is None else _with_probabilities(of_ratios, contributions, kept)


def _with_probabilities(ratios: PerImage, contributions: Contributions, kept: KeptProbabilities) -> PerImage | str:
    """The same images with the scores of their probabilities after the ratios."""
    file, ids = f"{CONTRIBUTIONS} with {PROBABILITIES}", contributions.image_ids
    places = {image_id: place for place, image_id in enumerate(kept.image_ids)}
    if places.keys() != set(ids):
        return f"{file}: not of the same images: evaluate the run again"
    order = np.array([places[image_id] for image_id in ids])
    probabilities, shown = kept.probabilities[order], kept.shown[order]
    data = digest([kept.classes, ids, hashlib.sha256(np.packbits(shown).tobytes()).hexdigest()])
    keys: tuple[str, ...] = class_scores.OF_SEVERAL_CLASSES
    if kept.one_class and ACCURACY.key not in contributions.scores:
        return ratios  # of a metric that is not ours: which decisions are right is not known
    if kept.one_class:
        keys, labels, right = class_scores.OF_ONE_CLASS, shown.argmax(axis=1), contributions.scores[ACCURACY.key][0]

    def scores(counts: np.ndarray) -> np.ndarray:
        if kept.one_class:
            others = class_scores.of_one_class(probabilities, labels, right, counts)
        else:
            others = class_scores.of_several_classes(probabilities, shown, counts)
        return np.concatenate([ratios.scores_on(counts), others], axis=1)

    return PerImage(file, len(ids), data, (*ratios.keys, *keys), scores)


def _of_detections(kept: KeptDetections) -> PerImage | str:
    if not kept.images:
        return "no validation images"
    records = match_records(kept.images, len(kept.classes))
    if not any(record.positives.any() for record in records):
        return "no ground truth in the validation images"
    annotated = [image.ground_truth.tobytes() + b";" + image.crowd.tobytes() for image in kept.images]
    ground_truth = hashlib.sha256(b"".join(annotated)).hexdigest()
    data = digest([kept.classes, kept.image_ids, ground_truth])
    return PerImage(DETECTIONS, len(kept.images), data, MEANS, lambda counts: mean_precisions(records, counts))
