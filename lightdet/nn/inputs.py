"""Images that a network can be run on when only shapes matter."""

import torch
from torch import Tensor, nn

from lightdet.core.errors import LightdetError
from lightdet.ops.grid import ImageSize, height_width


def in_channels(network: object) -> int:
    """Channels of the images that a network takes: those that it names, or the three of RGB."""
    channels = getattr(network, "in_channels", 3)
    return channels if isinstance(channels, int) else 3


def blank_image(network: nn.Module, image_size: ImageSize, level: float = 0.0) -> Tensor:
    """(1, C, H, W) of one grey level, 0..1, on the network's device and in the format of its weights."""
    weights = next(network.parameters())
    shape = (1, in_channels(network), *height_width(image_size))
    return torch.full(shape, level, device=weights.device, dtype=weights.dtype)


def check_channels(network: nn.Module, channels: int) -> None:
    """Raises LightdetError for data whose images have other channels than the network takes."""
    if in_channels(network) != channels:
        raise LightdetError(
            f"channels={channels}: this model takes images of {in_channels(network)} channels; set "
            f"channels={in_channels(network)}, or take a model whose backbone has in_channels"
        )
