"""How far probabilities of classes can be believed: reliability, its error, and a temperature. No torch here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

BINS = 15
TEMPERATURES = (0.05, 20.0)  # within which one is looked for
SMALLEST = 1e-12  # a probability of zero has no logarithm


@dataclass(frozen=True, slots=True)
class Reliability:
    """Images in bins of equal width of their greatest probability."""

    counts: np.ndarray  # (BINS,) int64
    confidence: np.ndarray  # (BINS,) mean greatest probability; 0 in an empty bin
    accuracy: np.ndarray  # (BINS,) share of right images; 0 in an empty bin

    @property
    def error(self) -> float:
        """Expected calibration error (Naeini et al. 2015): the mean distance of accuracy and confidence over images."""
        return float((self.counts * np.abs(self.accuracy - self.confidence)).sum() / max(1, self.counts.sum()))


def bin_gaps(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """probabilities (N, C) and true labels (N,) -> (N, BINS): right (1 or 0) minus confidence in the bin of the image.

    The sums of the bins, without their signs, over the number of images are the `error` of those images.
    """
    confidence, right, place = _judged(probabilities, labels)
    return (right - confidence)[:, None] * (place[:, None] == np.arange(BINS))


def _judged(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each image (N,) its greatest probability, whether that is right, and the bin."""
    confidence = probabilities.max(axis=1)
    place = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    return confidence, probabilities.argmax(axis=1) == labels, place


def reliability(probabilities: np.ndarray, labels: np.ndarray) -> Reliability:
    """probabilities (N, C) and true labels (N,) -> how often the images of each confidence are right."""
    confidence, right, place = _judged(probabilities, labels)
    counts = np.bincount(place, minlength=BINS)
    share = np.maximum(counts, 1)
    return Reliability(
        counts,
        np.bincount(place, weights=confidence, minlength=BINS) / share,
        np.bincount(place, weights=right, minlength=BINS) / share,
    )


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The T by which dividing the logits makes the labels most likely (Guo et al. 2017, arXiv 1706.04599)."""
    logits = np.log(np.maximum(probabilities, SMALLEST))
    chosen = np.arange(len(labels)), labels

    def unlikely(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        return float((logsumexp(scaled, axis=1) - scaled[chosen]).mean())

    low, high = np.log(TEMPERATURES)
    return float(np.exp(minimize_scalar(unlikely, bounds=(low, high), method="bounded").x))


def at_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """(N, C) -> (N, C): the probabilities whose logits are divided by the temperature."""
    scaled = np.log(np.maximum(probabilities, SMALLEST)) / temperature
    return np.exp(scaled - logsumexp(scaled, axis=1, keepdims=True))


def calibrated_error(probabilities: np.ndarray, labels: np.ndarray, fold: np.ndarray) -> float | None:
    """The calibration error with a temperature that was fitted on the other half of the images; None where a half has
    none. `fold` (N,) bool: the half of each image."""
    if not fold.any() or fold.all():
        return None
    scaled = probabilities.copy()
    for half in (fold, ~fold):
        scaled[half] = at_temperature(probabilities[half], fit_temperature(probabilities[~half], labels[~half]))
    return reliability(scaled, labels).error


def calibration(probabilities: np.ndarray, labels: np.ndarray, image_ids: Sequence[str]) -> dict[str, Any]:
    """The reliability as plain lists, the temperature that fits all of them, and the error with one that was fitted on
    the other half of the images; every second image by name is a half, with all its answers."""
    halves = set(sorted(set(image_ids))[::2])
    curve = reliability(probabilities, labels)
    return {
        "counts": curve.counts.tolist(),
        "confidence": curve.confidence.tolist(),
        "accuracy": curve.accuracy.tolist(),
        "temperature": fit_temperature(probabilities, labels),
        "ece_with_temperature_of_other_half": calibrated_error(
            probabilities, labels, np.array([image_id in halves for image_id in image_ids])
        ),
    }
