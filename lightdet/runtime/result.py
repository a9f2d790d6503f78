"""What an exported model says of one image. No torch here."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightdet.core.errors import LightdetError
from lightdet.runtime.contract import CLASSIFICATION, DETECTION, SEVERAL, ExportContract
from lightdet.runtime.sources import Frame, place
from lightdet.runtime.verdict import Verdict, of_boxes, of_class, of_classes

ROUNDING = 1e-5  # by which a probability may be above 1


@dataclass(frozen=True, slots=True)
class Found:
    """The boxes of one image, best first: boxes (N, 4) float32 xyxy in original px, scores (N,), labels (N,), names;
    and the verdict on the part, by the threshold that the file carries."""

    path: Path | None
    height: int  # original px
    width: int
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    names: Sequence[str]
    verdict: Verdict
    frame: Frame | None = None  # of a video or a camera

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; as an image of predictions.json, without its id and picture."""
        boxes = [
            {"class": name, "label": int(label), "score": round(float(score), 5), "box_xyxy": corners}
            for name, label, score, corners in zip(
                self.names, self.labels, self.scores, np.round(self.boxes.astype(float), 2).tolist(), strict=True
            )
        ]
        return {**place(self.path, self.frame), "height": self.height, "width": self.width, "boxes": boxes}


@dataclass(frozen=True, slots=True)
class Judged:
    """The class of one image: `label` and `name` of the decision, its `probability` and expected `cost` (without costs
    the probability that it is wrong), and the probabilities of all classes by name, the most probable first."""

    path: Path | None
    height: int  # original px
    width: int
    label: int
    name: str
    probability: float
    cost: float
    probabilities: dict[str, float]
    verdict: Verdict | None
    frame: Frame | None = None  # of a video or a camera

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; as an image of predictions.json, without its id and picture."""
        return {
            **place(self.path, self.frame),
            "height": self.height,
            "width": self.width,
            "class": self.name,
            "label": self.label,
            "probability": round(self.probability, 5),
            "expected_cost": round(self.cost, 5),
            "probabilities": {name: round(value, 5) for name, value in self.probabilities.items()},
        }


@dataclass(frozen=True, slots=True)
class Labelled:
    """The classes of one image, those whose probability reaches their threshold, the most probable first: names,
    labels; none where it shows no class. probabilities: of all classes by name, the greatest first."""

    path: Path | None
    height: int  # original px
    width: int
    names: list[str]
    labels: list[int]
    probabilities: dict[str, float]
    verdict: Verdict
    frame: Frame | None = None  # of a video or a camera

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; as an image of predictions.json, without its id and picture."""
        return {
            **place(self.path, self.frame),
            "height": self.height,
            "width": self.width,
            "classes": self.names,
            "labels": self.labels,
            "probabilities": {name: round(value, 5) for name, value in self.probabilities.items()},
        }


def found(rows: np.ndarray, path: Path | None, size: tuple[int, int], contract: ExportContract, name: str) -> Found:
    """The result of the file's rows (M, 6) for one image of `size` (height, width). Raises LightdetError for numbers
    that are no boxes of these classes."""
    if not np.isfinite(rows).all():
        raise LightdetError(f"{name}: the detector gave a box or score that is NaN or infinite")
    used = rows[rows[:, 5] >= 0]
    scores, labels = used[:, 4], used[:, 5].astype(np.int64)
    if (labels != used[:, 5]).any() or (labels >= len(contract.classes)).any() or ((scores < 0) | (scores > 1)).any():
        raise LightdetError(f"{name}: the file gave a label or a score that its contract does not know")
    names = [contract.classes[label] for label in labels]
    return Found(path, *size, used[:, :4], scores, labels, names, of_boxes(scores.tolist(), contract))


def judged(values: np.ndarray, path: Path | None, size: tuple[int, int], contract: ExportContract, name: str) -> Judged:
    """The result of the probabilities (C,) of one image. Raises LightdetError for numbers that are none."""
    probabilities, ranked = _ranked(values, name)
    expected = probabilities @ np.array(contract.costs)
    label = int(expected.argmin() if contract.by_cost else ranked[0])
    decided, cost = contract.classes[label], float(expected[label])
    by_name = {contract.classes[each]: float(probabilities[each]) for each in ranked}
    verdict = of_class(decided, by_name, cost, contract)
    return Judged(path, *size, label, decided, float(probabilities[label]), cost, by_name, verdict)


def labelled(
    values: np.ndarray, path: Path | None, size: tuple[int, int], contract: ExportContract, name: str
) -> Labelled:
    """The result of the probabilities (C,) of one image that may have several classes. Raises LightdetError for numbers
    that are none."""
    probabilities, ranked = _ranked(values, name)
    labels = [label for label in ranked.tolist() if probabilities[label] >= contract.thresholds[label]]
    by_name = {contract.classes[each]: float(probabilities[each]) for each in ranked}
    names = [contract.classes[label] for label in labels]
    return Labelled(path, *size, names, labels, by_name, of_classes(by_name, names, contract))


def _ranked(values: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities as float64, and the labels, the most probable first."""
    if not np.isfinite(values).all():
        raise LightdetError(f"{name}: the classifier gave a probability that is NaN or infinite")
    if ((values < 0) | (values > 1 + ROUNDING)).any():
        raise LightdetError(f"{name}: the file gave a probability that is none")
    probabilities = values.astype(np.float64)
    return probabilities, np.argsort(-probabilities, kind="stable")


Answer = Found | Judged | Labelled
MAKERS = {DETECTION: found, CLASSIFICATION: judged, SEVERAL: labelled}  # by task
