"""One small training from the prompt, and everything that can be done with its folder afterwards."""

import contextlib
import io
import json
from pathlib import Path

import pytest
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.demos.boring_classes import BoringModel
from torch.utils.data import DataLoader

from lightdet.callback.progress import EpochBar
from lightdet.cli.main import main
from lightdet.core.files import read_metrics
from lightdet.metric.detection_scores import DETECTION_SCORES
from lightdet.runs.folder import RunFolder
from lightdet.runs.scores import scores_of
from lightdet.task.training_task import TrainingTask

TINY = (
    "data.reader.train_images=16",
    "data.reader.val_images=12",
    "data.reader.size=96",
    "data.batch_size=8",
    "image_size=64",
    "trainer.max_epochs=1",
    "trainer.precision=32-true",
    "trainer.channels_last=false",
    "trainer.device=cpu",
    "trainer.progress=lines",
    "logger=none",
    "width=0.125",
)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command; a cache of its own keeps the drawn photos out of the user's."""
    folder = tmp_path_factory.mktemp("end")
    return ["train", *TINY, f"data.reader.cache={folder}/cache", f"runs_dir={folder}/runs"]


@pytest.fixture(scope="module")
def printed() -> list[str]:
    return []


@pytest.fixture(scope="module")
def run(words: list[str], printed: list[str]) -> Path:
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert main(words) == 0
    printed += said.getvalue().splitlines()
    (results,) = Path(words[-1].partition("=")[2]).glob("*/*/s0/results.json")
    return results.parent


def test_a_run_leaves_what_the_readme_promises(run: Path) -> None:
    for name in ("config.yaml", "overrides.yaml", "metrics.csv", "checkpoints/best.ckpt", "checkpoints/last.ckpt"):
        assert (run / name).stat().st_size > 0, name
    assert json.loads((run / "status.json").read_text())["state"] == "done"
    results = json.loads((run / "results.json").read_text())
    assert (results["schema"], results["task"], "test" in results) == (2, "detection", False)
    assert scores_of(RunFolder(run)) == DETECTION_SCORES
    assert list((run / "pictures").iterdir())


def test_the_line_of_an_epoch_has_its_own_losses(run: Path, printed: list[str]) -> None:
    (row,) = read_metrics(run / "metrics.csv")
    (line,) = [line for line in printed if line.startswith("epoch 1/1")]
    for name in ("loss", "box", "objectness", "class"):
        assert f"  {name} {float(row[f'train/{name}']):.4f}" in line


def test_a_training_with_too_few_steps_says_so_before_it_starts(run: Path, printed: list[str]) -> None:
    (number,) = [place for place, line in enumerate(printed) if line.startswith("  steps ")]
    assert "2 optimizer steps are too few to learn much: raise trainer.max_epochs to 150 or more" in printed[number]
    assert number < next(place for place, line in enumerate(printed) if line.startswith("epoch "))


def test_mean_average_precision_is_measured_in_the_last_epoch_too(words: list[str]) -> None:
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert main([*words, "study=seldom", "trainer.max_epochs=3", "trainer.validate_every=2"]) == 0
    (metrics,) = (Path(words[-1].partition("=")[2]) / "seldom").glob("*/s0/metrics.csv")
    measured = [int(row["epoch"]) for row in read_metrics(metrics) if row["val/map50"]]
    told = [line.split()[1] for line in said.getvalue().splitlines() if line.startswith("epoch") and "mAP50" in line]
    assert measured == [1, 2] and told == ["2/3", "3/3"]


@pytest.mark.parametrize(("batches", "images"), [("1", 8), ("0.5", 8), ("1.0", 16)])
def test_a_run_on_few_batches_is_measured_on_them(words: list[str], batches: str, images: int) -> None:
    study = f"few-{batches}"
    with contextlib.redirect_stdout(io.StringIO()):
        assert main([*words, f"study={study}", f"trainer.overfit_batches={batches}"]) == 0
    (results,) = (Path(words[-1].partition("=")[2]) / study).glob("*/s0/results.json")
    assert json.loads(results.read_text())["metrics"]["images"] == images


@pytest.mark.parametrize(("monitor", "code"), [("val/ap50/weld_defect", 0), ("val/ap50/rust", 2)])
def test_a_monitor_that_is_never_told_is_refused_before_the_first_step(
    words: list[str], monitor: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "study=monitored", f"trainer.monitor={monitor}"]) == code
    told = capsys.readouterr()
    assert ("epoch 1/1" in told.out) == (code == 0)
    assert code == 0 or f"trainer.monitor={monitor}: no validation image has ground truth of this class" in told.err


def test_ctrl_c_says_that_the_same_command_continues(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(TrainingTask, "training_step", stop)
    assert main([*words, "seed=7"]) == 130
    assert "lightdet: stopped; the same command continues" in capsys.readouterr().err
    (status,) = Path(words[-1].partition("=")[2]).glob("*/*/s7/status.json")
    told = json.loads(status.read_text())
    assert (told["state"], told["reason"]) == ("killed", "interrupted")


def test_the_same_command_again_trains_nothing(run: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = run / "checkpoints/last.ckpt"
    before = checkpoint.stat().st_mtime_ns
    assert main(words) == 0
    assert "done already" in capsys.readouterr().out
    assert checkpoint.stat().st_mtime_ns == before


def test_evaluating_again_gives_the_numbers_of_the_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run)]) == 0
    trained = json.loads((run / "results.json").read_text())["metrics"]
    again = json.loads((run / "evaluate-val/metrics.json").read_text())
    assert again == trained
    assert sum(row["predictions"] for row in again["per_class"].values()) > 0
    assert "AP50" in capsys.readouterr().out


def test_another_split_and_threshold(run: Path, tmp_path: Path) -> None:
    assert main(["evaluate", str(run), "split=train", "threshold=0.9", f"out={tmp_path}/there"]) == 0
    measured = json.loads((tmp_path / "there/metrics.json").read_text())
    assert (measured["images"], measured["operating_point"]["threshold"]) == (16, 0.9)


def test_a_setting_of_the_model_counts_when_a_run_is_measured_again(run: Path, tmp_path: Path) -> None:
    def predictions(*words: str) -> int:
        assert main(["evaluate", str(run), f"out={tmp_path}", *words]) == 0
        measured = json.loads((tmp_path / "metrics.json").read_text())
        return sum(row["predictions"] for row in measured["per_class"].values())

    assert predictions("model.max_detections=1") <= 12 < predictions()


@pytest.mark.parametrize(
    ("words_after_run", "named"),
    [
        (["split=tst"], "train, val"),
        (["threshold=high"], "threshold=high"),
        (["threshold=7"], "threshold=7"),
        (["checkpoint=first"], "best, last"),
        (["device=abacus"], "device=abacus"),
        (["data.batch_sise=3"], "data.batch_sise"),
        (["trainer.max_epochs=3"], "trainer.max_epochs=3"),
        (["model.network.backbone.width=0.25"], "not a checkpoint of this model"),
    ],
)
def test_a_mistake_is_one_line(
    run: Path, words_after_run: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(run), *words_after_run]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert named in line


def test_images_that_were_trained_on_are_not_measured_in_silence(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    splits = run / "splits.json"
    before = splits.read_text()
    known = json.loads(before)
    splits.write_text(json.dumps(known | {"train": known["train"] + known["val"][:5]}))
    try:
        assert main(["evaluate", str(run)]) == 0
    finally:
        splits.write_text(before)
    assert "5 of the 12 images" in capsys.readouterr().err


def test_predicting_from_the_run(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = sorted(next((run.parents[3] / "cache").rglob("*.png")).parent.glob("*.png"))[:2]
    names = [str(photo) for photo in photos]
    assert main(["predict", str(run), *names, "--out", str(tmp_path), "--threshold", "0", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["photos"] == 2
    assert sum(facts["boxes"].values()) > 0
    assert json.loads((tmp_path / "predictions.coco.json").read_text())


def test_predicting_from_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    assert main(["predict", str(tmp_path), str(tmp_path / "a.png"), "--out", str(tmp_path / "out")]) == 2
    assert "no run here" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_bar_counts_epochs_from_1(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    few = {"max_epochs": 2, "limit_train_batches": 2}
    quiet = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    trainer = Trainer(default_root_dir=tmp_path, accelerator="cpu", callbacks=[EpochBar(leave=True)], **few, **quiet)
    trainer.fit(BoringModel(), DataLoader(torch.ones(4, 32)))
    shown = capsys.readouterr().out
    assert "Epoch 1/2" in shown and "Epoch 2/2" in shown and "Epoch 0" not in shown
