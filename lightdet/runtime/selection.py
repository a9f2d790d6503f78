"""The selection of detections with numpy, for files that end with scored boxes. Equal to `lightdet.export.tail`."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Selection:
    """The settings with which scored boxes become detections.

    thresholds: least score that is reported, of each class. nms_iou: above it the lower scored of two boxes of a class
    is dropped. overlap: the same for two boxes of any class, in original px; None: they all stay. max_detections: per
    image.
    """

    thresholds: tuple[float, ...]
    nms_iou: float
    overlap: float | None
    max_detections: int


def select(
    boxes: np.ndarray, scores: np.ndarray, places: np.ndarray, size: tuple[int, int], by: Selection
) -> np.ndarray:
    """boxes (B, N, 4) xyxy in input px, scores (B, N, C), places (B, 6) as `placing` gives them, size of the input
    (height, width) -> (B, M, 6) float32: left, top, right, bottom in original px, score, label; best first.

    Rows that are not used have score 0 and label -1. An image with a score that is NaN has NaN alone.
    """
    found = [_of_image(*one, size, by) for one in zip(boxes, scores, places, strict=True)]
    rows = np.zeros((len(found), max((len(each) for each in found), default=0), 6), np.float32)
    rows[..., 5] = -1
    for row, each in zip(rows, found, strict=True):
        row[: len(each)] = each
    return rows


def suppress(boxes: np.ndarray, scores: np.ndarray, iou: float, most: int) -> np.ndarray:
    """boxes (N, 4) xyxy, scores (N,) -> indices of at most `most` boxes, best first, of which no two overlap by more
    than `iou`."""
    left = np.argsort(-scores, kind="stable")
    area = np.maximum(boxes[:, 2] - boxes[:, 0], 0) * np.maximum(boxes[:, 3] - boxes[:, 1], 0)
    kept: list[int] = []
    while len(left) and len(kept) < most:
        best, left = left[0], left[1:]
        kept.append(best)
        others = boxes[left]
        corners = np.minimum(others[:, 2:], boxes[best, 2:]) - np.maximum(others[:, :2], boxes[best, :2])
        shared = np.maximum(corners, 0).prod(axis=1)
        left = left[~(shared > iou * (area[left] + area[best] - shared))]
    return np.array(kept, np.int64)


def _of_image(
    boxes: np.ndarray, scores: np.ndarray, place: np.ndarray, size: tuple[int, int], by: Selection
) -> np.ndarray:
    """(M, 6) of one image."""
    if np.isnan(scores).any():
        return np.full((by.max_detections, 6), np.nan, np.float32)
    height, width = size
    boxes = np.clip(boxes, 0, np.array([width, height, width, height], np.float32))
    found = []
    for label, least in enumerate(by.thresholds):
        (rows,) = np.nonzero((scores[:, label] >= np.float32(least)) & (scores[:, label] > 0))
        rows = rows[suppress(boxes[rows], scores[rows, label], by.nms_iou, by.max_detections)]
        found.append(np.column_stack((boxes[rows], scores[rows, label], np.full(len(rows), label))))
    every = np.concatenate(found).astype(np.float32)
    every = every[np.argsort(-every[:, 4], kind="stable")[: by.max_detections]]
    scale, shift, limit = (np.tile(place[at : at + 2], 2) for at in (0, 2, 4))
    every[:, :4] = np.clip((every[:, :4] - shift) / scale, 0, limit)
    every = every[(every[:, 2] > every[:, 0]) & (every[:, 3] > every[:, 1])]
    if by.overlap is not None:
        every = every[suppress(every[:, :4], every[:, 4], by.overlap, by.max_detections)]
    return every
