"""The widths of a network's layers as plain numbers, and a network that is built with others than its code gives it."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from lightdet.core.errors import LightdetError

Widths = dict[
    str, list[int]
]  # name of a layer -> the first two sides of its weight: [out, in of a group], or [channels]
SIDES = 2
MOST_WIDTH = 1 << 16
KINDS = (nn.Conv2d, nn.Linear, _BatchNorm)


def widths_of(network: nn.Module) -> Widths:
    """The widths of all convolutions, linear layers and BatchNorms of a network."""
    layers = {name: module for name, module in network.named_modules() if isinstance(module, KINDS)}
    return {name: list(layer.weight.shape[:SIDES]) for name, layer in layers.items() if layer.weight is not None}


def changed_widths(network: nn.Module, before: Widths) -> Widths:
    """The widths of those layers of `network` that are others than `before`."""
    return {name: width for name, width in widths_of(network).items() if width != before[name]}


def narrow(network: nn.Module, widths: Mapping[str, Any]) -> None:
    """Gives the named layers other widths; their weights are new, uninitialised ones, for others to fill.

    Raises LightdetError for a layer that the network lacks, and a width that is none or larger than the layer's own.
    """
    layers = dict(network.named_modules())
    for name, given in widths.items():
        layer = layers.get(str(name))
        if not isinstance(layer, KINDS) or layer.weight is None:
            raise LightdetError(f"widths: {name} is no layer of this network that has a width")
        own = list(layer.weight.shape[:SIDES])
        width = _checked(given)
        if width is None or len(width) != len(own) or any(new > old for new, old in zip(width, own, strict=True)):
            raise LightdetError(f"widths: {name} has {own} channels, and cannot have {given}")
        _resize(layer, width)


def _checked(given: Any) -> list[int] | None:
    if not isinstance(given, Sequence) or not all(type(each) is int and 0 < each <= MOST_WIDTH for each in given):
        return None
    return list(given)


def _resize(layer: nn.Module, width: Sequence[int]) -> None:
    for named, own in ((layer._parameters, True), (layer._buffers, False)):
        for name, value in named.items():
            if value is None or not value.ndim:
                continue
            shape = (*width, *value.shape[SIDES:]) if name == "weight" else (width[0],)
            new = torch.empty(shape, dtype=value.dtype, device=value.device)
            named[name] = nn.Parameter(new, requires_grad=value.requires_grad) if own else new  # type: ignore[assignment]
    if isinstance(layer, nn.Conv2d):
        if layer.groups == layer.in_channels == layer.out_channels:
            layer.groups = width[0]
        layer.out_channels, layer.in_channels = width[0], width[1] * layer.groups
    elif isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = width
    else:
        layer.num_features = width[0]  # type: ignore[assignment]
