"""Files of a received run that are made up: none is waited for, fills the memory, or leads a writer elsewhere."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from lightdet.core.checkpoint_file import read_checkpoint
from lightdet.core.errors import LightdetError
from lightdet.core.files import write_json, write_text
from lightdet.engine.evaluate_run import evaluate_run, warn_of_trained_images
from lightdet.engine.load import best_threshold, load_run, load_weights
from lightdet.engine.weights import start_from
from lightdet.runs.folder import RunFolder
from lightdet.study import worker


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file outside of the run."""
    write_text(tmp_path / "victim/precious.txt", "precious")
    return tmp_path / "victim/precious.txt"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def test_a_process_of_a_launcher_writes_through_no_link(
    run: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("guard_output", "end_on_signals"):  # of a process of its own
        monkeypatch.setattr(worker, name, lambda: None)
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    monkeypatch.setattr(worker, "train_folder", lambda *_: 0)
    for name in (worker.STACKS, "log.txt"):
        (run / name).symlink_to(victim)
    with pytest.raises(SystemExit) as end:
        worker.child(str(run), worker.TRAINING, worker.Share(log=True), dict(os.environ))
    assert end.value.code == 0
    assert not victim.is_symlink() and victim.read_text() == "precious"
    assert RunFolder(run).log_path.is_file() and not RunFolder(run).log_path.is_symlink()


def test_a_process_of_a_launcher_waits_for_no_pipe(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    os.mkfifo(run / "log.txt")
    worker._write_to(run / "log.txt")
    assert (run / "log.txt").is_file()


def test_a_file_is_written_through_no_link(run: Path, victim: Path) -> None:
    (run / f"status.json.{os.getpid()}.tmp").symlink_to(victim)
    write_json(run / "status.json", {"state": "done"})
    assert victim.read_text() == "precious"
    assert [path.name for path in run.iterdir()] == ["status.json"] and not (run / "status.json").is_symlink()


@pytest.mark.parametrize("link", ["evaluate-val", "evaluate-val/pictures"])
def test_an_evaluation_goes_through_no_link(link: str, run: Path, victim: Path) -> None:
    (run / link).parent.mkdir(exist_ok=True)
    (run / link).symlink_to(victim.parent)
    with pytest.raises(LightdetError, match=rf"{link}: a link that leads out of"):
        evaluate_run(run, run / "evaluate-val")


def test_a_checkpoint_that_is_a_pipe_or_a_device_is_not_waited_for(run: Path) -> None:
    os.mkfifo(run / "best.ckpt")
    (run / "last.ckpt").symlink_to("/dev/zero")
    for name, what in (("best.ckpt", "a named pipe"), ("last.ckpt", "a device")):
        with pytest.raises(LightdetError, match=f"{what}, and no checkpoint"):
            read_checkpoint(run / name)


def test_a_checkpoint_that_would_fill_the_memory_is_refused(run: Path) -> None:
    torch.save({"epoch": 0, "ema": {"weights": {"weight": torch.zeros(1_000_000)}}}, run / "plain.ckpt")
    assert read_checkpoint(run / "plain.ckpt")["epoch"] == 0
    with (
        zipfile.ZipFile(run / "plain.ckpt") as plain,
        zipfile.ZipFile(run / "best.ckpt", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for name in plain.namelist():
            bomb.writestr(name, plain.read(name))
    assert (run / "best.ckpt").stat().st_size < 20_000
    with pytest.raises(LightdetError, match=r"its parts would be 4,0.* bytes, more than the file"):
        read_checkpoint(run / "best.ckpt")


@pytest.mark.parametrize(
    "state",
    [
        {"epoch": 0, "ema": []},
        {"epoch": 0, "ema": {"weights": [1]}},
        {"epoch": 0, "ema": {"weights": {1: torch.ones(1)}}},
        {"epoch": 0, "ema": {"weights": {"weight": 5, "bias": "x"}}},
        {"epoch": "x"},
        {"epoch": None},
        {"epoch": [1]},
        {"epoch": float("inf")},
        {},
    ],
)
def test_a_checkpoint_of_anything_is_refused_in_one_line(run: Path, state: dict[str, Any]) -> None:
    model = nn.Linear(1, 1)
    torch.save({"ema": {"weights": model.state_dict()}, **state}, run / "best.ckpt")
    with pytest.raises(LightdetError, match=r"best\.ckpt: not a checkpoint of this model \(.+\)$"):
        load_weights(model, run / "best.ckpt")  # type: ignore[arg-type]  # any module has weights


@pytest.mark.parametrize("state", [{"ema": {"weights": [1]}}, {"state_dict": [1]}, {"state_dict": 5}])
def test_weights_that_are_none_are_refused_in_one_line(run: Path, state: dict[str, Any]) -> None:
    torch.save(state, run / "best.ckpt")
    with pytest.raises(LightdetError, match="none of its 0 tensors fits"):
        start_from(nn.Linear(1, 1), run / "best.ckpt", "best.ckpt")


@pytest.mark.parametrize("value", ["abc", [1], {}, float("nan"), 1e308, -5, 10**400, "0.5"])
def test_a_threshold_that_is_no_score_is_none(value: Any) -> None:
    assert best_threshold({"metrics": {"operating_point": {"threshold": value}}}) is None
    assert best_threshold({"metrics": {"operating_point": value}}) is None
    assert best_threshold({"metrics": value}) is None
    assert best_threshold({"metrics": {"operating_point": {"threshold": 0.25}}}) == 0.25


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        *((f"classes: {value}", "classes is no list of names") for value in ("5", "null", "{a: b}", "dent", "[[a]]")),
        *(
            (f"image_size: {value}", "image_size is no side")
            for value in ("abc", "-64", "[64]", "999999999", "null", ".nan", "[64, 64, 64]", "[a, b]")
        ),
        *((f"{name}: {value}", "is no section") for name in ("data", "model") for value in ("5", "null", "[1]")),
        ("model: {}", "no Model"),
        ("model: {_target_: torch.nn.GroupNorm, num_groups: 0, num_channels: 1}", "no model can be built of it"),
    ],
)
def test_a_configuration_of_other_kinds_is_refused_in_one_line(run: Path, lines: str, told: str) -> None:
    tree = {"classes": ["a"], "num_classes": 1, "image_size": 64, "data": {}, "model": {}, **yaml.safe_load(lines)}
    (run / "config.yaml").write_text(yaml.safe_dump(tree))
    with pytest.raises(LightdetError, match=told) as refused:
        load_run(run)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("train", [5, None, [[1]], {"a": 1}, "a"])
def test_lists_of_images_that_are_none_warn_of_nothing(
    run: Path, train: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "splits.json").write_text(json.dumps({"train": train}))
    warn_of_trained_images(run, "val", ["a"])
    assert capsys.readouterr().err == ""
