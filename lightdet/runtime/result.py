"""What an exported model says of one image. No torch here."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightdet.core.errors import LightdetError
from lightdet.runtime.contract import ExportContract


@dataclass(frozen=True, slots=True)
class Found:
    """The boxes of one image, best first: boxes (N, 4) float32 xyxy in original px, scores (N,), labels (N,), names."""

    path: Path | None
    height: int  # original px
    width: int
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    names: Sequence[str]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; as an image of predictions.json, without its id and picture."""
        boxes = [
            {"class": name, "label": int(label), "score": round(float(score), 5), "box_xyxy": corners}
            for name, label, score, corners in zip(
                self.names, self.labels, self.scores, np.round(self.boxes.astype(float), 2).tolist(), strict=True
            )
        ]
        return {**_image(self.path, self.height, self.width), "boxes": boxes}


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

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; as an image of predictions.json, without its id and picture."""
        return {
            **_image(self.path, self.height, self.width),
            "class": self.name,
            "label": self.label,
            "probability": round(self.probability, 5),
            "expected_cost": round(self.cost, 5),
            "probabilities": {name: round(value, 5) for name, value in self.probabilities.items()},
        }


def found(rows: np.ndarray, path: Path | None, size: tuple[int, int], contract: ExportContract, name: str) -> Found:
    """The result of the file's rows (M, 6) for one image of `size` (height, width). Raises LightdetError for a number
    that is not finite."""
    if not np.isfinite(rows).all():
        raise LightdetError(f"{name}: the detector gave a box or score that is NaN or infinite")
    used = rows[rows[:, 5] >= 0]
    labels = used[:, 5].astype(np.int64)
    names = [contract.classes[label] for label in labels]
    return Found(path, *size, used[:, :4], used[:, 4], labels, names)


def judged(values: np.ndarray, path: Path | None, size: tuple[int, int], contract: ExportContract, name: str) -> Judged:
    """The result of the probabilities (C,) of one image. Raises LightdetError for a number that is not finite."""
    if not np.isfinite(values).all():
        raise LightdetError(f"{name}: the classifier gave a probability that is NaN or infinite")
    probabilities = values.astype(np.float64)
    ranked = np.argsort(-probabilities, kind="stable")
    costs = 1 - np.eye(len(values)) if contract.costs is None else np.array(contract.costs)
    expected = probabilities @ costs
    label = int(ranked[0] if contract.costs is None else expected.argmin())
    return Judged(
        path,
        *size,
        label,
        contract.classes[label],
        float(probabilities[label]),
        float(expected[label]),
        {contract.classes[each]: float(probabilities[each]) for each in ranked},
    )


def _image(path: Path | None, height: int, width: int) -> dict[str, Any]:
    return {"file": None if path is None else str(path), "height": height, "width": width}
