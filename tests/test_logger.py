"""W&B: a run's file holds what the documentation promises, and nothing that W&B does stops a training."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tracked_run
import wandb
from PIL import Image
from tracked_run import CHOICES, CONFIG, of_kind, records, results, summary_of, train

from lightdet.logger.guarded_thread import GuardedThread, NoAnswer
from lightdet.logger.run_logger import close_trackers
from lightdet.logger.wandb import WandbLogger, of_one_size
from lightdet.runs.folder import RunFolder

folder = pytest.fixture(tracked_run.folder)


def test_pictures_of_several_sizes_are_laid_out_alike(
    folder: RunFolder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    red = np.full((6, 4, 3), (255, 0, 0), np.uint8)
    wide = np.zeros((2, 9, 3), np.uint8)
    first, second = of_one_size([red, wide])
    assert first.shape == second.shape == (6, 9, 3)
    assert (first[:, :4] == red).all() and (first[:, 4:] == 255).all() and (second[2:] == 255).all()
    logger = WandbLogger(folder, CONFIG)
    train(logger, range(1))
    folder.pictures.mkdir()
    for name, picture in (("000-missed", red), ("001-missed", wide)):
        Image.fromarray(picture).save(folder.pictures / f"{name}.png")
    logger.log_results(results(tmp_path / "a.png"))
    logger.finish()
    assert "sizes do not match" not in caplog.text


def test_an_offline_run_holds_what_the_documentation_promises(folder: RunFolder, tmp_path: Path) -> None:
    logger = WandbLogger(folder, CONFIG)
    train(logger, range(2))
    folder.pictures.mkdir()
    Image.new("RGB", (8, 8)).save(folder.pictures / "000-missed.png")
    logger.log_results(results(tmp_path / "a.png"))
    logger.finish()

    found = records(folder.path)
    run = of_kind(found, "run")[0]
    told = json.dumps(run)
    for fact in ('"attention": "cbam"', '"head": 76', '"loss_box": "giou"', '"study": "study"', '"width": 0.25'):
        assert fact in told, fact
    assert (run["run_group"], run["display_name"]) == ("attention-cbam", "attention-cbam__s0")
    assert run["run_id"] == logger.version

    history = [row["item"] for row in of_kind(found, "history")]
    assert [(row["epoch"], row["val/map50"]) for row in history if "val/map50" in row] == [(0, 0), (1, 0.1)]
    assert [row["train/loss"] for row in history if "train/loss" in row] == [1.0, 0.9]
    assert any("predictions._type" in row for row in history) and any("pictures._type" in row for row in history)

    summary = summary_of(found)
    assert summary["best/map50"] == 0.7 and summary["best/ap50/scratch"] == 0.8 and summary["best/escape_rate"] == 0.1
    assert summary["footprint/parameters"] == 1_540_000 and "best/map75" not in summary

    (media,) = (folder.path / "wandb").glob("offline-run-*/files/media")
    layers = [json.loads(path.read_text())["box_data"][0] for path in media.rglob("*.boxes2D.json")]
    assert sorted(box["box_caption"] for box in layers) == ["scratch", "scratch 0.90"]
    assert {"minX": 1, "minY": 2, "maxX": 20, "maxY": 25} in [box["position"] for box in layers]
    (table,) = media.rglob("*.table.json")
    assert len(json.loads(table.read_text())["data"]) == 6


def test_nothing_is_written_outside_the_run_folder(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = folder.path.parents[3] / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    logger = WandbLogger(folder, CONFIG)
    train(logger, range(1))
    logger.log_results(results(folder.path / "a.png"))
    logger.finish()
    assert not list(elsewhere.iterdir())
    assert not list((Path.home() / ".local").rglob("*")), "tables that wait for a server wait in the run folder"


def test_a_resumed_run_has_the_same_id_and_row_numbers(folder: RunFolder) -> None:
    first = WandbLogger(folder, CONFIG)
    train(first, range(3))
    first.finish()
    before = {row["step"]["num"]: row["item"] for row in of_kind(records(folder.path), "history")}
    time.sleep(1.1)  # W&B names its folders by the second
    second = WandbLogger(folder, CONFIG)
    train(second, range(2, 4))
    second.finish()
    after = {row["step"]["num"]: row["item"] for row in of_kind(records(folder.path), "history")}
    assert second.version == first.version
    assert set(before) & set(after) == {96, 97}, "the repeated epoch has its old rows, the others do not clash"
    for number in (96, 97):
        measured = ("epoch", "val/map50", "train/loss")
        assert [before[number].get(name) for name in measured] == [after[number].get(name) for name in measured]


def test_ids_tell_studies_folders_and_definitions_apart(folder: RunFolder) -> None:
    ids = set()
    for study, fingerprint in (("study", "f-s0"), ("other", "f-s0"), ("study", "g-s0")):
        folder.write_status("running", study=study, fingerprint=fingerprint)
        ids.add(WandbLogger(folder, CONFIG, mode="disabled").version)
    assert len(ids) == 3


def test_whatever_wandb_raises_is_one_line(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("tracker\nis down")

    logger = WandbLogger(folder, CONFIG)
    monkeypatch.setattr(logger.run, "log", fail)
    train(logger, range(5))
    logger.log_results(results(tmp_path / "a.png"))
    logger.finish()
    (line,) = capsys.readouterr().err.splitlines()
    assert "W&B failed (RuntimeError: tracker is down); the training continues" in line

    monkeypatch.setattr(wandb, "init", fail)
    logger = WandbLogger(folder, CONFIG)
    train(logger, range(5))
    logger.log_results(results(tmp_path / "a.png"))
    logger.finish()
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_wandb_that_stops_answering_is_left_behind(
    folder: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logger = WandbLogger(folder, CONFIG)
    logger.seconds = 0.5
    service = wandb.sdk.wandb_setup.singleton()._connection._proc._process  # type: ignore[union-attr]
    os.kill(service.pid, signal.SIGSTOP)
    began = time.monotonic()
    train(logger, range(5))
    logger.log_results(results(tmp_path / "a.png"))
    logger.finish()
    assert time.monotonic() - began < 30
    (line,) = capsys.readouterr().err.splitlines()
    assert "W&B has not answered for 0.5 s; the training continues" in line
    assert service.wait(10) == -signal.SIGKILL, "W&B would wait for it when Python ends"

    again = WandbLogger(folder, CONFIG)
    train(again, range(2))
    again.finish()
    assert of_kind(records(folder.path), "history"), "the next run has a process of its own"


def test_what_is_done_aside_keeps_its_order_and_its_errors() -> None:
    aside, told, late = GuardedThread("test"), [], threading.Event()
    aside.do(lambda: aside.do(lambda: told.append(threading.current_thread().name), 1), 1)
    assert told == ["test"], "asked from inside, it is done at once and in the same thread"
    with pytest.raises(ZeroDivisionError):
        aside.do(lambda: 1 / 0, 1)
    with pytest.raises(NoAnswer):
        aside.do(late.wait, 0.05)
    late.set()
    aside.do(lambda: told.append("after"), 5)
    assert told == ["test", "after"]
    aside.end()


def test_the_next_job_gets_a_run_of_its_own(folder: RunFolder) -> None:
    first = WandbLogger(folder, CONFIG)
    train(first, range(1))
    close_trackers()
    other = RunFolder(folder.path.parent / "s1")
    other.write_status("running", study="study", fingerprint="f-s1", choices=CHOICES)
    second = WandbLogger(other, {"seed": 1})
    train(second, range(1))
    second.finish()
    assert first.version != second.version
    assert of_kind(records(other.path), "run")[0]["run_id"] == second.version
