"""The images on which a run was most wrong, from the files of its evaluation. No torch here."""

from pathlib import Path

import numpy as np

from lightdet.metric.detections_file import FILE_NAME, read_detections
from lightdet.metric.match_record import ImageBoxes, match_greedily, overlaps
from lightdet.metric.probabilities_file import KeptProbabilities, read_probabilities


def worst_first(run: Path, threshold: float) -> list[str]:
    """The ids of the validation images, the worst first: of a detector those with the most missed boxes, then the
    surest false alarm, at that threshold; of a classifier the surest mistakes, then the least sure right ones.

    Empty for a run without such files. Raises LightdetError for a damaged one.
    """
    if (run / FILE_NAME).is_file():
        kept = read_detections(run / FILE_NAME)
        ranked = sorted(zip(kept.image_ids, kept.images, strict=True), key=lambda pair: _missed(pair[1], threshold))
        return [image_id for image_id, _ in ranked]
    kept_probabilities = read_probabilities(run)
    if kept_probabilities is not None:
        order = np.lexsort(_sureness(kept_probabilities))
        return [kept_probabilities.image_ids[place] for place in order]
    return []


def _missed(image: ImageBoxes, threshold: float) -> tuple[int, float]:
    """Sorts worst first: the number of missed boxes, and the score of the surest false alarm, both negative."""
    missed, alarm = 0, 0.0
    found = image.detections[image.detections[:, 4] >= threshold]
    for label in np.unique(np.concatenate((found[:, 5], image.ground_truth[:, 4]))):
        boxes, truth = found[found[:, 5] == label], image.ground_truth[image.ground_truth[:, 4] == label]
        right = match_greedily(overlaps(boxes[:, :4], truth[:, :4]))[0]  # at an IoU of a half
        missed += len(truth) - int(right.sum())
        alarm = max([alarm, *boxes[~right, 4].tolist()])
    return -missed, -alarm


def _sureness(kept: KeptProbabilities) -> tuple[np.ndarray, np.ndarray]:
    """Keys of `lexsort`, (N,) each, of which the last counts most: the worst image is the surest mistake; with several
    classes the surest one that is false or missed."""
    values = kept.probabilities
    if not kept.one_class:
        sure = np.where(kept.shown, 1 - values, values).max(axis=1, initial=0.0)
        return -sure, sure <= 0.5
    decided, sure = values.argmax(axis=1), values.max(axis=1)
    wrong = ~kept.shown[np.arange(len(values)), decided]
    return np.where(wrong, -sure, sure), ~wrong
