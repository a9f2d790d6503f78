"""Numbers for one map: where it points, and what the model loses and gains by the places it names.

Maps, boxes and images here are cut to the image, without the grey border of the input; px are those of the input.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from lightdet.core.types import Subject
from lightdet.model.contract import Model
from lightdet.ops.letterbox import PADDING_GREY

TOLERANCE = 0.03  # of the longer side: 15 px of the 500 px images of the pointing game's paper
STEPS = 10  # of deletion and insertion
BLUR = 0.1  # of the longer side: the standard deviation with which insertion begins
SHADE = PADDING_GREY / 255  # of deleted places


def pointing(heat: np.ndarray, boxes_xyxy: np.ndarray) -> float:
    """1 if the greatest value of a map (H, W) lies in one of the boxes (N, 4), or at most `TOLERANCE` beside it.

    The pointing game of Zhang et al. 2016, arXiv 1608.00507. A map of zeros points nowhere.
    """
    if not heat.max() > 0:
        return 0.0
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    x, y, slack = column + 0.5, row + 0.5, TOLERANCE * max(heat.shape)
    left, top, right, bottom = boxes_xyxy.T
    inside = (left - slack <= x) & (x <= right + slack) & (top - slack <= y) & (y <= bottom + slack)
    return float(inside.any())


def energy(heat: np.ndarray, boxes_xyxy: np.ndarray) -> float:
    """The share of a map's sum inside the boxes, divided by their share of the image: 1 for an even map.

    The energy of Wang et al. 2020, arXiv 1910.01279 (Score-CAM), per area. A map of zeros has none.
    """
    inside = np.zeros(heat.shape, bool)
    for left, top, right, bottom in np.round(boxes_xyxy).astype(int):
        inside[max(top, 0) : max(bottom, top + 1, 1), max(left, 0) : max(right, left + 1, 1)] = True
    total = float(heat.sum(dtype=np.float64))
    return float(heat[inside].sum(dtype=np.float64)) / total / float(inside.mean()) if total > 0 else 0.0


@torch.inference_mode()
def deletion_and_insertion(
    model: Model, images: Tensor, region: tuple[slice, slice], subject: Subject, heat: np.ndarray, seed: int
) -> tuple[float, float]:
    """The mean support of the subject while the places of the map (H, W) are deleted, and while they are inserted.

    images (1, C, H, W) of the whole input, in which the map lies at `region`. Petsiuk et al. 2018, arXiv 1806.07421:
    the greatest places first, in `STEPS` steps of equally many pixels; the area under the curve, by trapezoids.
    Deleted places become grey as the border is; insertion begins with the blurred image. Places of equal value come in
    random order, drawn by `seed`.
    """
    order = np.lexsort((np.random.default_rng(seed).random(heat.size), -heat.ravel()))
    rank = np.empty(heat.size, np.float32)
    rank[order] = (np.arange(heat.size) + 0.5) / heat.size
    place = torch.from_numpy(rank.reshape(heat.shape)).to(images.device)
    named = torch.stack([place < step / STEPS for step in range(STEPS + 1)])[:, None]  # (STEPS + 1, 1, h, w)
    inside = (slice(None), slice(None), *region)
    whole, blurred = images[inside], _blurred(images, region)
    areas = []
    for there, elsewhere in ((torch.full_like(whole, SHADE), whole), (whole, blurred)):
        seen = images.repeat(STEPS + 1, 1, 1, 1)
        seen[inside] = torch.where(named, there, elsewhere)
        supports = [model.support(prediction, subject) for prediction in model.predict(seen)]
        areas.append(float(np.trapezoid(supports, dx=1 / STEPS)))
    return areas[0], areas[1]


def _blurred(images: Tensor, region: tuple[slice, slice]) -> Tensor:
    """(1, C, h, w): the image without its border, out of focus."""
    pixels = np.ascontiguousarray(images[0, :, *region].permute(1, 2, 0).float().cpu().numpy())
    soft = cv2.GaussianBlur(pixels, (0, 0), BLUR * max(pixels.shape[:2])).reshape(pixels.shape)
    return torch.from_numpy(soft).to(images.device).permute(2, 0, 1)[None]


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's, of two maps (H, W), -1..1; NaN where one of them has one value alone, such as a map of zeros: 0 would
    look like a map that changes."""
    ranks = [rankdata(heat.ravel()) for heat in (first, second)]
    centred = [one - one.mean() for one in ranks]
    lengths = [float(np.sqrt(one @ one)) for one in centred]
    return float(centred[0] @ centred[1]) / (lengths[0] * lengths[1]) if min(lengths) > 0 else float("nan")


def shares(values: Sequence[float]) -> float:
    """The mean of the values that exist; NaN without one."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
