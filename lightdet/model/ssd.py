"""SSD300 with VGG-16, as in torchvision: the baseline that Huang 2024 calls SSD.

Liu et al. 2016, arXiv 1512.02325. Two things differ, and neither changes a parameter. The last two convolutions have no
padding and need maps of 3 x 3; where an input is smaller than 288 px theirs are filled up with zeros, so that all six
levels exist at any size. From scratch the input is brought to unit variance; torchvision's factor of 255 belongs to the
ImageNet weights, and the rectifiers of a VGG without normalisation would carry it to the loss.

24.41 M parameters at 6 classes; Huang 2024, Table 3 prints 24.69 M (1.1 % more).
"""

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torchvision.models import VGG16_Weights
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.ssd import SSDFeatureExtractorVGG, SSDHead
from torchvision.models.vgg import cfgs, make_layers

from lightdet.model.single_shot import SingleShot
from lightdet.model.torchvision import load_pretrained
from lightdet.ops.grid import ImageSize

CHANNELS = [512, 1024, 512, 256, 256, 256]
RATIOS = [[2], [2, 3], [2, 3], [2, 3], [2], [2]]
SCALES = [0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05]  # sides of the default boxes, share of the image
CAFFE_MEAN = (0.48235, 0.45882, 0.40784)  # with the standard deviation 1 / 255: what the ImageNet weights were fed


class Ssd(SingleShot):
    """Default boxes per cell 4, 6, 6, 6, 4, 4 on six maps; strides 8 to 64, then two maps of few cells."""

    def __init__(self, num_classes: int, image_size: ImageSize, pretrained_backbone: bool = False) -> None:
        vgg = _vgg()
        if pretrained_backbone:
            load_pretrained(vgg, VGG16_Weights.IMAGENET1K_FEATURES, prefix="features.")
        extractor = SSDFeatureExtractorVGG(vgg, highres=False)
        for block in extractor.extra[-2:]:
            block[2] = _Covering.of(block[2])
        default_boxes = DefaultBoxGenerator(RATIOS, scales=SCALES)
        head = SSDHead(CHANNELS, default_boxes.num_anchors_per_location(), num_classes + 1)
        mean, std = (CAFFE_MEAN, [1 / 255] * 3) if pretrained_backbone else (None, None)
        super().__init__(extractor, head, default_boxes, num_classes, image_size, mean, std)


class _Covering(nn.Conv2d):
    """A convolution without padding, before which a map smaller than its kernel is filled up with zeros."""

    @classmethod
    def of(cls, conv: nn.Conv2d) -> "_Covering":
        covering = cls(conv.in_channels, conv.out_channels, int(conv.kernel_size[0]))
        covering.load_state_dict(conv.state_dict())
        return covering

    def forward(self, x: Tensor) -> Tensor:
        height, width = (max(0, int(self.kernel_size[0]) - size) for size in x.shape[-2:])
        return super().forward(F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2)))


def _vgg() -> nn.Sequential:
    """The convolutions of VGG-16, initialised as in torchvision; the classifier, eight times as large, is not built."""
    layers: nn.Sequential = make_layers(cfgs["D"], batch_norm=False)
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            assert layer.bias is not None
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return layers
