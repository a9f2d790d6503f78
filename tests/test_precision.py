"""The number format and memory layout of a training: the same command decides alike, whatever the machine's load."""

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from omegaconf import OmegaConf

from lightdet.disk import write_json
from lightdet.optim import precision
from lightdet.optim.precision import Choice, candidates
from lightdet.run import RunFolder
from lightdet.training import _choose_precision

CPU = torch.device("cpu")


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
