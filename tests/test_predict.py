"""Images in, boxes in original px out, whatever the folder looks like."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from torch import Tensor

import lightdet.engine.predictor
from lightdet.cli.main import main
from lightdet.core.errors import LightdetError
from lightdet.core.types import Detections
from lightdet.engine.image_files import find_images
from lightdet.engine.jobs import file_jobs
from lightdet.engine.load import best_threshold
from lightdet.engine.predict import predict
from lightdet.engine.predictor import DEFAULT_THRESHOLD, Predictor, load_predictor
from lightdet.engine.summary import Summary
from lightdet.model.decode import select
from lightdet.runs.promise import Promise

CLASSES = ("dent", "scratch")
# An image of 100 x 50 px in an input of 64 px: scale 0.64, 32 px high, 16 px of padding above.
BOX_INPUT = [6.4, 16 + 6.4, 38.4, 16 + 25.6]
BOX_ORIGINAL = [10.0, 10.0, 60.0, 40.0]


class Stub:
    """Stands in for a detector."""

    result = "lightdet.engine.detection_result:DetectionResult"

    def predict(self, images: Tensor) -> list[Detections]:
        return [Detections.none() for _ in images]


class Fixed(Stub):
    """Detects the same two boxes everywhere: a scratch with score 0.9 and a dent with 0.3."""

    def predict(self, images: Tensor) -> list[Detections]:
        assert images.shape[1:] == (3, 64, 64)
        assert images.dtype == torch.float32
        assert 0 <= images.min() <= images.max() <= 1
        boxes = torch.tensor([BOX_INPUT, [0.0, 16.0, 64.0, 48.0]])
        return [Detections(boxes, torch.tensor([0.9, 0.3]), torch.tensor([1, 0])) for _ in images]


@dataclass
class Loaded:
    model: Stub
    classes: tuple[str, ...]
    image_size: int
    config: Any = field(default_factory=lambda: OmegaConf.create({"data": {"bits": 12}}))
    threshold: float | None = None
    promise: Promise | None = None


def save(path: Path, height: int = 50, width: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, 3), 128, dtype=np.uint8)).save(path)
    return path


def run(source: Path | str, out: Path, threshold: float = 0.5) -> Summary:
    return predict_with(Fixed(), source, out, threshold)


def predict_with(model: Stub, source: Path | str, out: Path, threshold: float, overlap: float = 0.5) -> Summary:
    predictor = Predictor(model, CLASSES, 64, threshold, overlap)  # type: ignore[arg-type]
    return predict(predictor, file_jobs(*find_images([str(source)], out)), out)


def test_boxes_come_back_to_the_image(tmp_path: Path) -> None:
    run(save(tmp_path / "a.png"), tmp_path / "out")
    written = json.loads((tmp_path / "out/predictions.json").read_text())
    (image,) = written["images"]
    assert (image["height"], image["width"]) == (50, 100)
    (box,) = image["boxes"]
    assert box["class"] == "scratch"
    assert box["score"] == pytest.approx(0.9, abs=1e-4)
    assert box["box_xyxy"] == pytest.approx(BOX_ORIGINAL, abs=0.01)


def test_one_place_gets_one_box_unless_every_box_is_wanted(tmp_path: Path) -> None:
    class Twice(Stub):
        def predict(self, images: Tensor) -> list[Detections]:
            boxes = torch.tensor([[10.0, 20, 30, 40], [10, 20, 30, 38], [31, 20, 50, 40]])  # IoU .9, 0
            return [Detections(boxes, torch.tensor([0.9, 0.8, 0.7]), torch.tensor([0, 1, 1])) for _ in images]

    source = save(tmp_path / "a.png")
    for overlap, scores in ((0.5, [0.9, 0.7]), (0.95, [0.9, 0.8, 0.7])):
        summary = predict_with(Twice(), source, tmp_path / "out", 0.5, overlap)
        assert [box["score"] for box in summary.entries[0]["boxes"]] == pytest.approx(scores, abs=1e-4)


def test_a_box_in_the_grey_border_alone_is_no_finding(tmp_path: Path) -> None:
    """As in an evaluation. It would else be a line at the image's edge, a box without area."""

    class Bordering(Stub):
        def predict(self, images: Tensor) -> list[Detections]:
            boxes = torch.tensor([[5.0, 2, 30, 14], BOX_INPUT, [5, 50, 30, 62]])  # above, in and below the image
            return [Detections(boxes, torch.tensor([0.9, 0.8, 0.7]), torch.tensor([0, 1, 0])) for _ in images]

    summary = predict_with(Bordering(), save(tmp_path / "a.png"), tmp_path / "out", 0.5)
    assert [box["box_xyxy"] for box in summary.entries[0]["boxes"]] == [pytest.approx(BOX_ORIGINAL, abs=0.01)]


def test_a_detector_that_answers_nan_has_not_found_nothing(tmp_path: Path) -> None:
    class Broken(Stub):
        def predict(self, images: Tensor) -> list[Detections]:
            boxes, scores = torch.tensor([[BOX_INPUT] * 2]), torch.tensor([[[0.9, 0.1], [float("nan"), 0.2]]])
            return select(boxes, scores, 0.001, 0.6, 100, (64, 64))

    summary = predict_with(Broken(), save(tmp_path / "a.png"), tmp_path / "out", 0.5)
    assert summary.entries == [] and len(summary.skipped) == 1
    assert "a.png: the detector gave a box or score that is NaN" in str(summary.skipped[0])


def test_coco_results_say_the_same(tmp_path: Path) -> None:
    run(save(tmp_path / "a.png"), tmp_path / "out", threshold=0.1)
    scratch, dent = json.loads((tmp_path / "out/predictions.coco.json").read_text())
    assert scratch["bbox"] == pytest.approx([10, 10, 50, 30], abs=0.01)
    assert (scratch["image_id"], scratch["category_id"]) == (1, 2)
    assert dent["bbox"] == pytest.approx([0, 0, 100, 50], abs=0.01)
    categories = json.loads((tmp_path / "out/predictions.json").read_text())["categories"]
    assert {each["id"]: each["name"] for each in categories} == {1: "dent", 2: "scratch"}


def test_coco_results_are_read_by_the_reference_tool(tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    run(save(tmp_path / "a.png"), tmp_path / "out", threshold=0.1)
    written = json.loads((tmp_path / "out/predictions.json").read_text())
    ground_truth = coco.COCO()
    ground_truth.dataset = {
        "images": written["images"],
        "categories": written["categories"],
        "annotations": [],
        "info": {},
    }
    ground_truth.createIndex()
    assert len(ground_truth.loadRes(str(tmp_path / "out/predictions.coco.json")).anns) == 2


def test_pictures_are_drawn_on_copies(tmp_path: Path) -> None:
    image = save(tmp_path / "in/deep/a.bmp")
    before = image.read_bytes()
    save(tmp_path / "in/b.png")
    run(tmp_path / "in", tmp_path / "out")
    assert image.read_bytes() == before
    drawn = np.asarray(Image.open(tmp_path / "out/pictures/deep/a.bmp.png"))
    assert drawn.shape[1] == 2 * drawn.shape[0] >= 100, "small images are enlarged, none is bent"
    assert (drawn != 128).any()
    assert (tmp_path / "out/pictures/b.png").exists()


def test_a_broken_image_is_named_and_the_others_are_done(tmp_path: Path) -> None:
    save(tmp_path / "in/a.png")
    (tmp_path / "in/b.png").write_bytes(b"\x89PNG\r\n")
    (tmp_path / "in/c.jpg").write_bytes(b"")
    save(tmp_path / "in/d.png")
    summary = run(tmp_path / "in", tmp_path / "out")
    assert [Path(image["file"]).name for image in summary.entries] == ["a.png", "d.png"]
    assert [Path(each.file).name for each in summary.skipped] == ["b.png", "c.jpg"]
    assert all("\n" not in str(each) for each in summary.skipped)
    written = json.loads((tmp_path / "out/predictions.json").read_text())["skipped"]
    assert [each["reason"][:24] for each in written] == ["not a readable image; co", "the file is empty (0 byt"]


def test_files_folders_and_globs_name_each_image_once(tmp_path: Path) -> None:
    first, second = save(tmp_path / "in/x/a.png"), save(tmp_path / "in/y/a.png")
    (tmp_path / "in/x/a.txt").write_text("a label")
    out = tmp_path / "out"
    for sources in ([tmp_path / "in"], [first, second], [tmp_path / "in/*/*"], [tmp_path / "in", first]):
        files, _ = find_images([str(source) for source in sources], out)
        assert [image.name for image in files] == ["x/a.png", "y/a.png"]


def test_results_of_an_earlier_call_are_not_images(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    out = tmp_path / "predictions"
    run(tmp_path, out)
    assert [image.name for image in find_images([str(tmp_path)], out)[0]] == ["a.png"]


@pytest.mark.parametrize("out", ["", "images"], ids=["the folder above", "the folder of the images"])
def test_results_may_lie_above_the_images_or_beside_them(tmp_path: Path, out: str) -> None:
    save(tmp_path / "images/a.png")
    for _ in range(2):
        assert len(run(tmp_path / "images", tmp_path / out).entries) == 1
    assert (tmp_path / out / "pictures/a.png").exists()


def test_images_where_the_pictures_go_are_not_drawn_over(tmp_path: Path) -> None:
    image = save(tmp_path / "pictures/a.png")
    before = image.read_bytes()
    with pytest.raises(LightdetError, match="--out"):
        run(image, tmp_path)
    assert image.read_bytes() == before


@pytest.mark.parametrize("source", ["nowhere.png", "*.png", "empty"])
def test_nothing_to_look_at_is_an_error(tmp_path: Path, source: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(LightdetError, match="no image there"):
        find_images([str(tmp_path / source)], tmp_path / "out")


def test_speed_is_printed_per_step_with_the_threads(tmp_path: Path) -> None:
    summary = run(save(tmp_path / "a.png"), tmp_path / "out")
    facts = summary.as_json()
    assert list(facts["median_ms"]) == ["read", "letterbox", "detect", "draw"]
    assert all(ms >= 0 for ms in facts["median_ms"].values())
    assert f"torch with {torch.get_num_threads()} thread" in summary.as_text()
    assert "model " in summary.as_text()


@pytest.mark.parametrize(
    ("results", "threshold"),
    [
        ({"metrics": {"operating_point": {"threshold": 0.0}}}, 0.0),
        ({"metrics": {"operating_point": {"threshold": None}}}, DEFAULT_THRESHOLD),
        ({}, DEFAULT_THRESHOLD),
    ],
)
def test_threshold_is_the_one_the_run_found_best(
    results: dict[str, Any], threshold: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = Loaded(Stub(), CLASSES, 64, threshold=best_threshold(results))
    monkeypatch.setattr(lightdet.engine.predictor, "load_run", lambda *_, **__: loaded)
    monkeypatch.setattr(lightdet.engine.predictor, "folded", lambda detector, _: detector)
    assert load_predictor(Path("run")).threshold == threshold


def test_images_are_read_with_the_bits_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Looks(Stub):
        seen: ClassVar[list[float]] = []

        def predict(self, images: Tensor) -> list[Detections]:
            self.seen.append(float(images[..., 16:48, :].mean()))
            return [Detections.none() for _ in images]

    monkeypatch.setattr(lightdet.engine.predictor, "load_run", lambda *_, **__: Loaded(Looks(), CLASSES, 64))
    monkeypatch.setattr(lightdet.engine.predictor, "folded", lambda detector, _: detector)
    for name, brightest in (("a.png", 4000), ("b.png", 4096)):
        values = np.full((50, 100), 2000, dtype=np.uint16)
        values[3, 3] = brightest
        Image.fromarray(values).save(tmp_path / name)
    files, _ = find_images([str(tmp_path)], tmp_path / "out")
    predict(load_predictor(tmp_path, threshold=0.5), file_jobs(files), tmp_path / "out")
    assert Looks.seen[1:] == pytest.approx([2000 / 4095] * 2, abs=0.01)  # the first call is not an image


def test_command_exits_1_for_a_broken_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lightdet.engine.predictor, "load_run", lambda *_, **__: Loaded(Fixed(), CLASSES, 64))
    monkeypatch.setattr(lightdet.engine.predictor, "folded", lambda detector, _: detector)
    (tmp_path / "config.yaml").touch()
    save(tmp_path / "in/a.png")
    words = ["predict", str(tmp_path), str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["boxes"] == {"scratch": 1, "dent": 1}
    (tmp_path / "in/b.png").write_bytes(b"")
    assert main(words) == 1
    assert "b.png" in capsys.readouterr().err
