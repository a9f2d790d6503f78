"""The images on which a run was most wrong, from the files of its evaluation. No torch here."""

from pathlib import Path
from typing import Any

import numpy as np

from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json
from lightdet.metric.detections_file import FILE_NAME, read_detections
from lightdet.metric.match_record import ImageBoxes, match_greedily, overlaps

PROBABILITIES = "probabilities.json"
MOST_BYTES = 2**30


def worst_first(run: Path, threshold: float) -> list[str]:
    """The ids of the validation images, the worst first: of a detector those with the most missed boxes, then the
    surest false alarm, at that threshold; of a classifier the surest mistakes, then the least sure right ones.

    Empty for a run without such files. Raises LightdetError for a damaged one.
    """
    if (run / FILE_NAME).is_file():
        kept = read_detections(run / FILE_NAME)
        ranked = sorted(zip(kept.image_ids, kept.images, strict=True), key=lambda pair: _missed(pair[1], threshold))
        return [image_id for image_id, _ in ranked]
    if (run / PROBABILITIES).is_file():
        try:
            images = read_json(run / PROBABILITIES, MOST_BYTES)["images"]
            return [str(image["id"]) for image in sorted(images, key=_sureness)]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise LightdetError(
                f"{run / PROBABILITIES}: not as an evaluation writes it; evaluate the run again"
            ) from error
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


def _sureness(image: dict[str, Any]) -> tuple[bool, float]:
    probabilities = [float(value) for value in image["probabilities"]]
    decided = int(np.argmax(probabilities))
    wrong = decided != int(image["label"])
    return not wrong, -probabilities[decided] if wrong else probabilities[decided]
