"""What a detector costs: parameters and operations."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def footprint(network: nn.Module, image_size: int) -> dict[str, float]:
    """Parameters, MACs and GFLOPs (2 x MAC) of one square RGB image of `image_size` px.

    Convolutions and matrix products are counted; pools, activations and normalisation are not (they cost time all
    the same: measure latency before believing operations).
    """
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, image_size, image_size, device=device))
    network.train(was_training)
    flops = counter.get_total_flops()
    return {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "macs": flops // 2,
        "gflops": flops / 1e9,
        "image_size": image_size,
    }
