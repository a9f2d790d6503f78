"""What explanations are measured on: right predictions, with the boxes in which the reason must lie."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from lightdet.core.types import Subject
from lightdet.data.record import Record
from lightdet.engine.predictor import Predictor, Stopwatch
from lightdet.metric.matching import MATCH_IOU, greedy
from lightdet.ops.boxes import pairwise_iou
from lightdet.ops.frames import boxes_to_input
from lightdet.ops.letterbox import image_region
from lightdet.runtime.sources import Original

MOST_BOXES = 100  # of an image


@dataclass(frozen=True, slots=True)
class Case:
    """One subject of one image."""

    image: int  # its number among those that were looked at
    images: Tensor  # (1, C, H, W) 0..1, the whole input
    region: tuple[slice, slice]  # the part of the input that the image fills
    subject: Subject
    boxes_xyxy: np.ndarray  # (N, 4) float32: the ground truth of its class, px from the corner of the region


@dataclass(slots=True)
class Cases:
    """The cases of a set of images, and what is none."""

    cases: list[Case] = field(default_factory=list)
    images: int = 0  # that were looked at
    wrong: Counter[str] = field(default_factory=Counter)  # class -> predictions that are not right, left out


def spread(records: Sequence[Record], most: int) -> list[Record]:
    """At most so many records, evenly over all of them: sets are often sorted by class."""
    if len(records) <= most:
        return list(records)
    return [records[index] for index in np.linspace(0, len(records) - 1, most).round().astype(int)]


def cases_of(predictor: Predictor, record: Record, into: Cases) -> None:
    """Adds the right predictions of an image: the decided class if it is the image's, and every detection that matches
    a ground-truth box of its class with an IoU of 0.5.

    Of a detection the reason must lie in the box that it matches; of a class, in any box of that class.
    """
    original = Original(record.path, predictor.bits)
    result = predictor.predict(original, Stopwatch(predictor.device))
    images, letterbox = predictor.placed(original.pixels)
    region = image_region(letterbox)
    truth = boxes_to_input(torch.tensor(record.boxes_xyxy, dtype=torch.float32).reshape(-1, 4), letterbox)
    subjects = result.subjects(MOST_BOXES)
    if subjects and subjects[0].box_xyxy is None:
        right = subjects[0].label in record.labels
        found = [(subjects[0], truth[torch.from_numpy(record.box_labels == subjects[0].label)])] if right else []
        subjects = subjects[:1]
    else:
        found = _matched(subjects, truth, record.box_labels)
    kept = {id(subject) for subject, _ in found}
    into.wrong.update(predictor.classes[subject.label] for subject in subjects if id(subject) not in kept)
    corner = np.array([region[1].start, region[0].start] * 2, np.float32)
    into.cases += [Case(into.images, images, region, subject, boxes.numpy() - corner) for subject, boxes in found]
    into.images += 1


def _matched(subjects: Sequence[Subject], truth: Tensor, labels: np.ndarray) -> list[tuple[Subject, Tensor]]:
    """Each right detection, best first, with the ground-truth box (1, 4) that it matches."""
    boxes = torch.tensor([subject.box_xyxy for subject in subjects]).reshape(-1, 4)
    same = np.array([subject.label for subject in subjects])[:, None] == labels[None]
    overlap = np.where(same, pairwise_iou(boxes, truth).numpy(), -1.0)
    matches = greedy(overlap, np.array([subject.score for subject in subjects]), MATCH_IOU)
    return [(subject, truth[[match]]) for subject, match in zip(subjects, matches.tolist(), strict=True) if match >= 0]
