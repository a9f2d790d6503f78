"""`lightdet explain RUN --measure`: which predictions count, and what the files say."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from test_cam import classifier

import lightdet.explain.measure_run as module
from lightdet.cli.main import main
from lightdet.core.annotation import Boxes, ClassLabel
from lightdet.core.errors import LightdetError
from lightdet.core.types import Classification, Detections
from lightdet.data.record import Record
from lightdet.engine.predictor import Predictor
from lightdet.explain.cases import Cases, cases_of, spread
from lightdet.explain.compare import BETTER, FEW, OPEN, WORSE
from lightdet.explain.methods import build_methods
from lightdet.model.contract import Model

CLASSES = ("bar", "disc", "good", "hole")
TRIVIAL = ["image_centre", "box_centre", "edges"]


class Fixed(torch.nn.Module):
    """Gives what it is made with; the network only says how many channels there are."""

    def __init__(self, prediction: Any, result: str) -> None:
        super().__init__()
        self.network = torch.nn.Conv2d(3, 1, 1)
        self.prediction = prediction
        self.result = f"lightdet.engine.{result}"
        self.costs, self.decision = None, "probable"

    def predict(self, images: torch.Tensor) -> list[Any]:
        return [self.prediction]

    def __getattr__(self, name: str) -> Any:
        return classifier().__getattribute__(name) if name in ("rule", "good") else super().__getattr__(name)


def record_of(folder: Path, annotation: Any, name: str = "a", size: tuple[int, int] = (60, 120)) -> Record:
    pixels = np.random.default_rng(len(name)).integers(0, 255, (*size, 3), np.uint8)
    path = folder / f"{name}.png"
    Image.fromarray(pixels).save(path)
    return Record(path.name, path, annotation)


def found(model: Any, record: Record) -> Cases:
    cases = Cases()
    cases_of(Predictor(model, CLASSES, 64, threshold=0.3), record, cases)
    return cases


def test_a_detection_counts_with_the_box_that_it_matches(tmp_path: Path) -> None:
    """Original px 120 x 60 are input px 64 x 32, with 16 px of grey above."""
    truth = np.array([[0, 0, 30, 30], [60, 0, 120, 60]], np.float32)
    record = record_of(tmp_path, Boxes(truth, np.array([0, 1])))
    scale = 64 / 120
    boxes = torch.tensor([[60.0, 0, 120, 60], [0, 0, 30, 30], [30, 30, 50, 50]]) * scale
    boxes[:, 1::2] += 16
    model = Fixed(
        Detections(boxes, torch.tensor([0.9, 0.8, 0.7]), torch.tensor([1, 1, 0])), "detection_result:DetectionResult"
    )
    cases = found(model, record)
    (case,) = cases.cases
    assert case.subject.label == 1 and case.subject.score == pytest.approx(0.9)
    np.testing.assert_allclose(case.boxes_xyxy, truth[1:] * scale, atol=1e-4)
    assert case.region == (slice(16, 48), slice(0, 64))
    assert dict(cases.wrong) == {"disc": 1, "bar": 1}, "a wrong class, and a false alarm"


@pytest.mark.parametrize(("label", "right"), [(1, True), (0, False)])
def test_a_class_counts_where_it_is_the_right_one_with_its_boxes(label: int, right: bool, tmp_path: Path) -> None:
    truth = np.array([[0, 0, 30, 30], [60, 0, 120, 60]], np.float32)
    record = record_of(tmp_path, ClassLabel(label, Boxes(truth, np.array([0, 1]))))
    model = Fixed(Classification(torch.tensor([0.1, 0.7, 0.1, 0.1])), "classification_result:ClassificationResult")
    cases = found(model, record)
    assert len(cases.cases) == right and cases.images == 1
    assert dict(cases.wrong) == ({} if right else {"disc": 1})
    if right:
        np.testing.assert_allclose(cases.cases[0].boxes_xyxy, truth[1:] * 64 / 120, atol=1e-4)


def test_images_are_taken_evenly() -> None:
    records: list[Any] = list(range(100))
    assert spread(records, 3) == [0, 50, 99] and spread(records, 200) == records


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a measurement of an untrained classifier on images whose class is what it decides, but for one."""
    model: Model = classifier()
    predictor = Predictor(model, CLASSES, 64)
    records = []
    for index in range(4):
        record = record_of(tmp_path, None, f"image{index}{'x' * index}")
        label = predictor(record.path)[0].label if index else 3
        boxes = Boxes(np.array([[20, 10, 60, 50]], np.float32), np.array([label]))
        records.append(Record(record.image_id, record.path, ClassLabel(label, boxes)))
    loaded = SimpleNamespace(
        model=model, classes=CLASSES, image_size=64, threshold=None, config=OmegaConf.create({"data": {}})
    )
    monkeypatch.setattr(module, "load_run", lambda *_: loaded)
    monkeypatch.setattr(module, "_split", lambda *_: records)
    methods = build_methods(["layer_cam", "bi_cam", *TRIVIAL])
    module.measure_run(tmp_path / "run", tmp_path / "out", methods, checked=2)
    return tmp_path / "out"


def test_what_a_measurement_leaves(measured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = json.loads((measured / "explain.json").read_text())
    assert facts["images"] == 4 and facts["cases"] == 3 and sum(facts["wrong"].values()) == 1
    assert set(facts["methods"]) == {"layer_cam", "image_centre", "edges"}
    assert set(facts["left_out"]) == {"bi_cam", "box_centre"}
    ours, centre = facts["methods"]["layer_cam"], facts["methods"]["image_centre"]
    assert ours["scores"]["pointing"]["against"] in ("image_centre", "edges")
    assert ours["scores"]["deletion"]["verdict"] in (BETTER, WORSE, OPEN, FEW)
    assert centre["trivial"] and centre["scores"]["energy"]["mean"] > 1
    assert centre["checks"]["sanity_all"] == pytest.approx(1), "it never looked at a weight"
    assert centre["checks"]["stability"] == pytest.approx(1)
    assert ours["checks"]["sanity_all"] < 0.99
    rows = list(csv.DictReader((measured / "table.csv").open()))
    (row,) = [
        each for each in rows if each["method"] == "layer_cam" and each["score"] == "energy" and not each["class"]
    ]
    assert float(row["mean"]) == pytest.approx(ours["scores"]["energy"]["mean"])
    assert {each["class"] for each in rows} == {"", *facts["classes"]}
    text = (measured / "table.md").read_text()
    assert "beats the trivial maps in" in text and "a trivial map" in text and "## Classes" in text
    assert "3 right predictions in 4 images of 'val'; 1 wrong one is not explained" in capsys.readouterr().out + text


def test_a_folder_of_others_is_not_overwritten(measured: Path, tmp_path: Path) -> None:
    methods = build_methods(["layer_cam", *TRIVIAL])
    module.measure_run(tmp_path / "run", measured, methods, images=2, checked=0)  # its own
    (measured / "explain.json").write_text("{}")
    with pytest.raises(LightdetError, match="not made by `lightdet explain --measure`"):
        module.measure_run(tmp_path / "run", measured, methods)


def test_only_trivial_maps_are_no_measurement(measured: Path, tmp_path: Path) -> None:
    with pytest.raises(LightdetError, match="none of the methods can explain this model"):
        module.measure_run(tmp_path / "run", measured, build_methods(["bi_cam", *TRIVIAL]))


def test_a_run_without_right_predictions_is_one_line(
    made: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(made.folder)
    assert main(["explain", "base", "--measure", "--threshold", "0.9"]) == 2
    assert "none of 4 images in 'val' has a right prediction to explain" in capsys.readouterr().err
    assert main(["explain", "base", "--measure", "splat=val"]) == 2
    assert "splat: choose one of split" in capsys.readouterr().err
