"""In which number format and memory layout a detector is trained: the format is measured, the layout is a rule."""

import copy
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lightdet.nn.float32 import in_float32
from lightdet.nn.mode import in_mode

CLEARLY_FASTER = 0.87  # share of the time of the plain choice below which another one is taken
ROUNDS = 3
PLAIN, HALF = "32-true", "bf16-mixed"  # number formats, as Lightning names them
PRECISIONS = ("auto", PLAIN, HALF)
BF16_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")


@dataclass(frozen=True, slots=True)
class Choice:
    """A way to train."""

    precision: str  # PLAIN or HALF
    channels_last: bool

    def __str__(self) -> str:
        return f"{self.precision}{', channels last' if self.channels_last else ''}"


def candidates(device: torch.device, precision: str, channels_last: bool | str) -> list[Choice]:
    """What is worth measuring, the plain choice first: "auto" opens both formats where the device has bfloat16."""
    precisions = [precision] if precision != "auto" else [PLAIN] + [HALF] * has_bf16(device)
    layout = likes_channels_last(device) if channels_last == "auto" else bool(channels_last)
    return [Choice(each, layout) for each in precisions]


def likes_channels_last(device: torch.device) -> bool:
    """Whether convolutions train at least as fast with the channels of a pixel side by side.

    A rule and no measurement: the layout decides the order of sums, so a command would else end with another number
    whenever the machine was busy. With oneDNN a step of `light` takes 0.80 of the time and one of `proposed` 0.68
    (AVX2, 224 px, batches of 8 to 32); cuDNN's tensor cores want it.
    """
    return device.type == "cuda" or (device.type == "cpu" and torch.backends.mkldnn.is_available())


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 natively; emulated, it is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    try:
        with open("/proc/cpuinfo") as file:
            flags = next((line for line in file if line.startswith(("flags", "Features"))), "").split()
    except OSError:
        return False
    return any(flag in flags for flag in BF16_FLAGS)


def idle_in_float32(network: nn.Module, image_size: int) -> list[str]:
    """Let the convolutions some of whose weights meet padding alone compute in float32; their names.

    `image_size` in px. The gradient of such weights is zero. The bfloat16 convolutions of oneDNN on a CPU (torch 2.15,
    AVX-512) leave it unset: whatever lies in memory is learnt from, and now and then that is NaN. It is so with maps of
    a few cells, as SSD's last ones, which cost next to nothing.
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
            network(torch.zeros(1, 3, image_size, image_size))
    finally:
        for hook in hooks:
            hook.remove()
    for conv in idle.values():
        in_float32(conv)
    return list(idle)


def fastest(network: nn.Module, images: torch.Tensor, choices: Sequence[Choice]) -> tuple[Choice, dict[str, float]]:
    """The choice with the shortest training step (forward and backward) and the milliseconds of each.

    Rounds are interleaved, medians compared; the plain choice stays unless another one is clearly faster.
    """
    if len(choices) == 1:
        return choices[0], {}
    steps = {choice: _step(network, images, choice) for choice in choices}
    times: dict[Choice, list[float]] = {choice: [] for choice in choices}
    for step in steps.values():
        step()
    for _ in range(ROUNDS):
        for choice, step in steps.items():
            began = time.perf_counter()
            step()
            times[choice].append((time.perf_counter() - began) * 1e3)
    medians = {choice: statistics.median(values) for choice, values in times.items()}
    best = min(choices, key=lambda choice: medians[choice])
    if medians[best] > CLEARLY_FASTER * medians[choices[0]]:
        best = choices[0]
    return best, {str(choice): round(value, 1) for choice, value in medians.items()}


def _step(network: nn.Module, images: torch.Tensor, choice: Choice) -> Any:
    layout = torch.channels_last if choice.channels_last else torch.contiguous_format
    model = copy.deepcopy(network).train().to(memory_format=layout)
    batch = images.contiguous(memory_format=layout)

    def step() -> None:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=choice.precision == HALF):
            total = sum(output.float().square().mean() for output in model(batch))
        total.backward()
        if images.device.type == "cuda":
            torch.cuda.synchronize(images.device)

    return step
