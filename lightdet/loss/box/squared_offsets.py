"""Squared errors of offsets, the box loss of YOLOv3: Redmon and Farhadi 2018, arXiv 1804.02767, section 2.1.

Sizes are compared by their logarithm, as in the paper, whose predictor outputs it. There the gradient of a box
that has shrunk to nothing is as steep as that of one as much too large; a loss of the overlap is flat there, and an
exponential predictor does not come back. Differs: centres are compared in shares of the true box, not of a cell, which
counts small boxes more, as the published implementation does with a different factor.
"""

from torch import Tensor

from lightdet.loss.box.overlap import overlap

SMALLEST_SIDE = 1e-6  # px of a predicted box: a logarithm needs one


class SquaredOffsets:
    """(K, 4), (K, 4) px -> (K,) squared centre offset in true sides and squared logarithm of the sides' ratios."""

    def __call__(self, predicted_xyxy: Tensor, target_xyxy: Tensor) -> Tensor:
        pair = overlap(predicted_xyxy, target_xyxy)
        centre = pair.shift_xy / pair.target_wh
        size = (pair.predicted_wh.clamp(min=SMALLEST_SIDE) / pair.target_wh).log()
        return centre.square().sum(dim=-1) + size.square().sum(dim=-1)
