"""Per-image results of a run's validation split, and its scores on any resample of the images. No torch here.

`detections.json` (a detector's boxes and the ground truth) gives mean average precision; `contributions.json`, of any
other metric, gives ratios of sums over images.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lightdet.config.tree import digest
from lightdet.metric.bootstrap import MEANS, mean_precisions
from lightdet.metric.contributions import read_contributions
from lightdet.metric.detections_file import FILE_NAME as DETECTIONS
from lightdet.metric.detections_file import KeptDetections, read_detections
from lightdet.metric.match_record import match_records


@dataclass(frozen=True, slots=True)
class PerImage:
    """One run's validation split, image by image."""

    file: str  # that it was read from
    images: int  # I
    data: str  # digest of the image ids and, of detections, classes and ground truth: equal for comparable runs
    keys: tuple[str, ...]  # of K scores
    scores_on: Callable[[np.ndarray], np.ndarray]  # how often each image counts (R, I) -> scores (R, K), NaN for none


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
    data = digest(list(contributions.image_ids))

    def ratios(counts: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return (counts @ numerators) / (counts @ denominators)

    return PerImage("contributions.json", len(contributions.image_ids), data, tuple(contributions.scores), ratios)


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
