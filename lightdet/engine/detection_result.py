"""The result of a detector for one image, in original px."""

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from PIL import Image

from lightdet.core.types import Detections, Letterbox, Subject
from lightdet.draw.pictures import draw
from lightdet.engine.decision import Decision
from lightdet.engine.result import Result, ResultSettings
from lightdet.metric.frame import check_finite, detections_to_original
from lightdet.model.decode import best_of_overlapping
from lightdet.ops.frames import boxes_to_input
from lightdet.runtime.sources import Original


class Box(NamedTuple):
    """One predicted box."""

    name: str  # of its class
    score: float  # 0..1
    xyxy: tuple[float, float, float, float]  # original px


class DetectionResult(Result):
    """The boxes of one image, best first; `len()` counts them, iteration gives each as a `Box`.

    boxes (N, 4) float32 xyxy in original px, scores (N,) float32 in 0..1, labels (N,) int64, names: N class names.
    Boxes below the threshold are left out; of two that overlap by more than `overlap`, of any class, the better scored
    one stays, and a box in the grey border alone is dropped.
    """

    unit: ClassVar[str] = "boxes"
    formats: ClassVar[tuple[str, ...]] = ("coco",)
    prediction: Detections

    def __init__(
        self, prediction: Detections, original: Original, letterbox: Letterbox, settings: ResultSettings
    ) -> None:
        """Raises LightdetError for a box or score that is not finite."""
        super().__init__(prediction, original, letterbox, settings)
        placed = detections_to_original(prediction, letterbox)
        check_finite(placed, original.name)
        self._best_score = float(placed.scores.max()) if len(placed.scores) else 0.0  # also of a box that is left out
        self._threshold, self._threshold_from = settings.threshold, settings.threshold_from
        keep = placed.scores >= _least(settings, placed)
        kept = Detections(placed.boxes_xyxy[keep], placed.scores[keep], placed.labels[keep])
        self.prediction = best_of_overlapping(kept, settings.overlap)
        self.classes = settings.classes
        self.boxes: np.ndarray = self.prediction.boxes_xyxy.numpy()
        self.scores: np.ndarray = self.prediction.scores.numpy()
        self.labels: np.ndarray = self.prediction.labels.numpy()
        self.names: list[str] = [settings.classes[label] for label in self.labels.tolist()]

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Box]:
        boxes = zip(self.names, self.scores.tolist(), self.boxes.tolist(), strict=True)
        return (Box(name, score, tuple(corners)) for name, score, corners in boxes)

    def plot(self) -> Image.Image:
        """The image with its boxes, names and scores; a small one is enlarged so that the labels stay readable."""
        return Image.fromarray(draw(self.image, self.prediction, None, self.classes))

    def content(self) -> dict[str, Any]:
        """The boxes, best first: class, label, score and box_xyxy in original px."""
        boxes = [
            {
                "class": box.name,
                "label": label,
                "score": round(box.score, 5),
                "box_xyxy": [round(value, 2) for value in box.xyxy],
            }
            for box, label in zip(self, self.labels.tolist(), strict=True)
        ]
        return {"boxes": boxes}

    def decision(self) -> Decision:
        """The best box against the threshold: a part with a box is rejected."""
        threshold, best = self._threshold, float(self.scores[0]) if len(self) else self._best_score
        rule = f"{threshold:.2f}, {self._threshold_from}"
        if not len(self):
            sentence = f"no box has a score >= {rule}; the best one has {best:.2f}"
            return Decision("threshold", sentence, "", None, best, abs(threshold - best), False, threshold=threshold)
        sentence = f"score {best:.2f} >= {rule}"
        name, label = self.names[0], int(self.labels[0])
        return Decision("threshold", sentence, name, label, best, best - threshold, True, threshold=threshold)

    def subjects(self, most: int) -> list[Subject]:
        """The boxes, best first."""
        placed = boxes_to_input(self.prediction.boxes_xyxy, self.letterbox).tolist()
        found = zip(self.labels.tolist(), self.scores.tolist(), placed, strict=True)
        return [Subject(label, score, tuple(box)) for label, score, box in found][:most]

    def describe(self) -> str:
        """Such as "2 boxes, scratch 0.91, dent 0.40"."""
        listed = ", ".join(f"{box.name} {box.score:.2f}" for box in self)
        count = "1 box" if len(self) == 1 else f"{len(self) or 'no'} boxes"
        return f"{count}, {listed}" if listed else count


def _least(settings: ResultSettings, found: Detections) -> torch.Tensor | float:
    """The threshold of each detection, where classes have their own."""
    if settings.promise is None or settings.promise.thresholds is None:
        return settings.threshold
    return torch.tensor(settings.promise.least(len(settings.classes)))[found.labels]
