"""Single-shot detection over default boxes, as in torchvision: what SSD and SSDLite have in common.

Liu et al. 2016, arXiv 1512.02325. Differs: the default boxes of a map are spread evenly over the image, so that they
follow the maps at any input size; torchvision fixes the steps of SSD at those of 300 px. Their sides are shares of the
configured input size, and in px they stay the same at any other input size: an object in a window of an image, as
`augment=window` trains on, is as large as in the whole image.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.ssd import SSD
from torchvision.ops import box_iou

from lightdet.model.torchvision import TorchvisionNetwork, without_background
from lightdet.ops.boxes import cxcywh_to_xyxy, xyxy_to_cxcywh
from lightdet.ops.grid import ImageSize, square_side


class SingleShot(TorchvisionNetwork):
    """images -> [class logits (B, N, C + 1), box offsets (B, N, 4), default boxes (N, 4) px, xyxy].

    `extractor`: images -> {name: map}, fine to coarse; `head` : maps -> torchvision's two outputs, with one class more
    than `num_classes` for the background. `image_size`: px, whose shares the sides of the default boxes are.
    """

    def __init__(
        self,
        extractor: nn.Module,
        head: nn.Module,
        default_boxes: DefaultBoxGenerator,
        num_classes: int,
        image_size: ImageSize,
        image_mean: Sequence[float] | None = None,
        image_std: Sequence[float] | None = None,
    ) -> None:
        side = square_side(image_size, type(self).__name__)
        super().__init__(
            SSD(
                extractor,
                default_boxes,
                (side, side),
                num_classes + 1,
                image_mean=image_mean,
                image_std=image_std,
                head=head,
            )
        )
        self.image_size = side

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = list(self.model.backbone(self.normalised(images)).values())
        outputs = self.model.head(maps)
        return [outputs["cls_logits"].float(), outputs["bbox_regression"].float(), self._default_boxes(images, maps)]

    def losses(self, images: Tensor, ground_truth: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """{"bbox_regression", "classification"}.

        The loss counts three default boxes of background for each positive of the same image, so an image without a
        box contributes nothing.
        """
        logits, offsets, default_boxes = self(images)
        matched = [self._match(one["boxes"], default_boxes) for one in ground_truth]
        outputs = {"bbox_regression": offsets, "cls_logits": logits}
        terms: dict[str, Tensor] = self.model.compute_loss(
            ground_truth, outputs, [default_boxes] * len(ground_truth), matched
        )
        return terms

    def decode(self, raw: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        logits, offsets, default_boxes = raw
        batch = offsets.shape[0]  # and not len(), which an export would freeze
        boxes: Tensor = self.model.box_coder.decode_single(offsets.flatten(0, 1), default_boxes.repeat(batch, 1))
        return boxes.reshape(batch, -1, 4), without_background(logits)

    def _default_boxes(self, images: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """(N, 4) px, xyxy: torchvision's, which are shares of this input, as large as at the configured one."""
        height, width = images.shape[-2:]
        shapes = [images.new_empty(1, dtype=torch.float32).expand(feature.shape) for feature in maps]
        boxes: Tensor = self.model.anchor_generator(ImageList(images, [(height, width)]), shapes)[0]
        if (height, width) == (self.image_size, self.image_size):
            return boxes
        centre, size = xyxy_to_cxcywh(boxes).split(2, dim=-1)
        return cxcywh_to_xyxy(torch.cat((centre, size * (self.image_size / size.new_tensor([width, height]))), dim=-1))

    def _match(self, boxes: Tensor, default_boxes: Tensor) -> Tensor:
        """(N,) int64: the ground-truth box that each default box is assigned to; -1: none."""
        if not len(boxes):
            return torch.full((len(default_boxes),), -1, dtype=torch.int64, device=boxes.device)
        matched: Tensor = self.model.proposal_matcher(box_iou(boxes, default_boxes))
        return matched
