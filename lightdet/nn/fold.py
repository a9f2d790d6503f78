"""Folding BatchNorm into the convolutions before it: the same function at inference, in fewer passes over memory.

Which norm follows which convolution is not read from names or from the order of attributes: the network is run once,
and the results of convolutions are compared with the inputs of norms. So a backbone of timm or torchvision is folded
in the same way.
"""

import copy
from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torchvision.ops import FrozenBatchNorm2d

from lightdet.nn.blocks import BottleneckCsp


def fold(network: nn.Module, images: Tensor) -> nn.Module:
    """A copy in eval mode whose normalisations are folded into the convolutions they follow; the network stays.

    `images` is any input of the network: it is run once. Folded is a BatchNorm that normalises the result of one
    convolution, if nothing else uses that result, and the norm of a `BottleneckCsp`, into the two convolutions that it
    concatenates. The activation inside a norm of timm stays. Any other BatchNorm is kept as it is. Not for training.
    """
    folded = copy.deepcopy(network).eval()
    for module in folded.modules():
        if isinstance(module, BottleneckCsp) and type(module.norm) is nn.BatchNorm2d:
            _fold_csp(module, module.norm)
    instead: dict[nn.Module, nn.Module] = {}
    for conv, norm in _pairs(folded, images):
        instead |= {conv: fuse_conv_bn_eval(conv, norm), norm: _what_stays(norm)}
    for parent in list(folded.modules()):
        for name, child in list(parent._modules.items()):
            if child in instead:
                setattr(parent, name, instead[child])
    return folded


class _Results(TorchFunctionMode):
    """The results of convolutions, and how many calls that return a tensor used each.

    The results are kept while this lives, so that no other tensor gets the id of one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv: dict[int, nn.Module] = {}
        self.uses: Counter[int] = Counter()
        self._kept: list[Tensor] = []

    def add(self, conv: nn.Module, result: Tensor) -> None:
        """A convolution returned this result, which no module has used yet."""
        self.conv[id(result)], self.uses[id(result)] = conv, 0
        self._kept.append(result)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        answer = func(*args, **(kwargs or {}))
        if any(isinstance(leaf, Tensor) for leaf in tree_leaves(answer)):  # a question for the shape is no use
            self.take((args, kwargs))
        return answer

    def take(self, values: Any) -> None:
        """A module used every tensor in there."""
        self.uses.update({id(leaf) for leaf in tree_leaves(values)} & self.conv.keys())


def _pairs(network: nn.Module, images: Tensor) -> list[tuple[nn.Conv2d, Any]]:
    """Every convolution whose result a norm alone takes, with that norm; both run once."""
    results = _Results()
    normed: dict[int, nn.Module] = {}  # id of a convolution's result -> the norm that took it
    runs: Counter[nn.Module] = Counter()

    def after(conv: nn.Module, _: Any, result: Tensor) -> None:
        runs[conv] += 1
        results.add(conv, result)

    def before(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        runs[norm] += 1
        if id(inputs[0]) in results.conv:
            normed[id(inputs[0])] = norm

    parts = list(network.modules())
    hooks = [part.register_forward_hook(after) for part in parts if _is_convolution(part)]
    hooks += [part.register_forward_pre_hook(before) for part in parts if _is_norm(part)]
    try:
        with torch.no_grad(), results:
            results.take(network(images))
    finally:
        for hook in hooks:
            hook.remove()
    alone = [(results.conv[place], norm) for place, norm in normed.items() if results.uses[place] == 1]
    return [(conv, norm) for conv, norm in alone if isinstance(conv, nn.Conv2d) and runs[conv] == runs[norm] == 1]


def _is_convolution(module: nn.Module) -> bool:
    """Types are compared exactly. timm's, which pads as TensorFlow does, is an ordinary one behind its padding."""
    kind = type(module)
    return kind is nn.Conv2d or (kind.__module__.startswith("timm.layers") and kind.__name__ == "Conv2dSame")


def _is_norm(module: nn.Module) -> bool:
    """Types are compared exactly: a subclass may do more than its base."""
    return type(module) in (nn.BatchNorm2d, FrozenBatchNorm2d) or is_timms(module)


def is_timms(module: nn.Module) -> bool:
    """Whether this is timm's BatchNorm with an activation in it; timm is imported only where it is in use already."""
    if not type(module).__module__.startswith("timm."):
        return False
    from timm.layers import BatchNormAct2d

    return type(module) is BatchNormAct2d


def _what_stays(norm: Any) -> nn.Module:
    """What a norm does after normalising."""
    return nn.Sequential(norm.drop, norm.act) if is_timms(norm) else nn.Identity()


def _fold_csp(block: BottleneckCsp, norm: nn.BatchNorm2d) -> None:
    """Concatenation and BatchNorm both work channel by channel, so each convolution takes its part of the norm."""
    scale, shift = _affine(norm)
    hidden = block.leave.out_channels
    block.leave = _scaled(block.leave, scale[:hidden], shift[:hidden])
    block.bypass = _scaled(block.bypass, scale[hidden:], shift[hidden:])
    block.norm = nn.Identity()


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
