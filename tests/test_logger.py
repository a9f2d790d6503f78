"""Trackers: what W&B is told can be read back from its file; nothing it does stops a training; no CSV doubles."""

import http.server
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import wandb
from PIL import Image
from pytorch_lightning.callbacks import ModelCheckpoint
from tracked_run import CHOICES, CONFIG, forget_wandb, of_kind, records, results, summary_of, tracked_run, train

from lightdet.callback.metrics_csv import MetricsCsv, read_metrics
from lightdet.logger.csv import CsvLogger
from lightdet.logger.guarded_thread import GuardedThread, NoAnswer
from lightdet.logger.run_logger import close_trackers
from lightdet.logger.wandb import WandbLogger, of_one_size
from lightdet.logger.wandb_mode import answers, decide, has_key
from lightdet.runs.folder import RunFolder

KEY = "0123456789" * 4
SILENT = "http://192.0.2.1"  # an address that is nobody's


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunFolder]:
    """A run folder in a process that knows no key."""
    with tracked_run(tmp_path, monkeypatch) as run:
        yield run


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


@pytest.mark.parametrize("said", [None, "", "online", "run", "offline", "dryrun", "disabled", "shared", "nonsense"])
def test_no_mode_asks_or_hangs_without_a_key(
    said: str | None, folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if said is not None:
        monkeypatch.setenv("WANDB_MODE", said)

    def ask(*_: object) -> str:
        raise AssertionError("it asked")

    monkeypatch.setattr("builtins.input", ask)
    monkeypatch.setattr("getpass.getpass", ask)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    logger = WandbLogger(folder, CONFIG)
    train(logger, range(1))
    logger.finish()
    assert not capsys.readouterr().err
    assert len(list(folder.path.glob("wandb/offline-run-*"))) == (0 if said == "disabled" else 1)
    assert os.environ.get("WANDB_MODE") == said


@pytest.mark.parametrize(
    ("option", "environment", "mode"),
    [
        ("auto", {}, "offline"),
        ("auto", {"WANDB_MODE": "online"}, "offline"),
        ("auto", {"WANDB_API_KEY": KEY}, "online"),
        ("auto", {"WANDB_API_KEY": KEY, "WANDB_MODE": ""}, "online"),
        ("auto", {"WANDB_API_KEY": KEY, "WANDB_MODE": " Offline "}, "offline"),
        ("auto", {"WANDB_API_KEY": KEY, "WANDB_MODE": "disabled"}, "disabled"),
        ("auto", {"WANDB_API_KEY": KEY, "WANDB_DISABLED": "true"}, "disabled"),
        ("offline", {"WANDB_API_KEY": KEY, "WANDB_MODE": "online"}, "offline"),
        ("online", {"WANDB_API_KEY": KEY, "WANDB_MODE": "offline"}, "online"),
        ("disabled", {"WANDB_API_KEY": KEY}, "disabled"),
    ],
)
def test_the_mode_is_decided_by_what_is_there(
    option: str, environment: dict[str, str], mode: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    forget_wandb(tmp_path, monkeypatch)
    for name, value in environment.items():
        if name == "WANDB_API_KEY":  # W&B reads it itself, and rejects an empty WANDB_MODE
            monkeypatch.setenv(name, value)
    wandb.setup(wandb.Settings(silent=True))
    monkeypatch.setattr("lightdet.logger.wandb_mode.answers", lambda base_url: True)
    decided, reason = decide(option, environment, "https://api.example.org")
    assert decided == mode
    assert bool(reason) == (mode != "online")
    wandb.teardown()


def test_a_key_without_a_network_means_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightdet.logger.wandb_mode.answers", lambda base_url: False)
    assert decide("online", {}, SILENT, key=lambda: True)[0] == "offline"


def test_a_key_in_a_netrc_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "keys"

    def known(netrc: Path | None, base_url: str = "https://api.wandb.ai") -> bool:
        forget_wandb(tmp_path, monkeypatch)
        monkeypatch.setenv("WANDB_BASE_URL", base_url)
        if netrc:
            monkeypatch.setenv("NETRC", str(netrc))
        wandb.setup(wandb.Settings(silent=True))
        return has_key()

    file.write_text(f"machine api.wandb.ai\n login user\n password {KEY}\n")
    file.chmod(0o600)
    assert known(file)
    assert not known(file, "https://other.example.org")
    assert not known(None)
    file.write_text("no netrc at all {")
    assert not known(file)
    wandb.teardown()


class Refusing(http.server.BaseHTTPRequestHandler):
    """Answers everything with 401, except /slow/..., which never answers in time."""

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        if self.path.startswith("/slow"):
            time.sleep(3)
        self.send_error(401)

    do_POST = do_GET  # noqa: N815


@pytest.fixture
def refusing() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that has left is no news
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def test_a_refusal_is_an_answer_and_silence_is_not(refusing: str) -> None:
    assert answers(refusing)
    began = time.monotonic()
    assert not answers(f"{refusing}/slow", seconds=0.3)
    assert not answers("http://127.0.0.1:9", seconds=0.3)
    assert not answers("no url", seconds=0.3)
    assert time.monotonic() - began < 2.5


def test_a_host_that_refuses_the_key_leaves_an_offline_run(
    folder: RunFolder, refusing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", refusing)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    logger = WandbLogger(folder, CONFIG)
    train(logger, range(2))
    logger.finish()
    assert "writes offline, online it refused" in capsys.readouterr().out
    assert len(of_kind(records(folder.path), "history")) == 4
    assert list(folder.path.glob("wandb/offline-run-*"))


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
    assert "W&B failed (RuntimeError: tracker is down); the training goes on" in line

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
    assert "W&B has not answered for 0.5 s; the training goes on" in line
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


def test_the_long_csv_repeats_no_step_after_a_resume(folder: RunFolder) -> None:
    train(CsvLogger(folder, CONFIG), range(3))
    whole = (folder.path / "log.csv").read_text()
    train(CsvLogger(folder, CONFIG), range(1, 3))
    assert (folder.path / "log.csv").read_text() == whole
    assert whole.splitlines()[:3] == ["step,epoch,name,value", "8,0,val/map50,0.0", "8,0,train/loss,1.0"]


class Line(pl.LightningModule):
    """Fits one weight; logs as the detection task does, some of it in `on_train_epoch_end`."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.total = 0.0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
        loss = (self.weight * batch).square().mean()
        self.total += float(loss.detach())
        return loss

    def on_train_epoch_end(self) -> None:
        self.log("train/loss", self.total)
        self.log("other", 1.0)
        self.total = 0.0

    def validation_step(self, batch: torch.Tensor, index: int) -> None:
        self.log("val/map50", self.weight.detach().mean() + batch.mean())


def fit(folder: Path, epochs: int, validate_every: int = 1, resume: Path | None = None, best: bool = False) -> None:
    last = ModelCheckpoint(folder, filename="last", save_on_train_epoch_end=True, enable_version_counter=False)
    middle = ModelCheckpoint(folder, filename="best", monitor="val/map50", mode="min", enable_version_counter=False)
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=[MetricsCsv(folder / "metrics.csv"), middle if best else last],
        check_val_every_n_epoch=validate_every,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    batches = torch.utils.data.DataLoader(torch.ones(4, 1), batch_size=2)
    trainer.fit(Line(), batches, batches, ckpt_path=resume, weights_only=False)


def test_an_epoch_has_one_row_with_its_own_numbers(tmp_path: Path) -> None:
    fit(tmp_path, epochs=3)
    rows = read_metrics(tmp_path / "metrics.csv")
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert [row["step"] for row in rows] == ["2", "4", "6"]
    assert list(rows[0]) == ["epoch", "step", "train/loss", "val/map50"]
    assert float(rows[0]["train/loss"]) == pytest.approx(1 + 0.8**2)
    assert float(rows[0]["val/map50"]) == pytest.approx(1 + 0.8**2)
    assert float(rows[1]["train/loss"]) == pytest.approx(0.8**4 + 0.8**6)


def test_an_epoch_without_validation_repeats_no_old_number(tmp_path: Path) -> None:
    fit(tmp_path, epochs=3, validate_every=2)
    assert [bool(row["val/map50"]) for row in read_metrics(tmp_path / "metrics.csv")] == [False, True, False]


@pytest.mark.parametrize("best", [False, True], ids=["saved-at-epoch-end", "saved-after-validation"])
def test_a_resumed_training_leaves_the_same_csv(tmp_path: Path, best: bool) -> None:
    fit(tmp_path / "whole", epochs=4)
    fit(tmp_path / "killed", epochs=2, best=best)
    lost = tmp_path / "killed" / "metrics.csv"
    lost.write_text(lost.read_text() + "2,5,0.123,0.456\n3,7,0.123,0.456\n")  # rows after the last checkpoint
    fit(tmp_path / "killed", epochs=4, resume=tmp_path / "killed" / ("best.ckpt" if best else "last.ckpt"))
    assert lost.read_text() == (tmp_path / "whole" / "metrics.csv").read_text()
