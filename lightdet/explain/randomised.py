"""Models whose trained weights are lost from the output on: a map that stays the same did not look at them.

The cascade of Adebayo et al. 2018, arXiv 1810.03292. Differs: the values of each weight are shuffled among themselves
and not drawn anew, so that maps keep their size.
"""

import copy

import torch
from torch import nn

from lightdet.model.contract import Model

STAGES = ("last", "half", "all")


def randomised(model: Model, stage: str, seed: int = 0) -> Model:
    """A copy with shuffled weights: of the "last" part of the network (a predictor, a linear layer), of the last "half"
    of its layers, or of "all". The order of the layers is that of their definition."""
    result = copy.deepcopy(model)
    random = torch.Generator().manual_seed(seed)
    layers = _weighted(result.network)
    last = len(_weighted(_last_part(result.network)))
    count = {"last": last, "half": max(last, len(layers) // 2), "all": len(layers)}[stage]
    with torch.no_grad():
        for layer in layers[len(layers) - count :]:
            for weight in layer.parameters(recurse=False):
                order = torch.randperm(weight.numel(), generator=random).to(weight.device)
                weight.copy_(weight.flatten()[order].view_as(weight))
    return result


def _weighted(network: nn.Module) -> list[nn.Module]:
    """The modules that have weights of their own."""
    return [module for module in network.modules() if next(module.parameters(recurse=False), None) is not None]


def _last_part(network: nn.Module) -> nn.Module:
    """The last child with weights; of a network that only wraps another one, of that one."""
    children = [child for child in network.children() if _weighted(child)]
    if not children:
        return network
    return _last_part(children[0]) if len(children) == 1 else children[-1]
