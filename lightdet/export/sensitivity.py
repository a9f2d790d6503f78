"""What each layer's rounding does to what a model says: its error alone, overall and for each class."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from lightdet.core.progress import watched
from lightdet.export.calibration import Activations, Run, Start
from lightdet.export.int8 import Recipe, layers, quantized


@dataclass(frozen=True, slots=True)
class Effect:
    """The error that rounding one layer causes alone. error: the mean over the classes; classes: of each class, by
    label, see `errors`."""

    layer: str
    error: float
    classes: tuple[float, ...]


def effects(
    model: onnx.ModelProto,
    images: Sequence[np.ndarray],
    expected: Sequence[np.ndarray],
    activations: Activations,
    recipe: Recipe,
    start: Start,
    outputs: Sequence[str],
) -> list[Effect]:
    """The effect of every layer on images (h, w, channels) uint8, the largest first; as many graphs as it has layers
    are run. expected: the model's outputs for the images. outputs: names of those in front of any selection."""
    ranges = activations.ranges(recipe.clip)
    names = [name for name in layers(model) if name not in recipe.kept]
    found = []
    for name in watched(names, len(names), "layers, rounded alone"):
        given = answers(start(quantized(model, ranges, activations.means, recipe, only=[name])), images, outputs)
        each = errors(expected, given)
        found.append(Effect(name, float(np.mean(each)), tuple(map(float, each))))
    return sorted(found, key=lambda effect: -effect.error)


def answers(run: Run, images: Sequence[np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
    """The named outputs for all images, stacked."""
    parts = [run(image[None], outputs) for image in images]
    return [np.concatenate(each) for each in zip(*parts, strict=True)]


def errors(expected: Sequence[np.ndarray], given: Sequence[np.ndarray]) -> np.ndarray:
    """(C,): how far raw outputs are apart for each class, as a share of what they are.

    For a class the root of the squared differences of its scores over its squared scores, and for detectors the
    mean shift of a corner in sides of its box, each box counted by its score. Infinite where an output is no number.
    """
    if len(expected) == 1:
        wanted, found = (each[0][:, None] for each in (expected, given))
    else:
        wanted, found = expected[1], given[1]
    power = np.maximum((wanted.astype(np.float64) ** 2).sum((0, 1)), 1e-12)
    apart = np.sqrt(((found.astype(np.float64) - wanted) ** 2).sum((0, 1)) / power)
    if len(expected) > 1:
        boxes = expected[0].astype(np.float64)
        sides = np.sqrt(np.maximum(np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1), 1.0))
        shift = np.abs(given[0] - boxes).mean(-1) / sides
        apart = apart + (wanted * shift[..., None]).sum((0, 1)) / np.maximum(wanted.sum((0, 1)), 1e-12)
    return np.where(np.isfinite(apart), apart, np.inf)
