"""Any feature extractor of timm that gives maps at strides 8, 16 and 32, by its name there.

Weights: with `pretrained=true` timm fetches them; where it cannot, a LightdetError explains how to continue.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lightdet.backbone.staged import strides_from
from lightdet.core.errors import LightdetError
from lightdet.nn.contracts import Backbone
from lightdet.nn.mode import in_mode
from lightdet.nn.pretrained import fetches


class Timm(Backbone):
    """(B, in_channels, H, W) in 0..1 -> [C3, C4, C5] at strides 8, 16 and 32, with `.channels` each.

    `finest_stride`: of the first map; 4 adds C2, 16 leaves out C3. Pretrained weights get the images as they knew them:
    less their mean, over their standard deviation; where there are not three channels, timm sums or repeats the weights
    of the first convolution. Parameters on which none of the maps depends are not trained. Raises LightdetError for a
    network without such maps and, from `forward`, for images of a size that the network does not take.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, pretrained: bool = False, in_channels: int = 3, finest_stride: int = 8) -> None:
        super().__init__()
        self.strides = strides_from(finest_stride)
        self.in_channels = in_channels
        features, levels = _features(name, pretrained, in_channels, self.strides)
        self.name = name
        self.features = features
        self.channels = tuple(features.feature_info.channels()[level] for level in levels)
        self.levels = levels
        self.channels_at_the_end = getattr(features, "output_fmt", "NCHW") == "NHWC"
        self.pretrained = pretrained
        for each, values in normalisation(features, in_channels).items():
            self.register_buffer(each, values, persistent=False)
        self._check(features.pretrained_cfg["input_size"][-1])

    def forward(self, images: Tensor) -> list[Tensor]:
        try:
            maps: Sequence[Tensor] = self.features((images - self.mean) / self.std if self.pretrained else images)
        except AssertionError as error:  # timm's way to refuse a size
            size, reason = " x ".join(str(side) for side in images.shape[-2:]), " ".join(str(error).split())
            raise LightdetError(f"backbone.name={self.name}: takes no images of {size} px ({reason})") from error
        return [maps[level].permute(0, 3, 1, 2) if self.channels_at_the_end else maps[level] for level in self.levels]

    def _check(self, side: int) -> None:
        """Run once, at about the network's usual size. Raises LightdetError for maps unlike their description."""
        side = max(1, round(side / self.strides[-1])) * self.strides[-1]
        parameters = list(self.features.parameters())
        with in_mode(False, self), torch.enable_grad():
            maps = self(parameters[0].new_zeros(1, self.in_channels, side, side))
            found = [tuple(one.shape[1:]) for one in maps]
            cells = [side // stride for stride in self.strides]
            needed = list(zip(self.channels, cells, cells, strict=True))
            if found != needed:
                raise LightdetError(f"backbone.name={self.name}: gives maps {found}, needs {needed}; take another one")
            total = torch.stack([one.sum() for one in maps]).sum()
            gradients: Sequence[Tensor | None] = torch.autograd.grad(total, parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if gradient is None:  # several ranks would wait for it
                parameter.requires_grad_(False)


def normalisation(features: Any, in_channels: int) -> dict[str, Tensor]:
    """Mean and standard deviation of the images that a network of timm knew, (in_channels, 1, 1) each: part of the
    configuration, not of a checkpoint."""
    return {name: _of_channels(features.pretrained_cfg[name], in_channels) for name in ("mean", "std")}


def _of_channels(values: Sequence[float], in_channels: int) -> Tensor:
    """A value of red, green and blue -> (in_channels, 1, 1): repeated for several images, their mean for grey ones."""
    repeated = [*values] * (in_channels // 3) if in_channels % 3 == 0 else [sum(values) / len(values)] * in_channels
    return torch.tensor(repeated).view(-1, 1, 1)


def _features(name: str, pretrained: bool, in_channels: int, strides: Sequence[int]) -> tuple[Any, list[int]]:
    features = fetched(name, pretrained, in_channels, features_only=True)
    reductions = features.feature_info.reduction()
    if not set(strides) <= set(reductions):
        raise LightdetError(f"backbone.name={name}: gives strides {reductions}, needs {strides}; take another one")
    return features, [len(reductions) - 1 - reductions[::-1].index(stride) for stride in strides]


def fetched(name: str, pretrained: bool, in_channels: int, **options: Any) -> Any:
    """A network of timm, with its pretrained weights if wanted. Raises LightdetError where there are none."""
    import timm  # 11 s cold: only those who name it pay for it

    try:
        return timm.create_model(name, pretrained=pretrained and fetches(), in_chans=in_channels, **options)
    except OSError as error:  # hub, network and cache faults all arrive as OSError
        raise LightdetError(
            f"backbone.name={name}: its pretrained weights are neither cached nor reachable ({type(error).__name__}); "
            "go online once, or train from scratch with model.network.backbone.pretrained=false"
        ) from error
    except RuntimeError as error:
        close = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:6]) or "see timm.list_models()"
        raise LightdetError(f"backbone.name={name}: timm has no such feature extractor; close: {close}") from error
