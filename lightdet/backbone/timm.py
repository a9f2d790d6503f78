"""Any feature extractor of timm, by its name there.

Weights: `pretrained=true` asks timm for them; where they cannot be fetched the error says so and how to go on.
"""

from typing import Any

import torch
from torch import Tensor

from lightdet.error import LightdetError
from lightdet.nn.contracts import Backbone
from lightdet.nn.pretrained import fetches


class Timm(Backbone):
    """(B, 3, H, W) in 0..1 -> [C3, C4, C5] at strides 8, 16 and 32, with `.channels` each.

    Pretrained weights get the images as they knew them: less their mean, over their standard deviation.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, pretrained: bool = False) -> None:
        super().__init__()
        features, levels = _features(name, pretrained)
        self.features = features
        self.channels = tuple(features.feature_info.channels()[level] for level in levels)
        self.levels = levels
        self.pretrained = pretrained
        for name in ("mean", "std"):  # part of the configuration, not of a checkpoint
            self.register_buffer(name, torch.tensor(features.pretrained_cfg[name]).view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = self.features((images - self.mean) / self.std if self.pretrained else images)
        return [maps[level] for level in self.levels]


def _features(name: str, pretrained: bool) -> tuple[Any, list[int]]:
    import timm  # 11 s cold: only those who name it pay for it

    features: Any
    try:
        features = timm.create_model(name, features_only=True, pretrained=pretrained and fetches())
    except OSError as error:  # hub, network and cache faults all arrive as OSError
        raise LightdetError(
            f"backbone.name={name}: its pretrained weights are neither cached nor reachable ({type(error).__name__}); "
            "go online once, or train from scratch with model.network.backbone.pretrained=false"
        ) from error
    except RuntimeError as error:
        close = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:6]) or "see timm.list_models()"
        raise LightdetError(f"backbone.name={name}: timm has no such feature extractor; close: {close}") from error
    reductions = features.feature_info.reduction()
    missing = [stride for stride in Backbone.strides if stride not in reductions]
    if missing:
        needed = Backbone.strides
        raise LightdetError(f"backbone.name={name}: gives strides {reductions}, needs {needed}; take another one")
    return features, [len(reductions) - 1 - reductions[::-1].index(stride) for stride in Backbone.strides]
