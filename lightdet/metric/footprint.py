"""The cost of a network: parameters and operations."""

from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lightdet.nn.inputs import blank_image
from lightdet.ops.grid import ImageSize, plain_size


def footprint(network: nn.Module, image_size: ImageSize) -> dict[str, Any]:
    """Parameters, MACs and GFLOPs (2 x MAC) of one image of `image_size` px.

    Convolutions and matrix products are counted; pools, activations and normalisation are not (they cost time all
    the same: measure latency before believing operations).
    """
    was_training = network.training
    network.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(blank_image(network, image_size))
    network.train(was_training)
    flops = counter.get_total_flops()
    return {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "macs": flops // 2,
        "gflops": flops / 1e9,
        "image_size": plain_size(image_size),
    }
