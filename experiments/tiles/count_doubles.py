"""Pairs of boxes of one class that lie in each other: intersection over the smaller box above a half.

python experiments/tiles/count_doubles.py EVALUATION [THRESHOLD]   # its detections.json; else that of its metrics.json

A pair of which both boxes reach into the overlap of two tiles counts as one at a seam. It may still be of one tile.
"""

import json
import sys
from pathlib import Path

import numpy as np
from make_boards import HEIGHT, WIDTH

from lightdet.metric.detections_file import read_detections
from lightdet.ops.overlapping import best_of_overlapping
from lightdet.ops.tiles import Tiles

SAME, OVERLAP = 0.5, 0.5  # the latter as `predict` has it


def doubles(boxes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N, 4), (N,) -> (P, 2): the places of each pair."""
    common = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    inside = common.clip(min=0).prod(axis=2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    share = inside / np.minimum(areas[:, None], areas[None])
    return np.argwhere(np.triu((share > SAME) & (labels[:, None] == labels[None]), 1))


def tiles_shown(box: np.ndarray, tiles: np.ndarray) -> np.ndarray:
    """(4,), (T, 4) -> (T,) bool: the tiles that show a part of a box."""
    shown: np.ndarray = np.all(np.minimum(box[2:], tiles[:, 2:]) > np.maximum(box[:2], tiles[:, :2]), axis=1)
    return shown


def main(folder: Path, threshold: float | None) -> None:
    """Prints counts of all images of an evaluation."""
    metrics = json.loads((folder / "metrics.json").read_text())
    least = metrics["operating_point"]["threshold"] if threshold is None else threshold
    views = metrics.get("views")
    tiles = np.array([*Tiles(**views["tiles"]).over(HEIGHT, WIDTH)]) if views else np.array([[0, 0, WIDTH, HEIGHT]])
    predicted, pairs, seams, truth = 0, 0, 0, 0
    for image in read_detections(folder / "detections.json").images:
        found = image.detections[image.detections[:, 4] >= least]
        found = found[best_of_overlapping(found[:, :4], found[:, 4], OVERLAP)]
        near = doubles(found[:, :4], found[:, 5])
        predicted, pairs = predicted + len(found), pairs + len(near)
        for first, second in near:
            both = tiles_shown(found[first, :4], tiles) & tiles_shown(found[second, :4], tiles)
            seams += int(both.sum() > 1)
        truth += len(doubles(image.ground_truth[:, :4], image.ground_truth[:, 4]))
    print(
        f"{folder.name}, threshold {least:.3f}: {predicted} boxes, {pairs} pairs, of which {seams} at a seam; "
        f"{truth} pairs of ground truth"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else None)
