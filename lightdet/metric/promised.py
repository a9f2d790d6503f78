"""The threshold of what is asked, with its promise; or why these images cannot give it. No torch here."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lightdet.core.errors import LightdetError
from lightdet.metric.escape_bound import (
    box_threshold,
    escapes_allowed,
    escapes_expected,
    missed_share,
    threshold_at,
)
from lightdet.metric.escape_curve import Cheapest, cheapest
from lightdet.metric.exact_interval import images_needed, upper_bound
from lightdet.metric.image_scores import ImageScores

IMAGE, BOX = "image", "box"
LEVELS = (IMAGE, BOX)


@dataclass(frozen=True, slots=True)
class Asked:
    """escape: the share of defective parts, or of an image's boxes, that may be missed. confidence: with which; of no
    meaning where `expected`, and for boxes. prices of an escape and of an overkill: then the threshold of least cost is
    taken and nothing is promised. defective: share of defective parts on the line; None: as in the images."""

    escape: float = 0.01
    confidence: float = 0.95
    level: str = IMAGE
    expected: bool = False
    per_class: bool = False
    prices: tuple[float, float] | None = None
    defective: float | None = None
    lot: int | None = None  # promise about so many further defective parts; None: about all


@dataclass(frozen=True, slots=True)
class Chosen:
    """threshold, and of each class its own (NaN: none); sentence: the promise; or `missing`, why there is none."""

    sentence: str
    threshold: float = float("nan")
    thresholds: tuple[float, ...] | None = None
    cost: Cheapest | None = None
    missing: tuple[str, ...] = ()


def choose(scores: ImageScores, asked: Asked) -> Chosen:
    """Raises LightdetError where nothing can be said: no defective image, and for costs no good one; no boxes."""
    if not scores.defective.any():
        raise LightdetError(
            f"none of the {len(scores.image_ids)} images is defective: what escapes cannot be bounded; give images "
            "with ground truth, split=test or data=OPTION"
        )
    if asked.prices is not None:
        return _by_cost(scores, asked, asked.prices)
    if asked.level == BOX:
        return _of_boxes(scores, asked)
    return _per_class(scores, asked) if asked.per_class else _of_images(scores, asked)


def _of_images(scores: ImageScores, asked: Asked) -> Chosen:
    parts = "defective parts" if asked.lot is None else f"next {asked.lot} defective parts"
    sentence = f"{_how(asked, asked.confidence)} {percent(asked.escape)} of the {parts} pass"
    threshold, missing = _bounded(scores.overall[scores.defective], asked, asked.confidence, "defective images")
    return Chosen(sentence, threshold, missing=tuple(missing))


def _per_class(scores: ImageScores, asked: Asked) -> Chosen:
    """Each class by the images that show it; they share the confidence (Bonferroni), so that all bounds hold."""
    each = asked.confidence if asked.expected else 1 - (1 - asked.confidence) / len(scores.defects)
    found: list[float] = [float("nan")] * len(scores.classes)
    missing: list[str] = []
    for label in scores.defects:
        mine = scores.by_class[scores.present[:, label], label]
        kind = f"images with {scores.classes[label]}"
        found[label], why = _bounded(mine, asked, each, kind)
        missing += why
    sentence = (
        f"{_how(asked, asked.confidence)} {percent(asked.escape)} of the parts with a defect of any one class pass"
    )
    return Chosen(
        sentence, float(np.nanmin(found)) if not missing else float("nan"), tuple(found), missing=tuple(missing)
    )


def _bounded(scores: np.ndarray, asked: Asked, confidence: float, kind: str) -> tuple[float, list[str]]:
    """The threshold of these scores, or why there is none."""
    images = len(scores)
    if asked.expected:
        allowed, needed = escapes_expected(images, asked.escape), int(np.ceil(1 / asked.escape - 1e-9)) - 1
    else:
        allowed, needed = escapes_allowed(images, asked.escape, confidence, asked.lot), _needed(asked, confidence)
    threshold = threshold_at(scores, allowed)
    if threshold is not None:
        return threshold, []
    unseen = int(np.isneginf(scores).sum())
    asks = f"{percent(asked.escape)}{'' if asked.expected else f' with {percent(confidence)} confidence'}"
    if allowed < 0:
        reason = f"{images} {kind} are too few for {asks}: at least {needed} are needed"
    else:
        reason = f"{unseen} of {images} {kind} have no box of any score, and {asks} allows {allowed} escapes"
    best = (unseen + 1) / (images + 1) if asked.expected else upper_bound(unseen, images, confidence)
    known = best < 1 and asked.lot is None
    advice = f"; the best promise of these images is {percent(best, up=True)}" if known else ""
    return float("nan"), [reason + advice]


def _needed(asked: Asked, confidence: float) -> int:
    """The least number of images that allow no escape."""
    needed = images_needed(asked.escape, confidence)
    while escapes_allowed(needed, asked.escape, confidence, asked.lot) < 0:
        needed += max(1, needed // 100)  # of a lot: at most one per cent too many
    return needed


def _of_boxes(scores: ImageScores, asked: Asked) -> Chosen:
    found, weights, images = right_boxes(scores)
    sentence = f"on average at most {percent(asked.escape)} of the boxes of a defective part are missed"
    threshold = box_threshold(found, weights, images, asked.escape)
    if threshold is not None:
        return Chosen(sentence, threshold)
    best = (images * missed_share(found, weights, images, 0.0) + 1) / (images + 1)
    needed = int(np.ceil(1 / asked.escape - 1e-9)) - 1
    why = f"at least {needed} are needed" if images < needed else "at any threshold more are missed"
    reason = f"{images} images with boxes do not allow {percent(asked.escape)} of missed boxes: {why}; "
    return Chosen(sentence, missing=(f"{reason}the best promise of these images is {percent(best, up=True)}",))


def right_boxes(scores: ImageScores) -> tuple[np.ndarray, np.ndarray, int]:
    """The scores (K,) of right boxes, their weights 1 / boxes of their image, and how many images have boxes.

    Raises LightdetError for scores without boxes, those of a classifier.
    """
    if not scores.boxes.any():
        raise LightdetError("--level box: there are no ground-truth boxes; a classifier decides whole images")
    return scores.found, 1 / scores.boxes[scores.found_images], int((scores.boxes > 0).sum())


def _by_cost(scores: ImageScores, asked: Asked, prices: tuple[float, float]) -> Chosen:
    if scores.defective.all():
        raise LightdetError(
            f"none of the {len(scores.image_ids)} images is good: what overkill costs is unknown; give images of good "
            "parts with data=OPTION, or ask for --escape"
        )
    share = float(scores.defective.mean()) if asked.defective is None else asked.defective
    found = cheapest(scores.overall[scores.defective], scores.overall[~scores.defective], prices, share)
    given = "as in the images" if asked.defective is None else "as given"
    sentence = (
        f"no promise, but the least expected cost where an escape costs {prices[0]:g}, an overkill {prices[1]:g}, and "
        f"{percent(share)} of the parts are defective, {given}"
    )
    return Chosen(sentence, found.threshold, cost=found)


def rejected(scores: ImageScores, chosen: Chosen) -> np.ndarray:
    """(I,) bool: the images that the thresholds reject."""
    if chosen.thresholds is None:
        whole: np.ndarray = scores.overall >= chosen.threshold
        return whole
    away: np.ndarray = np.any(scores.by_class >= np.array(chosen.thresholds), axis=1)  # nothing reaches NaN
    return away


def percent(share: float, up: bool = False) -> str:
    """Such as "1 %", "0.25 %"; `up`: never less than the share, with three digits."""
    if not up:
        return f"{100 * share:.4g} %"
    digits = max(0, 2 - int(np.floor(np.log10(100 * share)))) if share > 0 else 0
    return f"{np.ceil(100 * share * 10**digits) / 10**digits:.{digits}f} %"


def per_class_lines(scores: ImageScores, chosen: Chosen) -> Iterator[str]:
    """A line for each class with a threshold of its own: it, and how many of the images that show it pass."""
    passed = ~rejected(scores, chosen)
    for label in scores.defects:
        shows = scores.present[:, label]
        least = (chosen.thresholds or ())[label]
        yield f"{scores.classes[label]}: {least:.4g}, {int((shows & passed).sum())} of {int(shows.sum())} images pass"


def _how(asked: Asked, confidence: float) -> str:
    return "on average at most" if asked.expected else f"with {percent(confidence)} confidence at most"
