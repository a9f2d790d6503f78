"""The number format and memory layout of a training: the same command decides alike, whatever the machine's load."""

import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from lightdet.config.compose import compose_config
from lightdet.core.files import write_json
from lightdet.engine import train as training
from lightdet.engine.load import build_detector
from lightdet.engine.train import _choose_precision
from lightdet.optim import precision
from lightdet.optim.precision import Choice, candidates, idle_in_float32
from lightdet.runs.folder import RunFolder

ROOT = Path(__file__).resolve().parent.parent
CPU = torch.device("cpu")
# Another training of the same sweep: it is measuring when it says so, and notes its choice a while later.
OTHER = """
import sys, time
from pathlib import Path
from lightdet.core.files import locked, write_json

memory = Path(sys.argv[1])
with locked(memory.with_suffix(".lock")) as holder:
    assert holder is None
    print("measuring", flush=True)
    time.sleep(1)
    write_json(memory, {"precision": "bf16-mixed", "channels_last": True, "milliseconds": {}})
"""


def test_the_layout_is_no_matter_of_a_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_bf16", lambda device: False)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    assert candidates(CPU, "auto", "auto") == [Choice("32-true", True)]
    assert candidates(CPU, "auto", False) == [Choice("32-true", False)]
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert candidates(CPU, "auto", "auto") == [Choice("32-true", False)]
    assert candidates(torch.device("cuda"), "32-true", "auto") == [Choice("32-true", True)]


def test_where_bfloat16_is_native_both_formats_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_bf16", lambda device: True)
    assert candidates(CPU, "auto", True) == [Choice("32-true", True), Choice("bf16-mixed", True)]
    assert candidates(CPU, "bf16-mixed", True) == [Choice("bf16-mixed", True)]


def test_a_run_goes_on_in_the_layout_it_was_begun_with(tmp_path: Path) -> None:
    cfg = OmegaConf.create({"trainer": {"precision": "32-true", "channels_last": "auto"}})
    detector = cast(Any, None)  # nothing is measured
    assert _choose_precision(cfg, detector, 64, CPU, RunFolder(tmp_path)) == candidates(CPU, "32-true", "auto")[0]
    write_json(tmp_path / "precision.json", {"precision": "32-true", "channels_last": False, "milliseconds": {}})
    assert _choose_precision(cfg, detector, 64, CPU, RunFolder(tmp_path)) == Choice("32-true", False)


def test_of_trainings_that_begin_at_once_the_first_decides_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else rows of one sweep would be trained in different formats, after measurements that disturbed each other."""
    monkeypatch.setenv("LIGHTDET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(precision, "has_bf16", lambda device: True)
    measured: list[str] = []

    def measure(network: Any, images: torch.Tensor, choices: list[Choice]) -> tuple[Choice, dict[str, float]]:
        measured.append("here")
        return choices[0], {}

    monkeypatch.setattr(training, "fastest", measure)
    cfg = OmegaConf.create({"trainer": {"precision": "auto", "channels_last": True}})

    detector = cast(Any, torch.nn.ModuleDict({"network": torch.nn.Identity()}))

    def choose(run: str) -> str:
        return _choose_precision(cfg, detector, 64, CPU, RunFolder(tmp_path / run)).precision

    assert (choose("first"), choose("second"), measured) == ("32-true", "32-true", ["here"])
    (memory,) = (tmp_path / "cache" / "precision").glob("*.json")
    memory.unlink()
    with subprocess.Popen([sys.executable, "-c", OTHER, memory], cwd=ROOT, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"measuring\n"
        assert (choose("third"), measured) == ("bf16-mixed", ["here"])
    assert (choose("first"), choose("fourth")) == ("32-true", "bf16-mixed"), "what was begun keeps its format"


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
    network = build_detector(cfg, 2).network.train()
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
