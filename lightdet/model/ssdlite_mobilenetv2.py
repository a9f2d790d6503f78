"""SSDLite with MobileNetV2: depthwise separable heads on a mobile backbone.

Sandler et al. 2018, arXiv 1801.04381, section 6.2; the baseline that Zhang et al. 2022 (Measurement 201, 111665) start
from; their improvements are not published openly and are not built. Six default boxes per cell on all maps, as in
torchvision's SSDLite. 3.14 M parameters at 6 classes.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torchvision.models import MobileNet_V2_Weights
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.ssdlite import SSDLiteHead
from torchvision.models.mobilenetv2 import InvertedResidual, MobileNetV2

from lightdet.core.errors import LightdetError
from lightdet.model.single_shot import SingleShot
from lightdet.model.torchvision import load_pretrained
from lightdet.nn.blocks import batch_norm
from lightdet.ops.grid import ImageSize

EXPANDED = 14  # the layer of MobileNetV2 (block 13) whose expansion is the last thing at stride 16
EXTRA = ((512, 0.2), (256, 0.25), (256, 0.5), (64, 0.25))  # channels, expansion
CHANNELS = [576, 1280, 512, 256, 256, 64]
SCALES = (0.2, 0.95)  # sides of the default boxes on the first and on the last map, share of the image
SEVERAL_CELLS = 512  # px; at larger inputs the last map has more than one cell


class SsdliteMobilenetV2(SingleShot):
    """Maps at strides 16 and 32 and four halvings of the latter; works at any input size.

    A halving is an inverted residual whose result is rectified: the heads begin with a normalisation, before which a
    linear bottleneck's shift would be lost on maps of one cell.
    """

    def __init__(self, num_classes: int, image_size: ImageSize, pretrained_backbone: bool = False) -> None:
        mobilenet = MobileNetV2().features
        if pretrained_backbone:
            load_pretrained(mobilenet, MobileNet_V2_Weights.IMAGENET1K_V1, prefix="features.")
        default_boxes = DefaultBoxGenerator([[2, 3] for _ in CHANNELS], *SCALES)
        head = SSDLiteHead(CHANNELS, default_boxes.num_anchors_per_location(), num_classes + 1, batch_norm)
        super().__init__(_Extractor(mobilenet), head, default_boxes, num_classes, image_size)

    def losses(self, images: Tensor, ground_truth: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """As of `SingleShot`. Raises LightdetError for a training batch whose BatchNorm would see one value."""
        if self.training and len(images) == 1 and max(images.shape[-2:]) <= SEVERAL_CELLS:
            raise LightdetError("data.batch_size=1: the last map has one cell, and BatchNorm needs two; take 2 or more")
        return super().losses(images, ground_truth)


class _Extractor(nn.Module):
    """images (B, 3, H, W) -> six maps by name, `CHANNELS` each."""

    def __init__(self, mobilenet: Sequence[nn.Module]) -> None:
        super().__init__()
        block = mobilenet[EXPANDED].conv
        assert isinstance(block, nn.Sequential)
        fine = nn.Sequential(*mobilenet[:EXPANDED], block[0])
        coarse = nn.Sequential(*block[1:], *mobilenet[EXPANDED + 1 :])
        extra = [
            nn.Sequential(InvertedResidual(narrow, wide, 2, expansion, batch_norm), nn.ReLU6())
            for narrow, (wide, expansion) in zip(CHANNELS[1:], EXTRA, strict=False)
        ]
        self.stages = nn.ModuleList([fine, coarse, *extra])

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps: dict[str, Tensor] = {}
        for index, stage in enumerate(self.stages):
            images = stage(images)
            maps[str(index)] = images
        return maps
