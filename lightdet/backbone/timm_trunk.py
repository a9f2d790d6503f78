"""The whole of a timm classifier in front of its pooling, by its name there: one map.

The backbone `timm` takes the maps that timm gives to detectors. They lack a last layer that some networks have, such as
that of MobileNetV2 with 1,280 channels.
"""

import torch
from torch import Tensor

from lightdet.backbone.timm import fetched, normalisation
from lightdet.core.errors import LightdetError
from lightdet.nn.contracts import Backbone
from lightdet.nn.mode import in_mode

STRIDE = 32  # px, of nearly all classifiers; a classifier uses the map and not its stride


class TimmTrunk(Backbone):
    """(B, in_channels, H, W) in 0..1 -> [the last map], with its channels in `.channels`.

    Pretrained weights get the images as they knew them: less their mean, over their standard deviation. Raises
    LightdetError for a network that timm does not have or that ends in something else than a map.
    """

    mean: Tensor
    std: Tensor
    strides = (STRIDE,)

    def __init__(self, name: str, pretrained: bool = False, in_channels: int = 3) -> None:
        super().__init__()
        self.name = name
        self.in_channels = in_channels
        self.pretrained = pretrained
        self.features = fetched(name, pretrained, in_channels, num_classes=0, global_pool="")
        for each, values in normalisation(self.features, in_channels).items():
            self.register_buffer(each, values, persistent=False)
        side = self.features.pretrained_cfg["input_size"][-1]
        with in_mode(False, self), torch.no_grad():
            found = self.features.forward_features(torch.zeros(1, in_channels, side, side))
        if found.ndim != 4 or found.shape[1] < found.shape[2]:
            raise LightdetError(f"backbone.name={name}: ends in {tuple(found.shape)}, not in a map; take another one")
        self.channels = (found.shape[1],)

    def forward(self, images: Tensor) -> list[Tensor]:
        return [self.features.forward_features((images - self.mean) / self.std if self.pretrained else images)]
