"""Faster R-CNN with ResNet-50 and a feature pyramid, as in torchvision.

Ren et al. 2015, arXiv 1506.01497; Lin et al. 2017, arXiv 1612.03144. Every layer is trained and every normalisation is
an ordinary BatchNorm: torchvision freezes both when it starts from ImageNet, and frozen statistics of a network that
has seen nothing would be wrong. Anchors of 32 to 512 px and all other constants are torchvision's.

41.38 M parameters at 6 classes; Huang 2024, Table 3 prints 42.52 M (2.7 % more) and does not say of which
implementation.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.models import ResNet50_Weights
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.image_list import ImageList

from lightdet.model.region_align import RegionAlign
from lightdet.model.torchvision import TorchvisionNetwork, load_pretrained, without_background
from lightdet.nn.float32 import in_float32
from lightdet.nn.mode import in_mode
from lightdet.ops.grid import ImageSize, square_side

BACKBONE_LAYERS = 5  # all of them are trained


class FasterRcnn(TorchvisionNetwork):
    """images -> [class logits (B, P, C + 1), box offsets (B, P, 4 (C + 1)), proposals (B, P, 4) px].

    The whole computation, region proposals included. Suppression leaves a number of proposals that depends on weights
    and image; they are filled up with empty boxes, which never become detections, to P = `proposals`. So operations
    and shapes are those of the architecture: what is counted, timed and exported always has P regions.

    Under autocast the region proposals and the last layers compute in float32: a box in bfloat16 would be rounded to
    whole pixels. The two wide layers before the last ones, most of a training's operations, do not.
    """

    any_order = True  # of the regions: with another rounding they are ranked otherwise, and no map is wrong for it

    one_image = True  # of an exported graph: the region proposals of each image are a loop

    def __init__(
        self, num_classes: int, image_size: ImageSize, proposals: int = 1000, pretrained_backbone: bool = False
    ) -> None:
        side = square_side(image_size, type(self).__name__)
        backbone = resnet_fpn_backbone(
            backbone_name="resnet50", weights=None, norm_layer=nn.BatchNorm2d, trainable_layers=BACKBONE_LAYERS
        )
        if pretrained_backbone:
            load_pretrained(backbone.body, ResNet50_Weights.IMAGENET1K_V1)
        super().__init__(
            FasterRCNN(
                backbone,
                num_classes + 1,
                min_size=side,
                max_size=side,
                rpn_post_nms_top_n_test=proposals,
                box_roi_pool=RegionAlign(featmap_names=["0", "1", "2", "3"], output_size=7, sampling_ratio=2),
            )
        )
        in_float32(self.model.roi_heads.box_predictor)
        self.proposals = proposals

    def forward(self, images: Tensor) -> list[Tensor]:
        seen, maps = self._features(images)
        heads = self.model.roi_heads
        with torch.autocast(images.device.type, enabled=False), in_mode(False, self.model.rpn):
            kept, _ = self.model.rpn(seen, maps)
        proposals = [self._filled(boxes) for boxes in kept]
        regions = heads.box_head(heads.box_roi_pool(maps, proposals, seen.image_sizes))
        logits, offsets = heads.box_predictor(regions)
        per_image = (len(images), self.proposals, -1)
        return [logits.view(per_image), offsets.view(per_image), torch.stack(proposals)]

    def losses(self, images: Tensor, ground_truth: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """{"loss_classifier", "loss_box_reg", "loss_objectness", "loss_rpn_box_reg"}.

        Anchors and regions are sampled with torch's global random numbers, whose state a checkpoint keeps.
        """
        seen, maps = self._features(images)
        rpn, heads = self.model.rpn, self.model.roi_heads
        with in_mode(True, rpn, heads):
            with torch.autocast(images.device.type, enabled=False):
                proposals, of_proposals = rpn(seen, maps, ground_truth)
            _, of_regions = heads(maps, proposals, seen.image_sizes, ground_truth)
        return {**of_regions, **of_proposals}

    def decode(self, raw: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """N = P x num_classes: each region predicts one box per class, with a score for that class alone."""
        logits, offsets, proposals = raw
        images, regions, outputs = logits.shape
        coder = self.model.roi_heads.box_coder
        boxes = coder.decode(offsets.flatten(0, 1), list(proposals)).view(images, regions, outputs, 4)
        real = (proposals[..., 2:] > proposals[..., :2]).all(dim=-1, keepdim=True)
        probabilities = without_background(logits) * real
        scores = probabilities[..., None] * torch.eye(outputs - 1, device=logits.device)  # diag_embed has no ONNX form
        return boxes[:, :, 1:].flatten(1, 2), scores.flatten(1, 2)

    def _filled(self, boxes: Tensor) -> Tensor:
        """Up to `proposals` boxes, then empty ones. The number of boxes is never read: an export would freeze it."""
        return torch.cat((boxes, boxes.new_zeros(self.proposals, 4)))[: self.proposals]

    def _features(self, images: Tensor) -> tuple[ImageList, dict[str, Tensor]]:
        """The batch as torchvision's heads expect it, and the pyramid's maps in float32."""
        seen = self.as_image_list(images)
        return seen, {name: feature.float() for name, feature in self.model.backbone(seen.tensors).items()}
