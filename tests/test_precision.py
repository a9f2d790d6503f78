"""The number format and memory layout of a training: the same command decides alike, whatever the machine's load."""

import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from omegaconf import OmegaConf

from lightdet import training
from lightdet.disk import write_json
from lightdet.optim import precision
from lightdet.optim.precision import Choice, candidates
from lightdet.run import RunFolder
from lightdet.training import _choose_precision

ROOT = Path(__file__).resolve().parent.parent
CPU = torch.device("cpu")
# Another training of the same sweep: it is measuring when it says so, and notes its choice a while later.
OTHER = """
import sys, time
from pathlib import Path
from lightdet.disk import locked, write_json

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
    cfg = OmegaConf.create({"trainer": {"precision": "32-true", "channels_last": "auto"}, "image_size": 64})
    detector = cast(Any, None)  # nothing is measured
    assert _choose_precision(cfg, detector, CPU, RunFolder(tmp_path)) == candidates(CPU, "32-true", "auto")[0]
    write_json(tmp_path / "precision.json", {"precision": "32-true", "channels_last": False, "milliseconds": {}})
    assert _choose_precision(cfg, detector, CPU, RunFolder(tmp_path)) == Choice("32-true", False)


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
    cfg = OmegaConf.create({"trainer": {"precision": "auto", "channels_last": True}, "image_size": 64})

    detector = cast(Any, torch.nn.ModuleDict({"network": torch.nn.Identity()}))

    def choose(run: str) -> str:
        return _choose_precision(cfg, detector, CPU, RunFolder(tmp_path / run)).precision

    assert (choose("first"), choose("second"), measured) == ("32-true", "32-true", ["here"])
    (memory,) = (tmp_path / "cache" / "precision").glob("*.json")
    memory.unlink()
    with subprocess.Popen([sys.executable, "-c", OTHER, memory], cwd=ROOT, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"measuring\n"
        assert (choose("third"), measured) == ("bf16-mixed", ["here"])
    assert (choose("first"), choose("fourth")) == ("32-true", "bf16-mixed"), "what was begun keeps its format"
