"""Runs outlive refactoring: a training of an earlier version, kept as it was written, is still the same training.

`kept_run.tar.xz` holds two studies of version 0.1.0 at commit 5be729f: `runs/kept`, killed after the first of three
epochs, and `whole/kept`, the same training that nobody killed (without its checkpoints). `expected.json` is what that
version made of them: the fingerprint, the detections of the killed run, and the rows of the whole one.
"""

import csv
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from lightdet.cli.main import main
from lightdet.config import moved
from lightdet.config.compose import compose_config
from lightdet.config.saved import read_config
from lightdet.engine.load import build_model, load_run
from lightdet.runs.fingerprint import fingerprint
from lightdet.runs.folder import RunFolder

KEPT = Path(__file__).parent / "kept_run.tar.xz"
CLOSE = 1e-4  # what another CPU, with other kernels, may change


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with both studies; their paths are relative."""
    with tarfile.open(KEPT) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(moved, "CHANGED", {})  # its assigner computes something else today, and says so
    return tmp_path


def run_in(folder: Path) -> RunFolder:
    (found,) = folder.glob("kept/*/s0")
    return RunFolder(found)


def expected(kept: Path) -> dict[str, Any]:
    known: dict[str, Any] = json.loads((kept / "expected.json").read_text())
    return known


def words(run: RunFolder) -> list[str]:
    """The command that began the run."""
    return [str(word) for word in run.read_status()["overrides"]]


def test_its_fingerprint_is_that_of_the_same_command_today(kept: Path) -> None:
    run = run_in(kept / "runs")
    known = expected(kept)["fingerprint"]
    assert fingerprint(compose_config(words(run))) == known
    assert fingerprint(read_config(run.request_path)) == known
    assert fingerprint(compose_config([*words(run), "image_size=96"])) != known


def test_a_class_that_computes_something_else_makes_another_training(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, known = words(run_in(kept / "runs")), expected(kept)["fingerprint"]
    monkeypatch.setattr(moved, "CHANGED", {"lightdet.assigner.ratio.Ratio": 1})
    changed = fingerprint(compose_config(command))
    assert changed != known and fingerprint(compose_config([*command, "assigner=best_anchor"])) != changed
    monkeypatch.setattr(moved, "CHANGED", {"lightdet.assigner.ratio.Ratio": 2})
    assert fingerprint(compose_config(command)) not in (known, changed)
    monkeypatch.setattr(moved, "CHANGED", {"lightdet.assigner.simota.SimOta": 1})
    assert fingerprint(compose_config(command)) == known, "of a class that it does not use"


def test_it_detects_what_it_detected(kept: Path) -> None:
    loaded = load_run(run_in(kept / "runs").path, "last")
    images = (torch.arange(2 * 3 * 64 * 64).reshape(2, 3, 64, 64) * 2654435761 % 256) / 255
    with torch.inference_mode():
        found = loaded.model.detect(images)
    for one, known in zip(found, expected(kept)["detections"], strict=True):
        assert len(one.labels) == known["count"]
        torch.testing.assert_close(one.scores[:20], torch.tensor(known["scores"]), rtol=CLOSE, atol=CLOSE)
        first = one.boxes_xyxy[: len(known["boxes"])]
        torch.testing.assert_close(first.sum(), torch.tensor(known["boxes"]).sum(), rtol=1e-3, atol=1e-1)


def test_the_same_command_goes_on_and_ends_at_the_same_numbers(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_in(kept / "runs")
    assert main(["train", *words(run)]) == 0
    assert run_in(kept / "runs").path == run.path, "no second folder"
    assert run.is_done()
    assert "epoch 1/3" not in capsys.readouterr().out, "the first epoch is not trained again"
    known = list(csv.DictReader(io.StringIO(expected(kept)["metrics_csv"])))
    with open(run.metrics_csv, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(known) == 3
    for row, before in zip(rows, known, strict=True):
        for (
            name,
            value,
        ) in before.items():  # rounding, which threads and CPUs change, grows over the steps in the losses
            close = 0.05 if name.startswith("train/") else 1e-6
            assert float(row[name]) == pytest.approx(float(value), rel=close, abs=1e-6), name


def test_old_results_are_reported(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", str(kept / "whole/kept")]) == 0
    assert main(["report", str(kept / "whole/kept")]) == 0
    page = (kept / "whole/kept/report/report.md").read_text()
    assert "mAP50-95" in page and "25,829" in page.replace(" ", ",").replace("\u202f", ",")


def test_a_class_that_moved_changes_no_fingerprint_and_old_files_build_it(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_in(kept / "runs")
    old, new = "lightdet.attention.cbam.Cbam", "lightdet.attention.eca.Eca"
    monkeypatch.setitem(moved.MOVED, old, new)
    config = compose_config(words(run))
    config.model.network.attention["_target_"] = new
    assert fingerprint(config) == expected(kept)["fingerprint"]
    saved = read_config(run.config_path)
    assert saved.model.network.attention["_target_"] == new
    OmegaConf.update(saved, "model.network.attention", {"_target_": new, "_partial_": True}, merge=False)
    names = {type(module).__name__ for module in build_model(saved, 6, fetch=False).modules()}
    assert "Eca" in names and "Cbam" not in names


@pytest.mark.parametrize("as_before", [None, 3, False])
def test_a_younger_setting_counts_only_with_another_value(
    kept: Path, monkeypatch: pytest.MonkeyPatch, as_before: Any
) -> None:
    run = run_in(kept / "runs")
    monkeypatch.setitem(moved.YOUNGER_KEYS, "model.newer", as_before)
    known = expected(kept)["fingerprint"]

    def with_newer(value: Any) -> DictConfig:
        config = compose_config(words(run))
        OmegaConf.set_struct(config, False)
        config.model.newer = value
        return config

    assert fingerprint(with_newer(as_before)) == known
    assert fingerprint(with_newer("another")) != known
    saved = read_config(run.config_path)
    assert "newer" in saved.model and saved.model.newer == as_before, "code that reads it finds the old meaning"


def test_zero_is_not_false_for_a_younger_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(moved.YOUNGER_KEYS, "trainer.newer", False)
    assert moved.without_younger_keys({"trainer": {"newer": 0}}) == {"trainer": {"newer": 0}}
    assert moved.without_younger_keys({"trainer": {"newer": False}}) == {"trainer": {}}
    assert moved.without_younger_keys({}) == {}


def test_a_class_that_moved_twice_is_hashed_by_its_first_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moved, "MOVED", {"a.First": "c.Third", "b.Second": "c.Third"})
    assert moved.with_first_names({"_target_": "c.Third"}) == {"_target_": "a.First"}
    for name in ("a.First", "b.Second"):
        assert moved.with_current_names([{"_target_": name}]) == [{"_target_": "c.Third"}]
