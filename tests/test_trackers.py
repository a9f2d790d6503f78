"""Several trackers at once: what each is told can be read back, a resume doubles nothing, none stops a training."""

import http.server
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
import yaml
from omegaconf import OmegaConf
from PIL import Image
from tracked_run import CONFIG, forget_wandb, of_kind, records, results, summary_of, tracked_run, train

from lightdet.cli.main import main
from lightdet.config.compose import compose_config
from lightdet.config.conf_folder import conf_folder
from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json
from lightdet.logger.csv import CsvLogger
from lightdet.logger.mlflow import MlflowLogger
from lightdet.logger.names import column
from lightdet.logger.run_logger import build_loggers, close_trackers
from lightdet.logger.tensorboard import TensorboardLogger
from lightdet.logger.wandb import WandbLogger
from lightdet.runs.folder import RunFolder

ROOT = Path(__file__).resolve().parent.parent
SWEEPS = sorted((ROOT / "experiments/wandb_sweep").glob("*.yaml"))
SMALL = (
    *("data.reader.train_images=8", "data.reader.val_images=4", "data.reader.size=96", "data.batch_size=4"),
    *("image_size=64", "debug=one_step", "trainer.precision=32-true", "trainer.channels_last=false"),
    *("trainer.device=cpu", "trainer.progress=none", "width=0.125"),
)


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
        assert f"pip install 'lightdet[{kind.extra}]'" in line and "the training goes on" in line


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


# ---------------------------------------------------------------- sweeps that W&B steers


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_sweep_files_are_what_wandb_takes(path: Path) -> None:
    from wandb.sdk.launch.sweeps.utils import load_sweep_config

    sweep = load_sweep_config(str(path))
    assert sweep is not None and sweep["method"] in ("grid", "bayes")
    assert (ROOT / sweep["program"]).is_file()
    *_, study, macro = sweep["command"]
    assert study.startswith("study=") and macro == "${args_no_hyphens}"
    choices = [told.get("values") or [told["min"], told["max"]] for told in sweep["parameters"].values()]
    for turn in range(max(map(len, choices))):  # every key and every value is one of ours
        asked = {name: values[turn % len(values)] for name, values in zip(sweep["parameters"], choices, strict=True)}
        compose_config(arguments({name: {"value": value} for name, value in asked.items()}))


def arguments(parameters: dict[str, Any]) -> list[str]:
    """What W&B's agent makes of `${args_no_hyphens}`."""
    from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

    return list(create_sweep_command_args({"args": parameters})["args_no_hyphens"])


def test_an_agents_run_is_the_agents_and_a_finished_training_answers_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The grid's first job as an agent starts it, and the same parameters once more under another run id."""
    sweep = yaml.safe_load((ROOT / "experiments/wandb_sweep/attention_head.yaml").read_text())
    asked = {name: {"value": told["values"][0]} for name, told in sweep["parameters"].items()}
    at = sweep["command"].index("${program}") + 1
    words = [word for part in sweep["command"][at:] for word in (arguments(asked) if part.startswith("${") else [part])]
    small = [*SMALL, f"data.reader.cache={tmp_path}/cache", f"runs_dir={tmp_path}/runs"]
    monkeypatch.chdir(tmp_path)
    for run_id in ("agent001", "agent002"):
        forget_wandb(tmp_path / "home", monkeypatch)
        told = tmp_path / "wandb" / "sweep-sweep01" / f"config-{run_id}.yaml"
        told.parent.mkdir(parents=True, exist_ok=True)
        told.write_text(yaml.safe_dump({"wandb_version": 1, **asked}))
        for name, value in (("SWEEP_ID", "sweep01"), ("RUN_ID", run_id), ("SWEEP_PARAM_PATH", str(told))):
            monkeypatch.setenv(f"WANDB_{name}", value)
        assert main(["train", *words, *small]) == 0
        (status,) = (tmp_path / "runs/sweep_attention_head").glob("*/s0/status.json")
        found = records(status.parent)
        run = of_kind(found, "run")[0]
        assert (run["run_id"], run["sweep_id"]) == (run_id, "sweep01")
        config = run["config"]["update"]
        assert (config["attention"], config["head"], config["seed"]) == ("none", 76, 0)
        best = read_json(status.parent / "results.json")["metrics"]["map50_95"]
        assert summary_of(found)[sweep["metric"]["name"]] == pytest.approx(best)
        wandb.teardown()
        time.sleep(1.1)  # W&B names its folders by the second
    assert len(list(status.parent.glob("wandb/offline-run-*"))) == 2
    assert os.environ.get("WANDB_SWEEP_ID") == "sweep01"
