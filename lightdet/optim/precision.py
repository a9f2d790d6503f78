"""The number format and memory layout of a training: a rule per hardware, so the same command always decides alike."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lightdet.nn.float32 import in_float32
from lightdet.nn.inputs import blank_image
from lightdet.nn.mode import in_mode
from lightdet.ops.grid import ImageSize

PLAIN, HALF = "32-true", "bf16-mixed"  # number formats, as Lightning names them
BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})  # of x86 processors


@dataclass(frozen=True, slots=True)
class Choice:
    """Number format (PLAIN or HALF) and memory layout of the convolutions."""

    precision: str
    channels_last: bool

    def __str__(self) -> str:
        return f"{self.precision}{', channels last' if self.channels_last else ''}"


def choose(device: torch.device, precision: str, channels_last: bool | str) -> Choice:
    """The settings trainer.precision and trainer.channels_last with "auto" resolved for a device.

    A rule and not a measurement: format and layout decide the last digits of every sum, so a busy machine would
    otherwise train another network under the same command.
    """
    if precision == "auto":
        precision = HALF if multiplies_bfloat16(device) else PLAIN
    layout = prefers_channels_last(device) if channels_last == "auto" else bool(channels_last)
    return Choice(precision, layout)


def prefers_channels_last(device: torch.device) -> bool:
    """Whether convolutions train at least as fast with the channels of a pixel side by side.

    With oneDNN a step of `light` takes 0.80 of the time and one of `proposed` 0.68 (AVX2, 224 px, batches of 8 to 32);
    cuDNN's tensor cores need it.
    """
    return device.type == "cuda" or (device.type == "cpu" and torch.backends.mkldnn.is_available())


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16; emulated, it is slower than float32.

    CUDA from compute capability 8.0 on; x86 processors with AVX512_BF16 or AMX, as Linux lists their flags. False
    where nothing is known.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    if device.type != "cpu":
        return False
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            flags = next((line for line in file if line.startswith("flags")), "").split()
    except OSError:
        return False
    return not BF16_FLAGS.isdisjoint(flags)


def idle_in_float32(network: nn.Module, image_size: ImageSize) -> list[str]:
    """Make convolutions compute in float32 where some of their weights meet padding alone; returns their names.

    `image_size` in px. The gradient of such weights is zero. The bfloat16 convolutions of oneDNN on a CPU (torch 2.15,
    AVX-512) leave it uninitialized: the optimizer reads arbitrary memory, at times NaN. This concerns feature
    maps of a few cells, such as SSD's last ones, which cost next to nothing.
    """
    idle: dict[str, nn.Conv2d] = {}

    def look(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(conv: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
            assert isinstance(conv, nn.Conv2d)
            if isinstance(conv.padding, str):
                return
            for side, count, kernel, stride, padding, dilation in zip(
                given[0].shape[-2:],
                made.shape[-2:],
                conv.kernel_size,
                conv.stride,
                conv.padding,
                conv.dilation,
                strict=True,
            ):
                first = [tap * dilation - padding for tap in range(kernel)]
                if not all(any(0 <= start + step * stride < side for step in range(count)) for start in first):
                    idle[name] = conv

        return hook

    parts = ((name, part) for name, part in network.named_modules() if isinstance(part, nn.Conv2d))
    hooks = [part.register_forward_hook(look(name)) for name, part in parts]
    try:
        with in_mode(False, network), torch.no_grad():
            network(blank_image(network, image_size))
    finally:
        for hook in hooks:
            hook.remove()
    for conv in idle.values():
        in_float32(conv)
    return list(idle)
