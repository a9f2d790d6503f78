"""What the attentions of a network let through: their own factors as a map, whatever is explained.

An attention with a factor for each place (CBAM, the complementary and the coordinate attention) shows the mean of its
factors over the channels. One with a factor for each channel alone (SE, ECA) has no place in itself: shown is the mean
of its map's channels, weighed by their factors. Several attentions are normalised to 1 each and added. Our reading: the
papers show GradCAM of networks with and without their module.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightdet.core.errors import LightdetError
from lightdet.core.types import Subject
from lightdet.explain.contract import Method
from lightdet.explain.gradient import added, shape_of
from lightdet.model.contract import Model
from lightdet.nn.contracts import GatingAttention

LEAST = 1e-12  # of a maximum by which a map is divided


class AttentionMap(Method):
    """It knows nothing of the class or the box. Raises LightdetError for a network without such an attention."""

    @torch.no_grad()
    def __call__(self, model: Model, images: Tensor, subject: Subject) -> np.ndarray:
        seen = [_seen(attention, x) for attention, x in _inputs(model, images)]
        if not seen:
            raise LightdetError(
                "attention_map: this network has no attention that multiplies its map; train one with attention=cbam, "
                "or take layer_cam"
            )
        return added([one / one.max().clamp(min=LEAST) for one in seen], shape_of(images))


def _inputs(model: Model, images: Tensor) -> list[tuple[GatingAttention, Tensor]]:
    """The attentions of the network, each with the map that it is given."""
    found: list[tuple[GatingAttention, Tensor]] = []

    def keep(attention: Any, inputs: tuple[Tensor, ...]) -> None:
        found.append((attention, inputs[0]))

    attentions = [module for module in model.network.modules() if isinstance(module, GatingAttention)]
    handles = [attention.register_forward_pre_hook(keep) for attention in attentions]
    try:
        model.network(images)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _seen(attention: GatingAttention, x: Tensor) -> Tensor:
    """(1, C, h, w) -> (h, w), from 0."""
    factors = attention.gate(x)
    shown = factors if factors.shape[2] * factors.shape[3] > 1 else (factors * x).clamp(min=0)
    one = shown.mean(dim=1)[0].expand(x.shape[2:])
    return one - one.min()
