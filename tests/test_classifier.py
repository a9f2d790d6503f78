"""Classifiers as composed, trained, and used: from a folder of images to a decision."""

import contextlib
import io
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.errors import InstantiationException
from PIL import Image
from test_models import composed

import lightdet
from lightdet.cli.main import main
from lightdet.core.errors import underneath
from lightdet.core.types import TrainingStats
from lightdet.engine.load import build_model
from lightdet.loss.class_weights.inverse_frequency import InverseFrequency
from lightdet.loss.cross_entropy import CrossEntropy
from lightdet.model.classifier import Classifier

CLASSES = ("bar", "disc", "good")


def classifier(*words: str, num_classes: int = 6) -> Classifier:
    built = build_model(composed(*words), num_classes)
    assert isinstance(built, Classifier)
    return built


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ("light_classifier", 309_222),
        ("mobilenetv2", 2_231_558),  # 2,223,872 and the linear layer of 1,280 channels
        ("resnet50", 23_520_326),  # 23,508,032 and 2,048 channels
        ("efficientnet_b3", 10_705_454),  # 10,696,232 and 1,536 channels
    ],
)
def test_networks_are_the_published_ones(model: str, parameters: int) -> None:
    network = classifier(f"model={model}").network
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_logits_are_the_linear_layer_of_the_averaged_map() -> None:
    network = classifier("model=light_classifier", "attention=cbam").network.eval()
    images = torch.rand(2, 3, 48, 64)
    with torch.no_grad():
        features = network.attention(network.backbone(images)[-1])
        assert features.shape == (2, 128, 3, 4)
        by_hand = features.mean(dim=(2, 3)) @ network.linear.weight.T + network.linear.bias
        torch.testing.assert_close(network(images), by_hand)


@pytest.mark.parametrize("model", ["light_classifier", "can"])
@pytest.mark.parametrize("attention", ["cbam", "can", "eca", "se", "coord", "none"])
def test_each_attention_is_placed_in_front_of_the_pooling(attention: str, model: str) -> None:
    network = classifier(f"model={model}", f"attention={attention}").network
    assert getattr(network.attention, "faithful", model == "can") == (model == "can"), "as published in its own preset"
    assert isinstance(network.attention, torch.nn.Identity) == (attention == "none")
    assert network(torch.rand(2, 3, 32, 32)).shape == (2, 6)


def test_a_stage_computes_from_the_attended_map_of_the_one_before() -> None:
    words = (
        "backbone=attended",
        "backbone@model.network.backbone.inner=residual",
        "model.network.backbone.head=152-38",
    )
    model = classifier("model=light_classifier", *words, "attention@model.network.backbone=se").eval()
    assert model.notes()["attention"] == "Se behind the backbone on grid 152, Se behind the backbone on grid 38"
    backbone, images = model.network.backbone, torch.rand(2, 3, 64, 64)
    inner, attention = backbone.inner, backbone.attention
    with torch.no_grad():
        first = attention["152"](inner.blocks[0](inner.stem(images)))
        second = inner.blocks[1](first)
        last = attention["38"](inner.blocks[2](second))
        for found, expected in zip(backbone(images), (first, second, last), strict=True):
            torch.testing.assert_close(found, expected)


def test_cross_entropy_by_hand() -> None:
    logits, labels = torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1])
    first, second = math.log(1 + math.exp(-2)), math.log(2)
    assert CrossEntropy(0.0)(logits, labels).item() == pytest.approx((first + second) / 2)
    smooth = 0.9 * first + 0.1 * (first + second_of_first()) / 2
    assert CrossEntropy(0.1)(logits[:1], labels[:1]).item() == pytest.approx(smooth)
    weighted = CrossEntropy(0.0, InverseFrequency())
    said = weighted.prepare(TrainingStats(torch.zeros(0, 2), torch.tensor([30, 10])), logits)
    assert said == "class weights 0.50, 1.50"
    assert weighted(logits, labels).item() == pytest.approx((0.5 * first + 1.5 * second) / 2)


def second_of_first() -> float:
    """-log of the probability of the second class of the first row."""
    return math.log(1 + math.exp(-2)) + 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("model.adjust=balanced", "loss/class_weights=inverse_frequency"),
            "favour rare classes already and would twice",
        ),
        (("model.adjust=balanced", "model.decision=cheapest"), "adjusted outputs favour rare classes already"),
        (("model.adjust=equal",), "model.adjust=equal: one of none, balanced"),
        (("model.decision=best",), "model.decision=best: one of probable, cheapest"),
        (("attention=se", "head=76"), "head=76: a classifier has one attention"),
        (("model.criterion.smoothing=2",), "model.criterion.smoothing=2"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(InstantiationException) as refused:
        classifier("model=light_classifier", *words)
    assert said in str(underneath(refused.value))


def test_a_network_without_a_map_or_a_name_is_refused() -> None:
    for name in ("vit_tiny_patch16_224", "resnet_999"):
        with pytest.raises(InstantiationException) as refused:
            classifier("model=resnet50", f"model.network.backbone.name={name}")
        assert f"backbone.name={name}: " in str(underneath(refused.value))


def paint(root: Path) -> None:
    """Sixty grey noise images, a third of them with a bright bar, a third with a dark disc."""
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:48, :48]
    for number in range(60):
        name = CLASSES[number % 3]
        pixels = 128 + generator.normal(0, 12, (48, 48))
        x, y = generator.integers(12, 36, 2)
        if name == "bar":
            pixels[:, x - 2 : x + 2] += 90
        if name == "disc":
            pixels[(rows - y) ** 2 + (columns - x) ** 2 < 64] -= 90
        path = root / ("val" if number >= 45 else "train") / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run on painted parts, and what its training printed."""
    folder = tmp_path_factory.mktemp("parts")
    paint(folder / "data")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = main(
            [
                *("train", "model=light_classifier", "data=folder", f"data.reader.root={folder}/data", "image_size=64"),
                *("trainer.max_epochs=20", "data.batch_size=5", "optimizer.lr=0.004", "logger=none", "name=parts"),
                *("trainer.precision=32-true", "trainer.device=cpu", "trainer.progress=lines", f"runs_dir={folder}"),
                *("trainer.ema_decay=0.9", "model.costs={disc:10}"),
            ]
        )
    assert code == 0
    return folder / "single" / "parts" / "s0", printed.getvalue()


def test_it_learns_and_reports_its_scores(trained: tuple[Path, str]) -> None:
    run, printed = trained
    results = json.loads((run / "results.json").read_text())
    assert results["task"] == "classification" and results["classes"] == list(CLASSES)
    metrics = results["metrics"]
    assert metrics["accuracy"] >= 0.9 and metrics["images"] == 15
    assert metrics["inspection"]["good_images"] == 5 and metrics["inspection"]["defective_images"] == 10
    assert "15 images: accuracy" in printed and "defective images pass as good" in printed
    for name in (
        "confusion.png",
        "reliability.png",
        "probabilities.json",
        "contributions.json",
        "pictures/overview.png",
    ):
        assert (run / name).is_file(), name
    kept = json.loads((run / "probabilities.json").read_text())
    assert len(kept["images"]) == 15 and len(kept["images"][0]["probabilities"]) == 3


def test_it_decides_from_python_and_from_the_prompt(trained: tuple[Path, str], tmp_path: Path) -> None:
    run, _ = trained
    images = sorted((run.parents[2] / "data" / "val").rglob("*.png"))
    found = lightdet.load(run)(images)
    right = [result.name == path.parent.name for result, path in zip(found, images, strict=True)]
    assert sum(right) >= 13
    first = found[0]
    assert first.name in repr(first) and sum(first.probabilities.values()) == pytest.approx(1)
    assert first.cost == pytest.approx(cost_of(first.probabilities, first.name), abs=1e-6)
    assert main(["predict", str(run), str(images[0].parents[1]), "--out", str(tmp_path / "out")]) == 0
    said = json.loads((tmp_path / "out" / "predictions.json").read_text())
    entries: dict[str, dict[str, Any]] = {Path(entry["file"]).name: entry for entry in said["images"]}
    for result, path in zip(found, images, strict=True):
        assert entries[path.name]["class"] == result.name
        assert entries[path.name]["expected_cost"] == pytest.approx(result.cost, abs=1e-4)


def cost_of(probabilities: dict[str, float], decided: str) -> float:
    """Taking a disc for another class costs ten, every other mistake one."""
    return sum(value * (10 if name == "disc" else 1) for name, value in probabilities.items() if name != decided)


def test_it_is_measured_again_and_compared(trained: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    run, _ = trained
    assert main(["evaluate", str(run)]) == 0
    assert capsys.readouterr().out.startswith("class ")
    again = json.loads((run / "evaluate-val" / "metrics.json").read_text())
    assert again["accuracy"] == json.loads((run / "results.json").read_text())["metrics"]["accuracy"]
    assert main(["report", str(run.parents[1])]) == 0
    page = (run.parents[1] / "report" / "report.md").read_text()
    assert "accuracy" in page and "expected cost" in page


def test_costs_are_weighed_afterwards(trained: tuple[Path, str], tmp_path: Path) -> None:
    """A bar that is taken for another class costs so much that only a sure image is anything else."""
    run, _ = trained
    words = ("model.costs={bar:1000}", "model.decision=cheapest", f"out={tmp_path}/weighed")
    assert main(["evaluate", str(run), *words]) == 0
    found = json.loads((tmp_path / "weighed" / "metrics.json").read_text())
    kept = json.loads((run / "probabilities.json").read_text())["images"]
    costs = np.array([[0, 1000, 1000], [1, 0, 1], [1, 1, 0]])
    decided = [int((np.array(image["probabilities"]) @ costs).argmin()) for image in kept]
    expected = [costs[image["label"], label] for image, label in zip(kept, decided, strict=True)]
    assert found["expected_cost"] == pytest.approx(np.mean(expected))
    assert decided.count(0) > 5 and found["per_class"]["bar"]["recall"] == 1
    assert main(["evaluate", str(run), "model.costs={bat:1}", f"out={tmp_path}/none"]) == 2


def test_a_detector_asks_for_boxes(trained: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    folder = trained[0].parents[2]
    words = ["model=light", "data=folder", f"data.reader.root={folder}/data", f"runs_dir={folder}/other", "logger=none"]
    assert main(["train", *words]) == 2
    assert "this model is a detector, which needs boxes; give a classifier" in capsys.readouterr().err


def test_its_data_are_examined_and_its_time_is_measured(
    trained: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = trained[0].parents[2]
    assert main(["doctor", "data=folder", f"data.reader.root={folder}/data", f"runs_dir={tmp_path}"]) == 0
    assert re.search(r"disc +15 +5\b", capsys.readouterr().out), "images of a class are counted"
    assert main(["benchmark", str(trained[0]), "--backends", "eager", "channels-last", "--rounds", "2"]) == 0
    said = capsys.readouterr().out
    assert "gives other maps" not in said and "shape" not in said
