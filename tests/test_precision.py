"""The number format and memory layout of a training: a rule per hardware, and a run keeps what it began with."""

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from lightdet.config.compose import compose_config
from lightdet.core.files import write_json
from lightdet.engine.load import build_model
from lightdet.engine.train import _precision
from lightdet.optim import precision
from lightdet.optim.precision import Choice, choose, idle_in_float32, multiplies_bfloat16
from lightdet.runs.folder import RunFolder

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_the_layout_follows_the_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda device: False)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    assert choose(CPU, "auto", "auto") == Choice("32-true", True)
    assert choose(CPU, "auto", False) == Choice("32-true", False)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert choose(CPU, "auto", "auto") == Choice("32-true", False)
    assert choose(CUDA, "32-true", "auto") == Choice("32-true", True)
    assert choose(torch.device("mps"), "auto", "auto") == Choice("32-true", False)


def test_bfloat16_is_taken_where_the_hardware_multiplies_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda device: True)
    assert choose(CPU, "auto", True) == choose(CPU, "bf16-mixed", True) == Choice("bf16-mixed", True)
    assert choose(CPU, "32-true", True) == Choice("32-true", True)
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda device: False)
    assert choose(CPU, "auto", True) == Choice("32-true", True)
    assert choose(CPU, "bf16-mixed", True) == Choice("bf16-mixed", True)


@pytest.mark.parametrize(
    ("flags", "multiplies"),
    [
        ("fpu avx2 avx512f avx512_vnni", False),
        ("fpu avx2 avx512f avx512_bf16", True),
        ("fpu amx_bf16 amx_tile", True),
        ("fpu avx512_bf16_like", False),
    ],
)
def test_a_processor_is_known_by_its_flags(flags: str, multiplies: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = f"processor\t: 0\nflags\t\t: {flags}\n"
    monkeypatch.setattr("builtins.open", lambda *_, **__: io.StringIO(listed))
    assert multiplies_bfloat16(CPU) == multiplies


def test_a_system_that_lists_no_flags_trains_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", refuse)
    assert not multiplies_bfloat16(CPU) and not multiplies_bfloat16(torch.device("mps"))


@pytest.mark.parametrize(("capability", "multiplies"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_a_gpu_is_known_by_its_capability(
    capability: tuple[int, int], multiplies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert multiplies_bfloat16(CUDA) == multiplies


def test_a_run_keeps_the_format_it_began_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever machine it is resumed on; other runs follow the rule of theirs."""
    cfg = OmegaConf.create({"trainer": {"precision": "auto", "channels_last": True}})

    def format_of(run: str) -> Choice:
        return _precision(cfg, CPU, RunFolder(tmp_path / run))

    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda device: False)
    assert format_of("first") == Choice("32-true", True)
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda device: True)
    assert format_of("second") == Choice("bf16-mixed", True)
    assert format_of("first") == Choice("32-true", True)


def test_a_run_of_the_time_of_measurements_is_resumed_in_its_format(tmp_path: Path) -> None:
    cfg = OmegaConf.create({"trainer": {"precision": "32-true", "channels_last": "auto"}})
    assert _precision(cfg, CPU, RunFolder(tmp_path / "new")) == choose(CPU, "32-true", "auto")
    write_json(tmp_path / "precision.json", {"precision": "32-true", "channels_last": False, "milliseconds": {}})
    assert _precision(cfg, CPU, RunFolder(tmp_path)) == Choice("32-true", False)


@pytest.mark.parametrize(
    ("conv", "size", "idle"),
    [
        (nn.Conv2d(3, 4, 3, padding=1), 1, True),
        (nn.Conv2d(3, 4, 3, padding=1), 2, False),
        (nn.Conv2d(3, 4, 3, stride=2, padding=1), 2, True),
        (nn.Conv2d(3, 4, 3, stride=2, padding=1), 3, False),
        (nn.Conv2d(3, 3, 7, padding=3, groups=3), 3, True),
        (nn.Conv2d(3, 4, 7, padding=3), 4, False),
        (nn.Conv2d(3, 4, 3, padding=6, dilation=6), 6, True),
        (nn.Conv2d(3, 4, 3, padding=6, dilation=6), 7, False),
        (nn.Conv2d(3, 4, 1), 1, False),
    ],
)
def test_weights_that_meet_padding_alone_have_no_gradient(conv: nn.Conv2d, size: int, idle: bool) -> None:
    assert idle_in_float32(nn.Sequential(conv), size) == ["0"] * idle
    conv(torch.rand(2, 3, size, size)).sum().backward()
    assert conv.weight.grad is not None
    assert (conv.weight.grad == 0).any() == idle


def test_maps_smaller_than_a_kernel_are_computed_in_float32() -> None:
    cfg = compose_config(["model=ssdlite_mobilenetv2", "image_size=64", "num_classes=2"])
    network = build_model(cfg, 2).network.train()
    names = set(network.state_dict())
    idle = idle_in_float32(network, 64)
    formats: dict[str, torch.dtype] = {}
    for name, part in network.named_modules():
        if isinstance(part, nn.Conv2d):
            part.register_forward_hook(lambda conv, given, made, name=name: formats.update({name: made.dtype}))
    with torch.autocast("cpu", torch.bfloat16):
        network(torch.rand(2, 3, 64, 64))
    assert set(network.state_dict()) == names
    assert idle and {name for name, made in formats.items() if made == torch.float32} == set(idle)
