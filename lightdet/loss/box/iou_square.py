"""The box loss of YOLOX, Ge et al. 2021, arXiv 2107.08430 (published code): 1 - IoU^2."""

from torch import Tensor

from lightdet.loss.box.overlap import overlap


class IouSquare:
    """(K, 4), (K, 4) px -> (K,) in 0..1; disjoint boxes get no gradient."""

    def __call__(self, predicted_xyxy: Tensor, target_xyxy: Tensor) -> Tensor:
        return 1 - overlap(predicted_xyxy, target_xyxy).iou.square()
