"""Of boxes that overlap, the best scored one. No torch here."""

import numpy as np


def best_of_overlapping(boxes: np.ndarray, scores: np.ndarray, overlap: float) -> np.ndarray:
    """boxes (N, 4) xyxy, scores (N,) -> the places of the boxes that no better scored kept one overlaps by an
    intersection over union of more than `overlap`, best first."""
    ranked = np.argsort(-scores, kind="stable")
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    kept = np.empty(len(boxes), int)
    count = 0
    for place in ranked:
        near = kept[:count]
        common = np.minimum(boxes[place, 2:], boxes[near, 2:]) - np.maximum(boxes[place, :2], boxes[near, :2])
        inside = common.clip(min=0).prod(axis=1)
        if not (inside > overlap * (areas[place] + areas[near] - inside)).any():
            kept[count] = place
            count += 1
    return kept[:count]
