"""Several classes of an image: composed by one word, learned from boxes, and used from a folder to a package."""

import contextlib
import io
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.errors import InstantiationException
from PIL import Image

import lightdet
from lightdet.cli.main import main
from lightdet.config import moved
from lightdet.config.compose import compose_config
from lightdet.core.annotation import Boxes, ClassLabel, LabelSet
from lightdet.core.errors import LightdetError, underneath
from lightdet.core.types import Letterbox, Target, TrainingStats
from lightdet.data.class_order import InOrder
from lightdet.data.image_labels import with_image_labels
from lightdet.data.record import Record, require_kind
from lightdet.engine.load import build_model
from lightdet.loss.binary_cross_entropy import BinaryCrossEntropy
from lightdet.loss.class_weights.inverse_frequency import InverseFrequency
from lightdet.model.multi_label_classifier import MultiLabelClassifier
from lightdet.runs.fingerprint import fingerprint
from lightdet.runtime import load

CLASSES = ("bar", "disc")
PLACED = Letterbox(1.0, 1.0, 0.0, 0.0, 8, 8)


def test_one_word_changes_every_classifier_and_no_run_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moved, "CHANGED", {})
    known = {
        "model=light_classifier": "23110852d48909da-s0",
        "model=cs_resnet": "af46c73e4acdd060-s0",
        "model=mobilenetv2 attention=cbam data.label=first model.costs={a:10}": "03c691284990e332-s0",
    }
    for words, before in known.items():
        assert fingerprint(compose_config(words.split())) == before, "made before there was a choice"
        if "costs" not in words:
            several = compose_config([*words.split(), "labels=several"])
            assert several.data.label == "all" and fingerprint(several) != before
    built = build_model(compose_config(["model=cs_resnet", "labels=several"]), 3)
    assert isinstance(built, MultiLabelClassifier) and isinstance(built.criterion.weigh_classes, InverseFrequency)


def test_a_model_of_one_class_says_so() -> None:
    with pytest.raises(InstantiationException) as refused:
        build_model(compose_config(["model=object_attention", "labels=several"]), 3)
    assert "labels=several: this model gives an image one class" in str(underneath(refused.value))


@pytest.mark.parametrize("words", ["model.costs={dent:10}", "model.decision=cheapest"])
def test_costs_belong_to_one_class(words: str) -> None:
    with pytest.raises(LightdetError, match="only classifiers of one class for an image have it, labels=one"):
        compose_config(["model=light_classifier", "labels=several", words])


def test_the_loss_by_hand() -> None:
    logits, shown = torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 0.0]])
    yes, no, even = math.log(1 + math.exp(-2)), math.log(1 + math.exp(2)), math.log(2)
    assert BinaryCrossEntropy(0.0)(logits, shown).item() == pytest.approx((yes + even) / 2)
    assert BinaryCrossEntropy(0.1)(logits, shown).item() == pytest.approx((0.95 * yes + 0.05 * no + even) / 2)
    weighted = BinaryCrossEntropy(0.0, InverseFrequency())
    said = weighted.prepare(TrainingStats(torch.zeros(0, 2), torch.tensor([10, 30]), CLASSES), logits)
    assert said == "class weights 1.50, 0.50"
    assert weighted(logits, shown).item() == pytest.approx((1.5 * yes + even) / 2), "a no has no weight"


def test_each_class_of_an_image_pulls_its_logit() -> None:
    model = build_model(compose_config(["model=light_classifier", "labels=several"]), 3).train()
    linear = torch.nn.Linear(3, 3)
    torch.nn.init.zeros_(linear.weight), torch.nn.init.zeros_(linear.bias)
    model.network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), linear)
    target = Target(torch.zeros(0, 4), torch.zeros(0), "a", PLACED, label_set=(0, 2))
    good = Target(torch.zeros(0, 4), torch.zeros(0), "b", PLACED, label_set=())
    model.losses(torch.rand(1, 3, 8, 8), [target])["class"].backward()
    assert linear.bias.grad is not None and (linear.bias.grad.sign() == torch.tensor([-1, 1, -1])).all()
    linear.bias.grad = None
    model.losses(torch.rand(1, 3, 8, 8), [good])["class"].backward()
    assert (linear.bias.grad > 0).all()
    (found,) = model.predict(torch.rand(1, 3, 8, 8))
    assert found.probabilities.tolist() == [0.5, 0.5, 0.5], "no class excludes another"


def boxed(name: str, *labels: int) -> Record:
    corners = np.tile(np.array([0, 0, 5, 5], np.float32), (len(labels), 1))
    return Record(name, Path(name), Boxes(corners, np.array(labels, np.int64)))


def test_an_image_has_the_classes_of_its_boxes() -> None:
    splits = {"train": [boxed("a", 2, 0, 2), boxed("b", 1)], "val": [boxed("c")]}
    labelled, names = with_image_labels(splits, ("x", "y", "z"), "all")
    assert names == ("x", "y", "z"), "an image without a box has no class, which is none by itself"
    assert [record.annotation for split in labelled.values() for record in split] == [
        *(LabelSet((0, 2)), LabelSet((1,)), LabelSet(())),
    ]
    assert labelled["train"][0].boxes_xyxy.shape == (3, 4) and labelled["train"][0].labels.tolist() == [0, 2]


def test_good_is_no_class_among_several() -> None:
    one = Record("a", Path("a"), ClassLabel(0)), Record("b", Path("b"), ClassLabel(2))
    labelled, names = with_image_labels({"train": one}, ("x", "good", "z"), "all")
    assert names == ("x", "z") and [record.annotation for record in labelled["train"]] == [
        LabelSet((0,)),
        LabelSet((1,)),
    ]
    good, _ = with_image_labels({"train": [Record("a", Path("a"), ClassLabel(1))]}, ("x", "good", "z"), "all")
    assert good["train"][0].annotation == LabelSet(())
    both = Record("a.png", Path("a.png"), LabelSet((0, 1)))
    with pytest.raises(LightdetError, match=r"a\.png: labelled 'good' and x; correct one of them"):
        with_image_labels({"train": [both]}, ("x", "good", "z"), "all")


def test_a_set_is_no_single_class() -> None:
    both = Record("a.png", Path("a.png"), LabelSet((0, 1)))
    with pytest.raises(LightdetError, match=r"a\.png has 2 classes and no boxes to choose by; take labels=several"):
        with_image_labels({"train": [both]}, ("x", "y"), "largest")
    single, _ = with_image_labels({"train": [Record("b", Path("b"), LabelSet((1,)))]}, ("x", "y"), "largest")
    assert single["train"][0].annotation == ClassLabel(1)
    with pytest.raises(LightdetError, match=r"set of labels, and this model needs class label; set data\.label=first"):
        require_kind({"train": [both]}, ClassLabel)


def test_another_order_of_the_classes() -> None:
    class Reader:
        classes = ("x", "y", "z")

        def read(self) -> dict[str, list[Record]]:
            return {"val": [Record("a", Path("a"), LabelSet((0, 1)))]}

    assert InOrder(Reader(), ("z", "y", "x")).read()["val"][0].annotation == LabelSet((1, 2))


def paint(root: Path) -> None:
    """Eighty grey noise images: a quarter with a bright bar, one with a dark disc, one with both, one with neither; as
    YOLO files."""
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:48, :48]
    for number in range(80):
        pixels, lines = 128 + generator.normal(0, 12, (48, 48)), []
        if number % 2:
            x = int(generator.integers(4, 44))
            pixels[:, x - 2 : x + 2] += 90
            lines.append(f"0 {x / 48} 0.5 {4 / 48} 1")
        if number // 2 % 2:
            x, y = generator.integers(10, 38, 2).tolist()
            pixels[(rows - y) ** 2 + (columns - x) ** 2 < 64] -= 90
            lines.append(f"1 {x / 48} {y / 48} {16 / 48} {16 / 48}")
        split = "val" if number >= 60 else "train"
        for kind, name in (("images", f"{number}.png"), ("labels", f"{number}.txt")):
            (root / kind / split).mkdir(parents=True, exist_ok=True)
            if kind == "labels":
                (root / kind / split / name).write_text("\n".join(lines))
            else:
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / kind / split / name)
    (root / "data.yaml").write_text(f"path: .\ntrain: images/train\nval: images/val\nnames: {list(CLASSES)}\n")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run on painted parts, and what its training printed."""
    folder = tmp_path_factory.mktemp("parts")
    paint(folder / "data")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = main(
            [
                *("train", "model=light_classifier", "labels=several", "image_size=64", "name=parts", "logger=none"),
                *("data=yolo", f"data.reader.root={folder}/data", "trainer.max_epochs=14", "data.batch_size=5"),
                *("optimizer.lr=0.004", "trainer.precision=32-true", "trainer.device=cpu", "trainer.progress=lines"),
                *("trainer.ema_decay=0.9", "trainer.monitor=val/exact_match", f"runs_dir={folder}"),
            ]
        )
    assert code == 0
    return folder / "single" / "parts" / "s0", printed.getvalue()


def truth(image: Path) -> set[str]:
    number = int(image.stem)
    return {name for name, there in zip(CLASSES, (number % 2, number // 2 % 2), strict=True) if there}


def test_it_learns_and_reports_its_scores(trained: tuple[Path, str]) -> None:
    run, printed = trained
    results = json.loads((run / "results.json").read_text())
    assert results["task"] == "multi_label_classification" and results["classes"] == list(CLASSES)
    metrics = results["metrics"]
    assert metrics["map"] >= 0.95 and metrics["exact_match"] >= 0.8 and metrics["images"] == 20
    assert metrics["operating_point"]["good_images"] == 5
    assert "20 images: mAP" in printed and "of 15 images with a class get no yes" in printed
    for name in ("reliability.png", "contributions.json", "pictures/overview.png"):
        assert (run / name).is_file(), name
    kept = json.loads((run / "probabilities.json").read_text())
    (both,) = (image for image in kept["images"] if image["id"].endswith("/63.png"))
    assert both["labels"] == [0, 1] and len(both["probabilities"]) == 2


def test_it_answers_from_python_from_the_prompt_and_as_a_package(trained: tuple[Path, str], tmp_path: Path) -> None:
    run, _ = trained
    images = sorted((run.parents[2] / "data" / "images" / "val").glob("*.png"))
    model = lightdet.load(run)
    found = model(images)
    assert sum(set(result.names) == truth(path) for result, path in zip(found, images, strict=True)) >= 16
    assert model.threshold == 0.5
    none = next(result for result, path in zip(found, images, strict=True) if not result.names)
    assert [subject.label for subject in none.subjects(1)] == [CLASSES.index(next(iter(none.probabilities)))]
    assert not none.decision().rejected and none.decision().sentence.startswith(
        "no class has a probability >= 0.50, as on the validation images; "
    )
    both = found[[path.stem for path in images].index("63")].decision()
    assert (
        both.rejected and both.name in both.sentence and both.sentence.endswith(" >= 0.50, as on the validation images")
    )
    assert "no class (" in repr(none) and none.to_dict()["classes"] == []
    model.threshold = 0.0
    assert set(model(images[0])[0].names) == set(CLASSES), "the threshold decides"
    assert main(["export", str(run), "--out", str(tmp_path / "package")]) == 0
    assert main(["predict", str(tmp_path / "package"), str(images[0].parent), "--out", str(tmp_path / "out")]) == 0
    said = json.loads((tmp_path / "out" / "predictions.json").read_text())
    entries: dict[str, dict[str, Any]] = {Path(entry["file"]).name: entry for entry in said["images"]}
    for result, path in zip(found, images, strict=True):
        assert entries[path.name]["classes"] == result.names


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_its_file_gives_the_same_classes(
    precision: str, trained: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    run, _ = trained
    data = run.parents[2] / "data"
    words = ["export", str(run), "--format", "onnx", "--precision", precision, "--out", str(tmp_path / "model.onnx")]
    assert main(words) == 0
    checks = json.loads((tmp_path / "model.onnx.verdict.json").read_text())["checks"]
    assert len(checks) == 5 and "classes" in checks[1]["found"]
    images = sorted((data / "images" / "val").glob("*.png"))
    of_run, of_file, again = lightdet.load(run)(images), load("model.onnx")(images), lightdet.load("model.onnx")(images)
    assert {name for result in of_run for name in result.names} == set(CLASSES)
    alike = 0.25 if precision == "int8" else 1e-4
    for one, other, third in zip(of_run, of_file, again, strict=True):
        assert other.probabilities == pytest.approx(one.probabilities, abs=alike)
        assert third.probabilities == pytest.approx(other.probabilities, abs=1e-5)
        if precision == "float32":
            assert other.names == one.names == third.names
            assert other.verdict.to_dict()["because"] == one.decision().sentence
    assert main(["evaluate", "model.onnx", "data=yolo", f"data.reader.root={data}", "data.label=all"]) == 0
    numbers = json.loads(Path("model.onnx-evaluate-val/metrics.json").read_text())
    expected = json.loads((run / "results.json").read_text())["metrics"]["map"]
    assert numbers["map"] == pytest.approx(expected, abs=0.01 if precision == "int8" else 1e-6)


def test_it_is_measured_again_and_reported(trained: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    run, _ = trained
    assert main(["evaluate", str(run), "threshold=0.9"]) == 0
    assert capsys.readouterr().out.startswith("class ")
    again = json.loads((run / "evaluate-val" / "metrics.json").read_text())
    assert again["map"] == json.loads((run / "results.json").read_text())["metrics"]["map"]
    assert again["operating_point"]["threshold"] == 0.9
    assert main(["report", str(run.parents[1])]) == 0
    page = (run.parents[1] / "report" / "report.md").read_text()
    assert "exact match" in page and "AP per class" in page


def test_other_data_with_its_classes_in_another_order_gives_the_same_numbers(
    trained: tuple[Path, str], tmp_path: Path
) -> None:
    run, _ = trained
    shutil.copytree(run.parents[2] / "data", tmp_path / "data")
    for path in (tmp_path / "data" / "labels" / "val").glob("*.txt"):
        lines = [f"{1 - int(line[0])}{line[1:]}" for line in path.read_text().splitlines()]
        path.write_text("\n".join(lines))
    (tmp_path / "data" / "data.yaml").write_text(
        f"path: .\ntrain: images/train\nval: images/val\nnames: {list(CLASSES[::-1])}\n"
    )
    words = ["data=yolo", f"data.reader.root={tmp_path}/data", f"out={tmp_path}/out"]
    assert main(["evaluate", str(run), *words]) == 0
    again = json.loads((tmp_path / "out" / "metrics.json").read_text())
    known = json.loads((run / "results.json").read_text())["metrics"]
    assert again["per_class"] == known["per_class"] and again["exact_match"] == known["exact_match"]
