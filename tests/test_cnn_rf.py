"""Classifiers whose readout is fitted after the training, as runs: trained, killed, continued, packed and used."""

import json
from importlib import util
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from test_classifier import paint
from test_models import composed

import lightdet
from lightdet.cli.main import main
from lightdet.core.checkpoint_file import read_checkpoint
from lightdet.core.errors import LightdetError
from lightdet.core.types import Subject, TrainingStats
from lightdet.engine import finish as finishing
from lightdet.engine import train as training
from lightdet.engine.load import build_model, load_run
from lightdet.model.classifier import Classifier, ClassifierNetwork
from lightdet.readout.forest import RandomForest
from lightdet.runs.fingerprint import fingerprint
from lightdet.runs.folder import BEST, LAST, RunFolder

pytest.importorskip("sklearn", reason="the extra forest is not installed")
FOREST = ("model=cnn_rf", "model.network.readout.trees=20", "model.network.backbone.channels=[8,8,16]")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    paint(folder / "data")
    return folder


def train(place: Path, name: str, *words: str) -> RunFolder:
    """Trains for two epochs unless the words say otherwise, where no other run has the same result already."""
    common = ("data=folder", f"data.reader.root={place}/data", "image_size=64", "data.batch_size=15", "logger=none")
    here = ("trainer.device=cpu", "trainer.precision=32-true", "trainer.progress=none", f"runs_dir={place}/{name}")
    code = main(["train", *FOREST, *common, *here, "trainer.max_epochs=2", "name=parts", *words])
    assert code == 0
    return folder_of(place, name)


def folder_of(place: Path, name: str) -> RunFolder:
    return RunFolder(place / name / "single" / "parts" / "s0")


@pytest.fixture(scope="module")
def run(place: Path) -> RunFolder:
    return train(place, "whole")


def numbers(run: RunFolder) -> dict[str, Any]:
    results = run.read_results()
    return {name: value for name, value in results.items() if name not in ("seconds", "footprint")}


def test_the_forest_is_in_the_best_checkpoint_and_answers(run: RunFolder, place: Path) -> None:
    best, last = (read_checkpoint(run.checkpoints / name)["ema"]["weights"] for name in (BEST, LAST))
    assert best["network.readout.is_fitted"] and not last["network.readout.is_fitted"]
    model = load_run(run.path).model
    assert isinstance(model, Classifier) and isinstance(model.network, ClassifierNetwork)
    readout = model.network.readout
    assert isinstance(readout, RandomForest) and readout.forest.importance.sum().item() == pytest.approx(1)
    images = torch.rand(4, 3, 64, 64)
    with torch.inference_mode():
        probabilities = torch.stack([one.probabilities for one in model.predict(images)])
        torch.testing.assert_close(probabilities, readout.forest(model.network.pooled(images)))
    assert main(["evaluate", str(run.path)]) == 0
    again = json.loads((run.path / "evaluate-val" / "metrics.json").read_text())
    assert again["accuracy"] == run.read_results()["metrics"]["accuracy"]


def test_a_run_that_is_killed_around_the_fit_ends_at_the_same_numbers(
    run: RunFolder, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it, while its result is written, and after it, one after the other."""

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    half = folder_of(place, "killed")
    for module, name in ((training, "finish"), (finishing, "write_checkpoint"), (training, "_measure")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, killed)
            with pytest.raises(AssertionError):
                train(place, "killed")
        assert half.read_status()["state"] == "killed" and not half.read_results()
    assert numbers(train(place, "killed")) == numbers(run)
    one, other = (read_checkpoint(folder.checkpoints / BEST)["ema"]["weights"] for folder in (run, half))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_package_needs_neither_the_run_nor_scikit_learn(
    run: RunFolder, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = sorted((place / "data" / "val").rglob("*.png"))
    expected = [result.probabilities for result in lightdet.load(run.path)(images)]
    assert main(["export", str(run.path), "--out", str(place / "package"), "--licence", "ours"]) == 0
    without_sklearn(monkeypatch)
    found = [result.probabilities for result in lightdet.load(place / "package")(images)]
    assert found == expected


def without_sklearn(monkeypatch: pytest.MonkeyPatch) -> None:
    real = util.find_spec
    monkeypatch.setattr("lightdet.readout.contract.find_spec", lambda name: None if name == "sklearn" else real(name))
    monkeypatch.setitem(__import__("sys").modules, "sklearn.ensemble", None)


def test_a_missing_extra_is_told_before_the_training(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_sklearn(monkeypatch)
    with pytest.raises(AssertionError):
        train(place, "without")
    assert "pip install 'lightdet[forest]'" in capsys.readouterr().err
    assert not (folder_of(place, "without").checkpoints / LAST).exists()


def test_untrained_features_are_an_ordinary_run(place: Path) -> None:
    run = train(place, "untrained", "trainer.max_epochs=0", "pooling=statistics")
    results = run.read_results()
    assert results["epochs"] == 0 and results["metrics"]["accuracy"] > 0.5
    header, row = (line.split(",") for line in run.metrics_csv.read_text().splitlines())
    logged = dict(zip(header, row, strict=True))
    assert logged["epoch"] == "0" and float(logged["val/accuracy"]) == pytest.approx(results["metrics"]["accuracy"])
    assert run.read_status()["state"] == "done" and (run.path / "confusion.png").is_file()
    loaded = load_run(run.path).model
    assert isinstance(loaded, Classifier) and isinstance(loaded.network, ClassifierNetwork)
    assert loaded.network.pooled(torch.rand(2, 3, 64, 64)).shape == (2, 2 * (8 + 8 + 16))
    assert main(["report", str(run.path.parents[1])]) == 0


def test_a_forest_has_no_gradient_to_explain_it_by(run: RunFolder) -> None:
    model, images = load_run(run.path).model, torch.rand(1, 3, 64, 64)
    with pytest.raises(LightdetError, match="--method rise"):
        model.evidence(images, Subject(0, 0.5))
    assert 0 <= model.support(model.predict(images)[0], Subject(0, 0.5)) <= 1


def test_the_features_of_another_run_get_a_readout(run: RunFolder, place: Path) -> None:
    """The readout that came with them is forgotten, or a further training would be validated with it."""
    taken = train(place, "taken", "trainer.max_epochs=0", f"weights={run.path}")
    assert numbers(taken)["metrics"]["accuracy"] == numbers(run)["metrics"]["accuracy"]
    model = load_run(run.path).model
    assert isinstance(model.network, ClassifierNetwork) and model.network.readout is not None
    model.prepare(TrainingStats(torch.zeros(0, 2), torch.tensor([15, 15, 15])))
    assert not model.network.readout.fitted
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model.network(images), model.network.linear(model.network.pooled(images)))
    with pytest.raises(LightdetError, match="all training images are of one class"):
        model.prepare(TrainingStats(torch.zeros(0, 2), torch.tensor([0, 15, 0])))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["model=light_classifier", "trainer.max_epochs=0"],
            "give a whole number, 1 or more; 0 is for a readout alone",
        ),
        ([*FOREST, "trainer.max_epochs=0", "trainer.devices=2"], "so trainer.devices changes nothing"),
        ([*FOREST, "model.decision=cheapest"], "model.decision=cheapest would favour them twice"),
        ([*FOREST, "labels=several"], "labels=several: a readout gives an image one class"),
        (["model=object_attention", "pooling=statistics"], "must be bilinear, and of the last map alone"),
    ],
)
def test_what_cannot_be_fitted_is_refused(
    words: list[str], said: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["data=folder", f"data.reader.root={place}/data", f"runs_dir={place}/refused", "logger=none"]
    assert main(["train", *words, *common]) != 0
    assert said in capsys.readouterr().err


def test_the_statistics_of_a_map_by_hand() -> None:
    network = build_model(composed("model=light_classifier", "pooling=statistics"), 3).network
    assert isinstance(network, ClassifierNetwork)
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        maps = network.eval().backbone(images)
        wanted = [f(one.flatten(2)) for one in maps for f in (lambda x: x.mean(2), lambda x: x.std(2, correction=0))]
        torch.testing.assert_close(network.pooled(images), torch.cat(wanted, dim=1), atol=2e-6, rtol=1e-4)


def test_a_run_from_before_the_readouts_is_the_same_training() -> None:
    now = composed("model=light_classifier")
    before = now.copy()
    OmegaConf.set_struct(before, False)
    for setting in ("readout", "pooling", "every_map"):
        del before.model.network[setting]
    assert fingerprint(now) == fingerprint(before)
    assert fingerprint(composed("model=light_classifier", "readout=forest")) != fingerprint(now)
