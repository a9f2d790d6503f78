"""Distance IoU loss, Zheng et al. 2020, arXiv 1911.08287."""

from torch import Tensor

from lightdet.loss.box.overlap import centre_distance, overlap


class Diou:
    """(K, 4), (K, 4) px -> (K,) 1 - IoU + normalised centre distance, in 0..2."""

    def __call__(self, predicted_xyxy: Tensor, target_xyxy: Tensor) -> Tensor:
        pair = overlap(predicted_xyxy, target_xyxy)
        return 1 - pair.iou + centre_distance(pair)
