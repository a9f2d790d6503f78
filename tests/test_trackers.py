"""Several trackers at once: what each is told can be read back, a resume doubles nothing, none stops a training."""

import http.server
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from PIL import Image
from tracked_run import CONFIG, of_kind, records, results, tracked_run, train

from lightdet.config.compose import compose_config
from lightdet.config.conf_folder import conf_folder
from lightdet.core.errors import LightdetError
from lightdet.logger.csv import CsvLogger
from lightdet.logger.mlflow import MlflowLogger
from lightdet.logger.names import column
from lightdet.logger.run_logger import build_loggers, close_trackers
from lightdet.logger.tensorboard import TensorboardLogger
from lightdet.logger.wandb import WandbLogger
from lightdet.runs.folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunFolder]:
    """A run folder with a picture and a configuration, in a process that knows no key."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with tracked_run(tmp_path, monkeypatch) as run:
        run.pictures.mkdir()
        Image.new("RGB", (8, 6), "red").save(run.pictures / "000-missed.png")
        run.config_path.write_text("seed: 0\n")
        yield run


# ---------------------------------------------------------------- options


def chosen(*words: str) -> dict[str, Any]:
    """The trackers under these overrides, by name."""
    cfg = compose_config(list(words))
    return OmegaConf.to_container(cfg.get("logger") or OmegaConf.create())  # type: ignore[return-value]


def test_every_option_goes_to_a_place_of_its_own() -> None:
    names = sorted(path.stem for path in (conf_folder() / "logger").glob("*.yaml"))
    assert {"wandb", "tensorboard", "mlflow", "csv", "none"} <= set(names)
    trackers = [name for name in names if name != "none"]
    assert sorted(chosen(f"logger=[{','.join(trackers)}]")) == trackers
    assert sorted(chosen()) == ["wandb"] and chosen("logger=none") == {}
    both = chosen("logger=[wandb,tensorboard]", "logger.wandb.project=mine", "logger.wandb.tags=[a]")
    assert (both["wandb"]["project"], both["wandb"]["tags"], sorted(both)) == ("mine", ["a"], ["tensorboard", "wandb"])


def test_the_options_build_their_trackers(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    for words, kinds in (
        ("logger=wandb", [WandbLogger]),
        ("logger=[csv,tensorboard]", [CsvLogger, TensorboardLogger]),
        ("logger=none", []),
    ):
        cfg = compose_config([words, "num_classes=2"])
        assert [type(logger) for logger in build_loggers(cfg, folder)] == kinds


def test_an_option_without_a_place_is_one_line(folder: RunFolder) -> None:
    with pytest.raises(LightdetError, match="@package logger"):
        build_loggers(OmegaConf.create({"logger": {"_target_": "mine.Tracker", "color": "red"}}), folder)


def test_a_choice_is_one_column_everywhere() -> None:
    assert column("loss/box") == "loss_box"
    assert column("attention@model.network.backbone") == "attention_model_network_backbone"


# ---------------------------------------------------------------- TensorBoard


def curves(path: Path) -> Any:
    """TensorBoard's own reader."""
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(path), size_guidance={"scalars": 0, "images": 0, "tensors": 0}).Reload()


def test_tensorboard_has_the_numbers_the_choices_and_the_pictures(folder: RunFolder, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    logger = TensorboardLogger(folder, CONFIG)
    train(logger, range(3))
    logger.log_results(results(tmp_path / "a.png"))
    logger.finish()
    read = curves(folder.path / "tensorboard")
    points = [(point.step, point.value) for point in read.Scalars("val/map50")]
    assert points == [(8, 0.0), (16, pytest.approx(0.1)), (24, pytest.approx(0.2))]
    assert [(point.step, point.value) for point in read.Scalars("best/ap50/scratch")] == [(25, pytest.approx(0.8))]
    assert [image.step for image in read.Images("pictures/000-missed")] == [25]
    from tensorboard.plugins.hparams import metadata

    content = read.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    told = metadata.parse_session_start_info_plugin_data(content).hparams
    assert told["attention"].string_value == "cbam" and told["loss_box"].string_value == "giou"
    assert told["head"].number_value == 76
    assert "attention: cbam" in str(read.Tensors("choices/text_summary")[0].tensor_proto)


def test_tensorboard_doubles_no_step_after_a_resume(folder: RunFolder, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    for epochs in (range(3), range(2, 4), range(0)):  # killed after an epoch, after its results, and once more
        logger = TensorboardLogger(folder, CONFIG)
        folder.metrics_csv.write_text("epoch,step\n3,32\n")
        train(logger, epochs)
        logger.log_results(results(tmp_path / "a.png"))
        logger.finish()
        time.sleep(1.1)  # its files are named by the second
    read = curves(folder.path / "tensorboard")
    assert [point.step for point in read.Scalars("val/map50")] == [8, 16, 24, 32]
    assert [point.step for point in read.Scalars("train/loss")] == [8, 16, 24, 32]
    assert [point.step for point in read.Scalars("best/map50")] == [33]


# ---------------------------------------------------------------- MLflow


def test_mlflow_has_the_numbers_the_choices_and_the_pictures_once(folder: RunFolder, tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    pytest.importorskip("sqlalchemy", reason="the extra mlflow is not installed")
    config = {**CONFIG, "runs_dir": str(tmp_path / "runs")}
    (tmp_path / "runs/mlflow.db.new").write_text("left by a process that was killed while it made the tables")
    for epochs, state in ((range(3), "killed"), (range(2, 4), "running"), (range(0), "done")):
        logger = MlflowLogger(folder, config)
        train(logger, epochs)
        if state != "killed":
            logger.log_results(results(tmp_path / "a.png"))
        folder.write_status(state)
        logger.finish()
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path}/runs/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("study").experiment_id])
    run_id = run.info.run_id
    assert [(p.step, p.value) for p in client.get_metric_history(run_id, "val/map50")] == [
        (8, 0.0),
        (16, 0.1),
        (24, 0.2),
        (32, 0.3),
    ]
    assert [(p.step, p.value) for p in client.get_metric_history(run_id, "best/map50")] == [(32, 0.7)]
    assert run.data.metrics["best/ap50/scratch"] == 0.8 and run.data.metrics["footprint/parameters"] == 1_540_000
    assert run.data.params["attention"] == "cbam" and run.data.params["loss_box"] == "giou"
    assert (run.info.run_name, run.info.status) == ("attention-cbam__s0", "FINISHED")
    assert run.data.tags["group"] == "attention-cbam"
    assert [file.path for file in client.list_artifacts(run_id)] == ["config.yaml", "pictures"]
    assert str(tmp_path / "runs") in run.info.artifact_uri
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        "mlartifacts",
        "mlflow.db",
        "mlflow.lock",
        "study",
    ]


# ---------------------------------------------------------------- trouble


def test_a_package_that_is_absent_is_one_line(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for module, kind in (("tensorboard", TensorboardLogger), ("mlflow.entities", MlflowLogger)):
        monkeypatch.setitem(sys.modules, module, None)
        logger = kind(folder, {**CONFIG, "runs_dir": str(tmp_path / "runs")})
        train(logger, range(3))
        logger.log_results(results(tmp_path / "a.png"))
        logger.finish()
        (line,) = capsys.readouterr().err.splitlines()
        assert f"pip install '.[{kind.extra}]' in the clone" in line and "the training continues" in line


def test_a_place_that_cannot_be_written_is_one_line(folder: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    (folder.path / "tensorboard").write_text("a file where the folder should be")
    (folder.path / "log.csv").mkdir()
    for kind in (TensorboardLogger, CsvLogger):
        logger = kind(folder, CONFIG)
        train(logger, range(3))
        logger.finish()
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{kind.title} failed" in line


class Mute(http.server.BaseHTTPRequestHandler):
    """A server that answers the first look and nothing after it."""

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        if not self.path.startswith("/healthz"):
            time.sleep(6)
        self.send_error(404)

    do_POST = do_GET  # noqa: N815


def test_a_dead_or_silent_mlflow_server_holds_nobody_up(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mute)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    began = time.monotonic()
    for uri in ("http://127.0.0.1:9", f"http://127.0.0.1:{server.server_address[1]}"):
        logger = MlflowLogger(folder, CONFIG, tracking_uri=uri)
        train(logger, range(5))
        logger.finish()
        (line,) = capsys.readouterr().err.splitlines()
        assert "MLflow failed" in line
    server.shutdown()
    assert time.monotonic() - began < 10


def test_the_state_of_the_run_reaches_wandb(folder: RunFolder) -> None:
    logger = WandbLogger(folder, CONFIG)
    folder.write_status("failed", reason="loss is nan")
    close_trackers()
    assert logger.run is None
    assert [ended["exit_code"] for ended in of_kind(records(folder.path), "exit")] == [1]
