"""Wise IoU loss, version 3, Tong et al. 2023, arXiv 2301.10051: pairs of medium quality get the largest weight.

loss = r * exp(d^2 / (W^2 + H^2)) * (1 - IoU), where d is the distance of the centres and W x H their hull. The focus is
r = beta / (delta * alpha^(beta - delta)), and beta = (1 - IoU) / running mean of (1 - IoU) measures how poor a pair is.
Neither the hull nor the focus carries a gradient.
"""

import torch
from torch import Tensor, nn

from lightdet.core.errors import LightdetError
from lightdet.loss.box.overlap import EPSILON, centre_distance, overlap


class Wiou(nn.Module):
    """(K, 4), (K, 4) px -> (K,).

    `mean_loss`, the running mean, is a buffer: it is in the checkpoint beside the weights, so that a resumed training
    weighs as the undisturbed one does. It moves by `momentum` at every call in which a gradient is wanted (of the
    anchor criteria: once per grid that has positives); a call without one only reads it. Raises LightdetError for
    settings without a meaning.
    """

    mean_loss: Tensor

    def __init__(self, alpha: float = 1.9, delta: float = 3.0, momentum: float = 0.01) -> None:
        super().__init__()
        if not 0 <= momentum <= 1 or alpha <= 0 or delta <= 0:
            raise LightdetError(
                f"loss/box=wiou: momentum={momentum}, alpha={alpha}, delta={delta}: "
                "momentum is a share between 0 and 1, the others are above 0"
            )
        self.alpha = alpha
        self.delta = delta
        self.momentum = momentum
        self.register_buffer("mean_loss", torch.ones(()))

    def forward(self, predicted_xyxy: Tensor, target_xyxy: Tensor) -> Tensor:
        pair = overlap(predicted_xyxy, target_xyxy)
        loss = 1 - pair.iou
        if predicted_xyxy.requires_grad and len(loss):
            self.mean_loss.lerp_(loss.detach().mean().to(self.mean_loss.dtype), self.momentum)
        outlier = loss.detach() / self.mean_loss.clamp(min=EPSILON)
        focus = outlier / (self.delta * self.alpha ** (outlier - self.delta))
        pair.hull_wh = pair.hull_wh.detach()
        return focus * torch.exp(centre_distance(pair)) * loss
