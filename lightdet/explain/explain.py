"""Explains what a model predicts for one image."""

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from lightdet.core.errors import LightdetError
from lightdet.core.types import Subject
from lightdet.engine.predictor import Predictor, Stopwatch
from lightdet.engine.result import Result
from lightdet.explain.contract import Method
from lightdet.model.contract import Model
from lightdet.ops.letterbox import map_to_original
from lightdet.runtime.sources import Original


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where in an image a method finds the reason for a subject."""

    subject: Subject  # its box in input px
    name: str  # of its class
    method: str
    heat: np.ndarray  # (H, W) float32 >= 0, original px; on the method's own scale
    seconds: float  # that the method took


@dataclass(frozen=True, slots=True)
class Explained:
    """The result of an image, with the explanations of what it says: for each subject those of every method."""

    result: Result
    explanations: tuple[Explanation, ...]


def explain(predictor: Predictor, original: Original, methods: Mapping[str, Method], most: int = 1) -> Explained:
    """Explain an image: `explain_result` of what the model predicts for it.

    Raises LightdetError for an image that cannot be read or breaks the model, and for a method that cannot explain
    this model.
    """
    return explain_result(predictor, predictor.predict(original, Stopwatch(predictor.device)), methods, most)


def explain_result(
    predictor: Predictor,
    result: Result,
    methods: Mapping[str, Method],
    most: int = 1,
    unable: dict[str, str] | None = None,
) -> Explained:
    """Explain the `most` most important subjects of a result (a classifier's decided class and its next guesses, a
    detector's best boxes), each by every method.

    A method that cannot explain this model raises LightdetError; with `unable` it is left out instead, now and in
    later calls, and the reason is put there under its name.
    """
    images, letterbox = predictor.placed(result.image)
    explanations = []
    for subject in result.subjects(most):
        for name, method in methods.items():
            if unable is not None and name in unable:
                continue
            try:
                heat, seconds = timed(method, predictor.model, images, subject, name)
            except LightdetError as error:
                if unable is None:
                    raise
                unable[name] = str(error)
                continue
            placed = map_to_original(heat, letterbox)
            explanations.append(Explanation(subject, predictor.classes[subject.label], name, placed, seconds))
    return Explained(result, tuple(explanations))


def timed(method: Method, model: Model, images: Tensor, subject: Subject, name: str) -> tuple[np.ndarray, float]:
    """The map (H, W) float32 in input px, and the seconds it took. Raises LightdetError for what is no such map."""
    start = perf_counter()
    heat = method(model, images, subject)
    if images.device.type == "cuda":
        torch.cuda.synchronize(images.device)
    seconds = perf_counter() - start
    if heat.shape != tuple(images.shape[-2:]):
        raise LightdetError(f"explain={name}: a map of {heat.shape}, and the input has {tuple(images.shape[-2:])} px")
    if not np.isfinite(heat).all() or (heat < 0).any():
        raise LightdetError(f"explain={name}: a map with NaN, infinite or negative values")
    return heat.astype(np.float32, copy=False), seconds
