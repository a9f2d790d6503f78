"""Blocks that several components share. Shapes are (B, C, H, W)."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lightdet.core.errors import LightdetError, demand_whole

BATCH_NORM_EPSILON = 1e-3
BATCH_NORM_MOMENTUM = 0.03

Activation = Callable[[], nn.Module]
ACTIVATIONS: dict[str, Activation] = {
    "silu": nn.SiLU,
    "hardswish": nn.Hardswish,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
}


def activation_named(name: str) -> Activation:
    """Raises LightdetError for a name that is none of ACTIVATIONS."""
    if name not in ACTIVATIONS:
        raise LightdetError(f"activation={name}: one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


def divisible(channels: float, divisor: int = 8) -> int:
    """The next multiple of `divisor` that is not below `channels`: how a width multiplier rounds."""
    return max(divisor, math.ceil(channels / divisor) * divisor)


def repeats(count: int, depth: float) -> int:
    """How often a block repeats under a depth multiplier; at least once."""
    return max(1, round(count * depth))


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """BatchNorm with the YOLO family's constants."""
    return nn.BatchNorm2d(channels, eps=BATCH_NORM_EPSILON, momentum=BATCH_NORM_MOMENTUM)


def padding(setting: str, kernel: int) -> int:
    """Zeros on each side with which a map keeps its size. Raises LightdetError, naming the setting, for an even kernel:
    no padding keeps it."""
    if not isinstance(kernel, int) or kernel < 1 or kernel % 2 == 0:
        raise LightdetError(f"{setting}: kernel={kernel}: give an odd number, or the map changes its size")
    return kernel // 2


def narrowed(setting: str, channels: int, reduction: int, least: int) -> int:
    """Channels of a layer that is `reduction` times as narrow, at least `least`. Raises LightdetError, naming the
    setting, for a reduction that is no whole number from 1."""
    demand_whole(f"{setting}: reduction", reduction, 1)
    return max(least, channels // reduction)


def leaky_relu() -> nn.Module:
    """The activation of the Darknet models."""
    return nn.LeakyReLU(0.1)


class ConvBnAct(nn.Module):
    """Convolution without bias, BatchNorm, activation: (B, in, H, W) -> (B, out, H / stride, W / stride)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 1,
        stride: int = 1,
        padding: int | None = None,
        activation: Activation = nn.Hardswish,
        groups: int = 1,
    ) -> None:
        super().__init__()
        padding = kernel // 2 if padding is None else padding
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, groups=groups, bias=False)
        self.norm: nn.Module = batch_norm(out_channels)
        self.act = activation()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(x)))


def conv_3x3(
    in_channels: int,
    out_channels: int,
    stride: int = 1,
    activation: Activation = nn.Hardswish,
    depthwise: bool = False,
) -> nn.Module:
    """3x3 `ConvBnAct`: (B, in, H, W) -> (B, out, H / stride, W / stride).

    With `depthwise` it is split into a 3x3 within each channel and a 1x1 between them (Howard et al. 2017, arXiv
    1704.04861), each with its own norm and activation.
    """
    if not depthwise:
        return ConvBnAct(in_channels, out_channels, 3, stride, activation=activation)
    return nn.Sequential(
        ConvBnAct(in_channels, in_channels, 3, stride, activation=activation, groups=in_channels),
        ConvBnAct(in_channels, out_channels, activation=activation),
    )


class Focus(nn.Module):
    """Space to depth, then a 3x3 convolution: (B, in, H, W) -> (B, out, H / 2, W / 2).

    Written as the one 6x6 convolution of stride 2 that is the same linear map (each of its 36 taps is one tap of
    the 3x3 kernel on one of the four phases), because it needs no slicing and no concatenation.
    """

    def __init__(self, in_channels: int, out_channels: int, activation: Activation = nn.Hardswish) -> None:
        super().__init__()
        self.conv = ConvBnAct(in_channels, out_channels, kernel=6, stride=2, padding=2, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Bottleneck(nn.Module):
    """1x1 to `hidden` channels (None: C) then 3x3 to C, with or without the identity beside it.

    (B, C, H, W) -> same shape.
    """

    def __init__(
        self,
        channels: int,
        shortcut: bool,
        activation: Activation = nn.Hardswish,
        depthwise: bool = False,
        hidden: int | None = None,
    ) -> None:
        super().__init__()
        hidden = channels if hidden is None else hidden
        self.reduce = ConvBnAct(channels, hidden, activation=activation)
        self.expand = conv_3x3(hidden, channels, activation=activation, depthwise=depthwise)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = self.expand(self.reduce(x))
        return x + y if self.shortcut else y


class BottleneckCsp(nn.Module):
    """Cross-stage partial block of YOLOv5 v2/v3: CSP1_X with `shortcut`, CSP2_X without.

    (B, in, H, W) -> (B, out, H, W). Wang et al. 2019, arXiv 1911.11929; half the channels pass X bottlenecks.
    """

    def __init__(self, in_channels: int, out_channels: int, count: int = 1, shortcut: bool = True) -> None:
        super().__init__()
        hidden = out_channels // 2
        self.enter = ConvBnAct(in_channels, hidden)
        self.bottlenecks = nn.Sequential(*(Bottleneck(hidden, shortcut) for _ in range(count)))
        self.leave = nn.Conv2d(hidden, hidden, 1, bias=False)
        self.bypass = nn.Conv2d(in_channels, hidden, 1, bias=False)
        self.norm: nn.Module = batch_norm(2 * hidden)
        self.act = leaky_relu()
        self.merge = ConvBnAct(2 * hidden, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        deep = self.leave(self.bottlenecks(self.enter(x)))
        return self.merge(self.act(self.norm(torch.cat((deep, self.bypass(x)), dim=1))))


class CspLayer(nn.Module):
    """Cross-stage partial block of YOLOX (the C3 of YOLOv5 v4 and later).

    (B, in, H, W) -> (B, out, H, W). Half the channels pass `count` bottlenecks. Differs from `BottleneckCsp`: both
    halves enter through a `ConvBnAct`, and the merging 1x1 follows the concatenation directly.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        count: int = 1,
        shortcut: bool = True,
        activation: Activation = nn.SiLU,
        depthwise: bool = False,
    ) -> None:
        super().__init__()
        hidden = out_channels // 2
        self.enter = ConvBnAct(in_channels, hidden, activation=activation)
        self.bypass = ConvBnAct(in_channels, hidden, activation=activation)
        self.bottlenecks = nn.Sequential(*(Bottleneck(hidden, shortcut, activation, depthwise) for _ in range(count)))
        self.merge = ConvBnAct(2 * hidden, out_channels, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        return self.merge(torch.cat((self.bottlenecks(self.enter(x)), self.bypass(x)), dim=1))


def max_pool_5(x: Tensor) -> Tensor:
    """5x5 max-pool of stride 1 that keeps the size: (B, C, H, W) -> same shape.

    Always the same values. Where a gradient or an exported graph is wanted: a row pool, then a column pool. Otherwise,
    on a CPU, maxima of the map and its shifted copies, which are whole-map vector operations: 4 to 25 times faster.
    """
    if x.requires_grad or x.device.type != "cpu" or torch.jit.is_tracing() or torch.compiler.is_compiling():
        return F.max_pool2d(F.max_pool2d(x, (1, 5), 1, (0, 2)), (5, 1), 1, (2, 0))
    return _running_max_5(_running_max_5(x, dim=3), dim=2)


def _running_max_5(x: Tensor, dim: int) -> Tensor:
    """Along one dimension, the largest of each value and its two neighbours on either side. Not differentiable."""
    length = x.shape[dim]
    result = x.clone()
    for step in range(1, min(3, length)):
        for here, there in ((0, step), (step, 0)):
            part = result.narrow(dim, here, length - step)
            torch.maximum(part, x.narrow(dim, there, length - step), out=part)
    return result


class Spp(nn.Module):
    """Spatial pyramid pooling, Huang 2024 eq. 1: CAT(a, pool5(a), pool9(a), pool13(a)) between two 1x1 convolutions.

    (B, in, H, W) -> (B, out, H, W). The pools of 9 and 13 are the pool of 5 applied twice and three times, which is
    exact for maxima and several times faster than three pools side by side.
    """

    def __init__(self, in_channels: int, out_channels: int, activation: Activation = nn.Hardswish) -> None:
        super().__init__()
        hidden = in_channels // 2
        self.reduce = ConvBnAct(in_channels, hidden, activation=activation)
        self.restore = ConvBnAct(4 * hidden, out_channels, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduce(x)
        pool_5 = max_pool_5(x)
        pool_9 = max_pool_5(pool_5)
        return self.restore(torch.cat((x, pool_5, pool_9, max_pool_5(pool_9)), dim=1))
