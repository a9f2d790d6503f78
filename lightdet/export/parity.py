"""How far the results of two ways to the same prediction lie apart."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lightdet.export.budget import Budget


@dataclass(slots=True)
class Distance:
    """The largest differences over the images that were added."""

    thresholds: Sequence[float] = ()
    budget: Budget = field(default_factory=Budget)
    pixels: float = 0.0
    score: float = 0.0
    what: str = "boxes"  # or classes, or expected costs: what is counted in
    lost: int = 0  # those of the model that the file does not give
    extra: int = 0  # those that the file alone gives
    boxes: int = 0  # or classes, of the model
    images: int = 0
    worst: str = ""  # the image with the first fault or, without one, the largest difference of a score
    classes: set[str] = field(default_factory=set)  # of boxes that are lost or extra

    def add(self, name: str, model: Mapping[str, Any], file: Mapping[str, Any]) -> None:
        """The same image in both; both as `to_dict` of a result gives them."""
        self.images += 1
        before = (self.pixels, self.score, self.lost, self.extra)
        if "probabilities" in model:
            pairs = [(value, file["probabilities"].get(key, 0.0)) for key, value in model["probabilities"].items()]
            self._differ(*(one - other for one, other in pairs))
            if self.thresholds:
                self._add_classes(model, file)
            else:
                self._add_cost(model, file)
        else:
            self._add_boxes(model["boxes"], file["boxes"])
        if (self.pixels, self.score, self.lost, self.extra) != before:
            self.worst = name

    def _add_cost(self, model: Mapping[str, Any], file: Mapping[str, Any]) -> None:
        self.what = "expected costs"
        margin = abs(model["expected_cost"] - file["expected_cost"])
        if not margin <= self.budget.score * max(1.0, model["expected_cost"]):
            self.lost += 1
            self.classes.add(str(model["class"]))

    def _add_classes(self, model: Mapping[str, Any], file: Mapping[str, Any]) -> None:
        """Classes of an image that one of them alone gives."""
        self.what = "classes"
        self.boxes += len(model["classes"])
        for kind, one, other in (("lost", model, file), ("extra", file, model)):
            for name, label in zip(one["classes"], one["labels"], strict=True):
                if name not in other["classes"]:
                    self._missed({"class": name, "label": label, "score": one["probabilities"][name]}, kind)

    def _add_boxes(self, model: Sequence[Mapping[str, Any]], file: Sequence[Mapping[str, Any]]) -> None:
        left, alone = list(file), []
        self.boxes += len(model)
        for box in model:
            twin = self._twin(box, [other for other in left if other["class"] == box["class"]])
            if twin is None:
                alone.append(box)
            else:
                left.remove(twin)
                self.pixels = max(self.pixels, _apart(box, twin))
                self._differ(box["score"] - twin["score"])
        for box in alone:  # of two classes with the same score at one place, rounding decides which one stays
            twin = self._twin(box, [other for other in left if abs(other["score"] - box["score"]) <= self.budget.score])
            if twin is None:
                self._missed(box, "lost")
            else:
                left.remove(twin)
        for box in left:
            self._missed(box, "extra")

    def _differ(self, *differences: float) -> None:
        """A difference that is NaN is as large as can be."""
        self.score = max(self.score, *(abs(each) if each == each else math.inf for each in differences))

    def _missed(self, box: Mapping[str, Any], kind: str) -> None:
        if abs(box["score"] - self.thresholds[box["label"]]) > self.budget.near:
            self.classes.add(str(box["class"]))
            setattr(self, kind, getattr(self, kind) + 1)

    def _twin(self, box: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
        """Of the boxes in the same place the nearest."""
        alike = [other for other in others if _apart(box, other) < 4 * self.budget.pixels]
        return min(alike, key=lambda other: _apart(box, other), default=None)

    @property
    def passed(self) -> bool:
        missed = max(self.lost, self.extra) <= self.budget.missed * self.boxes
        return self.pixels <= self.budget.pixels and self.score <= self.budget.score and missed

    def text(self) -> str:
        """Such as "34 images, 128 boxes: 0.18 px, 0.0008 of score"."""
        lost = f", {self.lost} {self.what} lost, {self.extra} extra" if self.lost or self.extra else ""
        if self.what == "boxes":
            if not self.boxes and not self.extra:
                return f"{self.images} images, no box reaches the threshold: nothing to compare"
            return f"{self.images} images, {self.boxes} boxes: {self.pixels:.2g} px, {self.score:.2g} of score{lost}"
        counted = f", {self.boxes} classes:" if self.what == "classes" else ":"
        return f"{self.images} images{counted} {self.score:.2g} of score{lost}"

    def numbers(self) -> dict[str, Any]:
        return {
            "images": self.images,
            "boxes": self.boxes,
            "largest_px": self.pixels,
            "largest_score": self.score,
            "lost": self.lost,
            "extra": self.extra,
        }


def _apart(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """The largest difference of a corner's coordinate, original px."""
    return float(np.abs(np.subtract(one["box_xyxy"], other["box_xyxy"])).max())
