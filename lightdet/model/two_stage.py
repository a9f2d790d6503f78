"""A detector whose boxes a classifier judges: two stages that predict and are measured as one detector."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from lightdet.core.errors import LightdetError
from lightdet.core.types import Detections, Target
from lightdet.model.classifier import Classifier
from lightdet.model.detector import Detector
from lightdet.nn.inputs import in_channels
from lightdet.ops.boxes import pairwise_iou
from lightdet.ops.crop import square_around
from lightdet.ops.grid import ImageSize
from lightdet.ops.letterbox import letterbox_image

LABELS = ("classifier", "detector")
MARGIN, LEAST = 0.25, 16  # of a crop: around the box, as a share of its longer side; side, px. As `to=crops` cuts them
OVERLAP = 0.5  # IoU above which two boxes are one, which the detector took for two classes and the classifier for one
CROPS = 64  # that are judged at once


class TwoStage(Detector):
    """The detector's boxes, each judged by the classifier on a square crop of the input image.

    A score is the detector's, times the classifier's probability of the class. The class is the one that the classifier
    decides, or with `label` = "detector" the detector's. A box that the classifier decides to be good is dropped.
    `detector_classes`, `classifier_classes`: their names, by which the two are matched; `image_size`: of the
    classifier's input. Raises LightdetError for another `label`, for classes that do not fit, and for a network that
    takes images of other channels.
    """

    def __init__(
        self,
        detector: Detector,
        classifier: Classifier,
        detector_classes: Sequence[str],
        classifier_classes: Sequence[str],
        image_size: ImageSize,
        label: str = "classifier",
    ) -> None:
        super().__init__()
        if label not in LABELS:
            raise LightdetError(f"stage2_label={label}: one of {', '.join(LABELS)}")
        channels = in_channels(detector.network), in_channels(classifier.network)
        if channels[0] != channels[1]:
            raise LightdetError(f"stage2: the detector takes images of {channels[0]} channels, it of {channels[1]}")
        self.detector, self.runtime = detector, detector.runtime
        self.classifier = classifier
        self.image_size = image_size
        self.keeps_label = label == "detector"
        self.good = list(classifier_classes).index(classifier.good) if classifier.good in classifier_classes else -1
        self.label_of, self.place_of = _matched(detector_classes, classifier_classes, self.good)
        self.decide = classifier.metric(classifier_classes).decisions  # type: ignore[attr-defined]

    @property
    def network(self) -> nn.Module:  # type: ignore[override]
        """The detector's: what is counted and timed."""
        return self.detector.network

    def losses(self, images: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        raise LightdetError("stage2: the two stages are trained each on its own")

    def detect(self, images: Tensor) -> list[Detections]:
        found = self.detector.detect(images)
        return [self._judged(image, detections) for image, detections in zip(images, found, strict=True)]

    def placement(self) -> str:
        return self.detector.placement()

    def _judged(self, image: Tensor, found: Detections) -> Detections:
        """One image (C, H, W) with its boxes in input px."""
        if not len(found.scores) or not found.boxes_xyxy.isfinite().all():  # who reads the boxes reports them
            return found
        probabilities = self._probabilities(image, found.boxes_xyxy)
        decided = self.decide(probabilities)
        kept = np.flatnonzero(decided != self.good)
        before = found.labels.cpu().numpy()[kept]
        labels = before if self.keeps_label else self.label_of[decided[kept]]
        agreed = torch.from_numpy(probabilities[kept, self.place_of[labels]]).to(found.scores)
        place = torch.from_numpy(kept).to(found.labels.device)
        scores = found.scores[place] * agreed
        order = scores.argsort(descending=True, stable=True)
        judged = Detections(found.boxes_xyxy[place][order], scores[order], torch.from_numpy(labels).to(place)[order])
        return _merged(judged, torch.from_numpy(before).to(place)[order])

    def _probabilities(self, image: Tensor, boxes_xyxy: Tensor) -> np.ndarray:
        """(C, H, W), (N, 4) input px -> (N, classes of the classifier), float64. The crops are placed into the
        classifier's input as images are."""
        pixels = (image.permute(1, 2, 0) * 255).round().byte().cpu().numpy()
        height, width = pixels.shape[:2]
        windows = [square_around(box, height, width, MARGIN, LEAST) for box in boxes_xyxy.tolist()]
        judged = []
        for start in range(0, len(windows), CROPS):
            crops = [
                letterbox_image(np.ascontiguousarray(pixels[top:bottom, left:right]), self.image_size)[0]
                for left, top, right, bottom in windows[start : start + CROPS]
            ]
            batch = torch.from_numpy(np.stack(crops)).to(image.device).permute(0, 3, 1, 2).float() / 255
            judged += [each.probabilities.double().cpu().numpy() for each in self.classifier.predict(batch)]
        return np.stack(judged)


def _merged(found: Detections, before: Tensor) -> Detections:
    """Detections, best first, without those that overlap a better one of their class; `before` (N,) are their classes
    when the detector found them: what was of one class already, it has compared itself."""
    again = pairwise_iou(found.boxes_xyxy, found.boxes_xyxy) > OVERLAP
    again &= (found.labels[:, None] == found.labels) & (before[:, None] != before)
    overlaps = again.cpu().numpy()
    kept: list[int] = []
    for place in range(len(before)):
        if not overlaps[place, kept].any():
            kept.append(place)
    chosen = torch.tensor(kept, dtype=torch.int64, device=before.device)
    return Detections(found.boxes_xyxy[chosen], found.scores[chosen], found.labels[chosen])


def _matched(detector: Sequence[str], classifier: Sequence[str], good: int) -> tuple[np.ndarray, np.ndarray]:
    """The label of each of the classifier's classes for the detector, -1 for good, and the reverse."""
    unknown = [name for place, name in enumerate(classifier) if place != good and name not in detector]
    missing = [name for name in detector if name not in classifier]
    if unknown or missing:
        raise LightdetError(
            f"stage2: the classes do not fit: the detector has {', '.join(detector)}; the classifier has "
            f"{', '.join(classifier)}; train it on crops of the detector's data, `lightdet convert ... to=crops`"
        )
    label_of = [-1 if place == good else list(detector).index(name) for place, name in enumerate(classifier)]
    return np.array(label_of), np.array([list(classifier).index(name) for name in detector])
