"""Folding BatchNorm into the convolutions before it: the same function at inference, in fewer passes over memory."""

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lightdet.nn.blocks import BottleneckCsp, ConvBnAct


def fuse(network: nn.Module) -> nn.Module:
    """A copy in eval mode whose normalisations are folded into the convolutions they follow; the network stays.

    Folded: `ConvBnAct`, the two convolutions that a `BottleneckCsp` concatenates, and a convolution directly followed
    by its BatchNorm in an `nn.Sequential`. Any other BatchNorm is kept as it is. Not for training.
    """
    fused = copy.deepcopy(network).eval()
    for module in fused.modules():
        if isinstance(module, ConvBnAct) and isinstance(module.norm, nn.BatchNorm2d):
            module.conv, module.norm = fuse_conv_bn_eval(module.conv, module.norm), nn.Identity()
        elif isinstance(module, BottleneckCsp) and isinstance(module.norm, nn.BatchNorm2d):
            _fuse_csp(module, module.norm)
        elif isinstance(module, nn.Sequential):
            _fuse_sequence(module)
    return fused


def _fuse_csp(block: BottleneckCsp, norm: nn.BatchNorm2d) -> None:
    """Concatenation and BatchNorm both work channel by channel, so each convolution takes its part of the norm."""
    scale, shift = _affine(norm)
    hidden = block.leave.out_channels
    block.leave = _scaled(block.leave, scale[:hidden], shift[:hidden])
    block.bypass = _scaled(block.bypass, scale[hidden:], shift[hidden:])
    block.norm = nn.Identity()


def _fuse_sequence(sequence: nn.Sequential) -> None:
    for place in range(len(sequence) - 1):
        conv, norm = sequence[place], sequence[place + 1]
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            sequence[place], sequence[place + 1] = fuse_conv_bn_eval(conv, norm), nn.Identity()


def _affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """What the norm does at inference: x * scale + shift, (C,) each."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return scale.detach(), (norm.bias - norm.running_mean * scale).detach()


def _scaled(conv: nn.Conv2d, scale: Tensor, shift: Tensor) -> nn.Conv2d:
    """A convolution without bias, its output channels scaled and shifted."""
    weight = conv.weight.detach() * scale[:, None, None, None]
    scaled = nn.Conv2d(conv.in_channels, conv.out_channels, 1, device=weight.device, dtype=weight.dtype)
    scaled.load_state_dict({"weight": weight, "bias": shift})
    return scaled
