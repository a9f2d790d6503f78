"""Ground truth beside prediction, drawn on the images where a detector is wrong."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lightdet.core.errors import one_line
from lightdet.core.types import Detections, Target
from lightdet.draw.attempt import refuse_failed, replacing, save_picture
from lightdet.draw.page import DASHED, Cell, beside, contact_sheet, with_header
from lightdet.draw.palette import Colour, class_colour
from lightdet.draw.panel import SIDE, Mark, draw_marks, enlargement, panel_scale
from lightdet.metric.matching import UNMATCHED, match_image

THUMBNAIL = 250  # px; longest side of a panel on the contact sheet
OVERVIEW = "overview.png"
EXPLAINED = f"ground truth left, prediction right; {DASHED}"
SAMPLE_NAME = re.compile(r"\d{3,}-missed\d+-false\d+-.*\.png")


@dataclass(frozen=True, slots=True)
class Sample:
    """One image, boxes in original px, and how its detections at or above a threshold compare with the ground truth."""

    detections: Detections  # those at or above the threshold
    target: Target
    right: (
        np.ndarray
    )  # (N,) bool: the detection matches a ground-truth box of its class, or lies in a crowd region of it
    found: np.ndarray  # (M,) bool: a detection matches the ground-truth box

    @property
    def missed(self) -> int:
        return int((~self.found).sum())

    @property
    def false_alarms(self) -> int:
        return int((~self.right).sum())

    @property
    def perfect(self) -> bool:
        return not self.missed and not self.false_alarms

    @property
    def badness(self) -> tuple[int, list[float]]:
        """Sorts worst first: most misses, then the most certain false alarm, then the next one."""
        scores = self.detections.scores.cpu().numpy()[~self.right]
        return -self.missed, [*sorted(-float(score) for score in scores), 0.0]

    def in_words(self) -> str:
        """Such as "2 of 3 found, 1 missed, 2 false alarms"."""
        if not len(self.found) and not self.false_alarms:
            return "no defect, none reported"
        alarms = "1 false alarm" if self.false_alarms == 1 else f"{self.false_alarms} false alarms"
        return f"{len(self.found) - self.missed} of {len(self.found)} found, {self.missed} missed, {alarms}"


def compare(detections: Detections, target: Target, threshold: float = 0.0) -> Sample:
    """Matches the detections at or above the threshold with the ground truth, at IoU 0.5 and class by class.

    A defect detected as another class is one miss and one false alarm.
    """
    kept = _at_least(detections, threshold)
    matched = match_image(kept, target)
    found = np.isin(np.arange(len(target.labels)), matched)
    return Sample(kept, target, matched != UNMATCHED, found)


def draw(
    image: np.ndarray,
    detections: Detections | None,
    target: Target | None,
    classes: Sequence[str],
    side: int = SIDE,
    threshold: float = 0.0,
) -> np.ndarray:
    """The image (H, W, 3) uint8 RGB with boxes in original px drawn on it, as a new RGB uint8 picture.

    With both, two panels: ground truth left and prediction right (above and below for a wide image), under a header
    that counts the mistakes; misses and false alarms are dashed. With one of them, the image alone.
    An image smaller than `side` px is enlarged; a larger one stays as it is.
    """
    scale = enlargement(image.shape[0], image.shape[1], side)
    if detections is not None and target is not None:
        return _page(image, compare(detections, target, threshold), classes, scale, threshold)
    if detections is not None:
        return draw_marks(image, detection_marks(_at_least(detections, threshold), classes), scale)
    return draw_marks(image, ground_truth_marks(target, classes) if target is not None else [], scale)


def detection_marks(detections: Detections, classes: Sequence[str], right: np.ndarray | None = None) -> list[Mark]:
    """One mark per detection; those that are not right are dashed and labelled as false."""
    marks = []
    scores, labels = detections.scores.tolist(), detections.labels.tolist()
    for index, (box, score, label) in enumerate(zip(detections.boxes_xyxy.tolist(), scores, labels, strict=True)):
        wrong = right is not None and not right[index]
        text = f"{classes[label]} {score:.2f}" + (" false" if wrong else "")
        marks.append(Mark(tuple(box), class_colour(label), text, dashed=wrong, weight=score))
    return marks


def ground_truth_marks(target: Target, classes: Sequence[str], found: np.ndarray | None = None) -> list[Mark]:
    """One mark per ground-truth box and crowd region; boxes that are not detected are dashed and labelled as missed."""
    marks = []
    for index, (box, label) in enumerate(zip(target.boxes_xyxy.tolist(), target.labels.tolist(), strict=True)):
        missed = found is not None and not found[index]
        text = classes[label] + (" missed" if missed else "")
        marks.append(Mark(tuple(box), class_colour(label), text, dashed=missed, weight=float(missed)))
    for box, label in zip(target.crowd_xyxy.tolist(), target.crowd_labels.tolist(), strict=True):
        marks.append(Mark(tuple(box), class_colour(label), f"{classes[label]} crowd"))
    return marks


def write_samples(
    folder: Path,
    samples: Sequence[Sample],
    read: Callable[[str], np.ndarray],
    classes: Sequence[str],
    threshold: float,
    limit: int = 24,
) -> list[Path]:
    """The worst images as `000-missed2-false1-<image>.png`, worst first, and overview.png with all of them.

    read: image_id -> image (H, W, 3) uint8 RGB. Pictures of an earlier call in that folder are replaced. Returns the
    files written, the overview last. Raises LightdetError when all others are written, if an image could not be read or
    drawn.
    """
    cells: list[Cell] = []
    failed: list[str] = []
    worst = sorted(samples, key=lambda sample: sample.badness)[:limit]
    with replacing(folder, lambda name: name == OVERVIEW or SAMPLE_NAME.fullmatch(name)) as paths:
        for rank, sample in enumerate(worst):
            try:
                image = read(sample.target.image_id)
                page = _page(image, sample, classes, panel_scale(image.shape[0], image.shape[1]), threshold)
                paths.append(save_picture(page, folder / _file_name(rank, sample)))
                cells.append(_cell(image, sample, classes, rank))
            except Exception as error:
                failed.append(one_line(error))
        if cells:
            title = f"{len(cells)} of {len(samples)} images, worst first; score at least {threshold:.2f}"
            sheet = contact_sheet(cells, title, EXPLAINED, _legend(worst, classes))
            paths.append(save_picture(sheet, folder / OVERVIEW))
    refuse_failed(failed, len(worst))
    return paths


def _page(image: np.ndarray, sample: Sample, classes: Sequence[str], scale: float, threshold: float) -> np.ndarray:
    left = draw_marks(image, ground_truth_marks(sample.target, classes, sample.found), scale)
    prediction = draw_marks(image, detection_marks(sample.detections, classes, sample.right), scale)
    captions = f"ground truth: {len(sample.found)}", f"prediction: {len(sample.right)}, score at least {threshold:.2f}"
    body = beside(left, prediction, captions)
    legend = _legend([sample], classes)
    return with_header(body, sample.target.image_id, sample.in_words(), not sample.perfect, legend)


def _cell(image: np.ndarray, sample: Sample, classes: Sequence[str], rank: int) -> Cell:
    scale = THUMBNAIL / max(image.shape[:2])
    left = draw_marks(image, ground_truth_marks(sample.target, classes, sample.found), scale, labelled=False)
    marks = detection_marks(sample.detections, classes, sample.right)
    picture = beside(left, draw_marks(image, marks, scale, labelled=False))
    return Cell(picture, f"{rank:03d}: {sample.in_words()}", sample.target.image_id, not sample.perfect)


def _legend(samples: Sequence[Sample], classes: Sequence[str]) -> list[tuple[str, Colour]]:
    labels: set[int] = set()
    for sample in samples:
        labels.update(sample.target.labels.tolist(), sample.detections.labels.tolist())
    return [(classes[label], class_colour(label)) for label in sorted(labels)]


def _at_least(detections: Detections, threshold: float) -> Detections:
    kept = detections.scores.double() >= threshold
    return Detections(detections.boxes_xyxy[kept], detections.scores[kept], detections.labels[kept])


def _file_name(rank: int, sample: Sample) -> str:
    stem = sample.target.image_id.rsplit(".", 1)[0]
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.")[-80:]
    return f"{rank:03d}-missed{sample.missed}-false{sample.false_alarms}-{safe}.png"
