"""One score per image from the files of an evaluation: how surely a model calls the part defective. No torch here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json
from lightdet.metric.coco import iou_index
from lightdet.metric.detections_file import FILE_NAME, MOST_BYTES, read_detections
from lightdet.metric.match_record import ImageBoxes, match_records, overlaps

PROBABILITIES = "probabilities.json"
MATCH_IOU = 0.5  # least overlap of a right box with its ground truth
NONE = -np.inf  # the score of an image in which nothing is found: no threshold rejects it


@dataclass(frozen=True, slots=True)
class ImageScores:
    """I images, C classes. A part is rejected where its score reaches the threshold.

    overall (I,): a detector's best box, the most probable class of a model that gives several, or a classifier's
    probability that the part is not good; NONE without a box. by_class (I, C): the same of each class. present (I, C)
    bool: the classes in the ground truth, without that of good parts. defective (I,) bool: ground truth of any kind.
    found, found_images (K,): scores of a detector's right boxes (IoU >= 0.5, same class, after `predict`'s suppression
    across classes), and their images; boxes (I,): ground-truth boxes.
    """

    image_ids: tuple[str, ...]
    classes: tuple[str, ...]
    good: str | None  # the class of sound parts, of a classifier
    overall: np.ndarray
    by_class: np.ndarray
    present: np.ndarray
    defective: np.ndarray
    found: np.ndarray
    found_images: np.ndarray
    boxes: np.ndarray

    @property
    def defects(self) -> tuple[int, ...]:
        """The labels of all classes but that of sound parts."""
        return tuple(label for label, name in enumerate(self.classes) if name != self.good)


def scores_file(folder: Path) -> Path | None:
    """The file with the scores of an evaluation's images in a folder; None where there is none."""
    return next((folder / name for name in (FILE_NAME, PROBABILITIES) if (folder / name).is_file()), None)


def read_scores(file: Path, good: str, overlap: float) -> ImageScores:
    """The scores in detections.json, or in probabilities.json of a classifier, whose class of sound parts is `good`.

    overlap: IoU above which `predict` drops the lower scored of two boxes. Raises LightdetError for a damaged file, and
    for a classifier of one class per image that knows no good parts: it rejects nothing or everything.
    """
    if file.name == FILE_NAME:
        kept = read_detections(file)
        return of_detections(kept.image_ids, kept.classes, kept.images, overlap)
    return _of_probabilities(file, read_json(file, MOST_BYTES), good)


def of_detections(
    image_ids: Sequence[str], classes: Sequence[str], images: Sequence[ImageBoxes], overlap: float
) -> ImageScores:
    """The scores of a detector's boxes."""
    by_class = np.full((len(images), len(classes)), NONE)
    present = np.zeros(by_class.shape, bool)
    for row, image in enumerate(images):
        np.maximum.at(by_class[row], image.detections[:, 5].astype(int), image.detections[:, 4])
        for table in (image.ground_truth, image.crowd):
            present[row, table[:, 4].astype(int)] = True
    reported = [ImageBoxes(_suppressed(image.detections, overlap), image.ground_truth, image.crowd) for image in images]
    records = match_records(reported, len(classes))
    level = iou_index(MATCH_IOU)
    none = np.zeros(0)
    return ImageScores(
        tuple(image_ids),
        tuple(classes),
        None,
        by_class.max(axis=1, initial=NONE),
        by_class,
        present,
        np.asarray(present.any(axis=1)),
        np.concatenate([none, *(record.scores[record.right[level]] for record in records)]),
        np.concatenate([none, *(record.images[record.right[level]] for record in records)]).astype(int),
        np.array([len(image.ground_truth) for image in images], int),
    )


def _suppressed(detections: np.ndarray, overlap: float) -> np.ndarray:
    """(N, 6) without the boxes that overlap a better scored one, of any class, by more than `overlap`. What is kept
    above a threshold does not depend on boxes below it."""
    ranked = detections[np.argsort(-detections[:, 4], kind="stable")]
    near = overlaps(ranked[:, :4], ranked[:, :4]) > overlap
    kept: list[int] = []
    for row in range(len(ranked)):
        if not near[row, kept].any():
            kept.append(row)
    return ranked[kept]


def _of_probabilities(file: Path, content: Mapping[str, Any], good: str) -> ImageScores:
    try:
        classes = tuple(str(name) for name in content["classes"])
        entries = content["images"]
        image_ids = tuple(str(entry["id"]) for entry in entries)
        several = any("labels" in entry for entry in entries)
        values = np.array([entry["probabilities"] for entry in entries], float).reshape(len(entries), len(classes))
        present = np.zeros(values.shape, bool)
        for row, entry in enumerate(entries):
            present[row, entry["labels"] if several else [entry["label"]]] = True
        if not np.isfinite(values).all():
            raise ValueError("a probability that is not finite")
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise LightdetError(f"{file}: not the probabilities of a run ({type(error).__name__}: {error})") from None
    if several:
        return _classified(image_ids, classes, None, values.max(axis=1, initial=NONE), values, present)
    if good not in classes:
        raise LightdetError(
            f"{file}: this classifier knows no good parts: its classes are {', '.join(classes)}, and it rejects every "
            f"part. A verdict needs images of good parts in the training, a class {good!r}, or a detector"
        )
    place = classes.index(good)
    present[:, place] = False
    rest = np.delete(values, place, axis=1).sum(axis=1)  # not 1 - P(good), which loses the digits of small ones
    return _classified(image_ids, classes, good, rest, values, present)


def _classified(
    image_ids: tuple[str, ...],
    classes: tuple[str, ...],
    good: str | None,
    overall: np.ndarray,
    by_class: np.ndarray,
    present: np.ndarray,
) -> ImageScores:
    none = np.zeros(0)
    boxes = np.zeros(len(image_ids), int)
    defective = np.asarray(present.any(axis=1))
    return ImageScores(image_ids, classes, good, overall, by_class, present, defective, none, none.astype(int), boxes)
