"""Anchor boxes: the published ones, and whether they reach the boxes of a dataset."""

from collections.abc import Sequence

import numpy as np

from lightdet.core.errors import LightdetError
from lightdet.ops.grid import ALL_STRIDES

Anchors = Sequence[Sequence[Sequence[float]]]  # px of the input frame (width, height), per grid from fine to coarse
DEFAULT_ANCHORS: Anchors = (  # published for COCO: YOLOv3 at 416 px, kept by YOLOv5
    ((10, 13), (16, 30), (33, 23)),
    ((30, 61), (62, 45), (59, 119)),
    ((116, 90), (156, 198), (373, 326)),
)
YOLOV4_ANCHORS: Anchors = (  # published for COCO with YOLOv4
    ((12, 16), (19, 36), (40, 28)),
    ((36, 75), (76, 55), (72, 146)),
    ((142, 110), (192, 243), (459, 401)),
)
MAX_RATIO = 4.0  # least ratio of a side of a box to that of an anchor, or the inverse, at which they do not match
POOR_RECALL = 0.98  # best possible recall below which new anchors are clustered


def default_anchors(strides: Sequence[int]) -> Anchors:
    """The published anchors of these strides (px); those of stride 4 are those of stride 8, half as large.

    Raises LightdetError for strides beside 4, 8, 16 and 32.
    """
    finest = [(width / 2, height / 2) for width, height in DEFAULT_ANCHORS[0]]
    published = dict(zip(ALL_STRIDES, (finest, *DEFAULT_ANCHORS), strict=True))
    if not set(strides) <= set(published):
        raise LightdetError(
            f"model.network.predictor.anchors: none are published for strides {list(strides)}; give some for each grid"
        )
    return [published[stride] for stride in strides]


def reachable(sizes: np.ndarray, anchors: np.ndarray, max_ratio: float = MAX_RATIO) -> np.ndarray:
    """(N,) bool: boxes (N, 2) px that at least one anchor (A, 2) px may be assigned to."""
    ratio = np.maximum(sizes, 1e-6)[:, None] / anchors[None]
    return np.asarray((np.maximum(ratio, 1 / ratio).max(axis=2) < max_ratio).any(axis=1))
