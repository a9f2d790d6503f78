"""Photos in, boxes in photo pixels out, whatever the folder looks like."""

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

import lightdet.engine.predict
from lightdet.cli.main import main
from lightdet.core.errors import LightdetError
from lightdet.core.types import Detections
from lightdet.engine.predict import DEFAULT_THRESHOLD, Summary, find_photos, predict, predict_run, run_threshold
from lightdet.model.decode import select

CLASSES = ("dent", "scratch")
# A photo of 100 x 50 px in an input of 64 px: scale 0.64, 32 px high, 16 px of padding above.
BOX_INPUT = [6.4, 16 + 6.4, 38.4, 16 + 25.6]
BOX_PHOTO = [10.0, 10.0, 60.0, 40.0]


class Fixed:
    """Finds the same two boxes everywhere: a scratch with score 0.9 and a dent with 0.3."""

    def detect(self, images: Tensor) -> list[Detections]:
        assert images.shape[1:] == (3, 64, 64)
        assert images.dtype == torch.float32
        assert 0 <= images.min() <= images.max() <= 1
        boxes = torch.tensor([BOX_INPUT, [0.0, 16.0, 64.0, 48.0]])
        return [Detections(boxes, torch.tensor([0.9, 0.3]), torch.tensor([1, 0])) for _ in images]


@dataclass
class Loaded:
    detector: Fixed
    classes: tuple[str, ...]
    image_size: int
    config: Any = field(default_factory=lambda: OmegaConf.create({"data": {"bits": 12}}))


def save(path: Path, height: int = 50, width: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, 3), 128, dtype=np.uint8)).save(path)
    return path


def run(source: Path | str, out: Path, threshold: float = 0.5) -> Summary:
    return predict(Fixed(), CLASSES, 64, find_photos([str(source)], out), out, threshold)


def test_boxes_come_back_to_the_photo(tmp_path: Path) -> None:
    run(save(tmp_path / "a.png"), tmp_path / "out")
    written = json.loads((tmp_path / "out/predictions.json").read_text())
    (photo,) = written["images"]
    assert (photo["height"], photo["width"]) == (50, 100)
    (box,) = photo["boxes"]
    assert box["class"] == "scratch"
    assert box["score"] == pytest.approx(0.9, abs=1e-4)
    assert box["box_xyxy"] == pytest.approx(BOX_PHOTO, abs=0.01)


def test_one_place_gets_one_box_unless_all_are_asked_for(tmp_path: Path) -> None:
    class Twice:
        def detect(self, images: Tensor) -> list[Detections]:
            boxes = torch.tensor([[10.0, 20, 30, 40], [10, 20, 30, 38], [31, 20, 50, 40]])  # IoU .9, 0
            return [Detections(boxes, torch.tensor([0.9, 0.8, 0.7]), torch.tensor([0, 1, 1])) for _ in images]

    photos = find_photos([str(save(tmp_path / "a.png"))], tmp_path / "out")
    for overlap, scores in ((0.5, [0.9, 0.7]), (0.95, [0.9, 0.8, 0.7])):
        summary = predict(Twice(), CLASSES, 64, photos, tmp_path / "out", 0.5, overlap=overlap)
        assert [box["score"] for box in summary.found[0]["boxes"]] == pytest.approx(scores, abs=1e-4)


def test_a_box_in_the_grey_border_alone_is_no_finding(tmp_path: Path) -> None:
    """As in an evaluation. It would else be a line at the photo's edge, a finding without any area."""

    class Bordering:
        def detect(self, images: Tensor) -> list[Detections]:
            boxes = torch.tensor([[5.0, 2, 30, 14], BOX_INPUT, [5, 50, 30, 62]])  # above, in and below the photo
            return [Detections(boxes, torch.tensor([0.9, 0.8, 0.7]), torch.tensor([0, 1, 0])) for _ in images]

    photos = find_photos([str(save(tmp_path / "a.png"))], tmp_path / "out")
    summary = predict(Bordering(), CLASSES, 64, photos, tmp_path / "out", 0.5)
    assert [box["box_xyxy"] for box in summary.found[0]["boxes"]] == [pytest.approx(BOX_PHOTO, abs=0.01)]


def test_a_detector_that_answers_nan_has_not_found_nothing(tmp_path: Path) -> None:
    class Broken:
        def detect(self, images: Tensor) -> list[Detections]:
            boxes, scores = torch.tensor([[BOX_INPUT] * 2]), torch.tensor([[[0.9, 0.1], [float("nan"), 0.2]]])
            return select(boxes, scores, 0.001, 0.6, 100, (64, 64))

    photos = find_photos([str(save(tmp_path / "a.png"))], tmp_path / "out")
    summary = predict(Broken(), CLASSES, 64, photos, tmp_path / "out", 0.5)
    assert summary.found == [] and len(summary.broken) == 1
    assert "a.png: the detector gave a box or score that is NaN" in summary.broken[0]


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
    truth = coco.COCO()
    truth.dataset = {"images": written["images"], "categories": written["categories"], "annotations": [], "info": {}}
    truth.createIndex()
    assert len(truth.loadRes(str(tmp_path / "out/predictions.coco.json")).anns) == 2


def test_pictures_are_drawn_on_copies(tmp_path: Path) -> None:
    photo = save(tmp_path / "in/deep/a.bmp")
    before = photo.read_bytes()
    save(tmp_path / "in/b.png")
    run(tmp_path / "in", tmp_path / "out")
    assert photo.read_bytes() == before
    drawn = np.asarray(Image.open(tmp_path / "out/pictures/deep/a.bmp.png"))
    assert drawn.shape[1] == 2 * drawn.shape[0] >= 100, "small photos are enlarged, none is bent"
    assert (drawn != 128).any()
    assert (tmp_path / "out/pictures/b.png").exists()


def test_a_broken_photo_is_named_and_the_others_are_done(tmp_path: Path) -> None:
    save(tmp_path / "in/a.png")
    (tmp_path / "in/b.png").write_bytes(b"\x89PNG\r\n")
    (tmp_path / "in/c.jpg").write_bytes(b"")
    save(tmp_path / "in/d.png")
    summary = run(tmp_path / "in", tmp_path / "out")
    assert [Path(photo["file"]).name for photo in summary.found] == ["a.png", "d.png"]
    assert [Path(line.split(":")[0]).name for line in summary.broken] == ["b.png", "c.jpg"]
    assert all("\n" not in line for line in summary.broken)


def test_files_folders_and_globs_name_each_photo_once(tmp_path: Path) -> None:
    first, second = save(tmp_path / "in/x/a.png"), save(tmp_path / "in/y/a.png")
    (tmp_path / "in/x/a.txt").write_text("a label")
    out = tmp_path / "out"
    for sources in ([tmp_path / "in"], [first, second], [tmp_path / "in/*/*"], [tmp_path / "in", first]):
        found = find_photos([str(source) for source in sources], out)
        assert [photo.name for photo in found] == ["x/a.png", "y/a.png"]


def test_results_of_an_earlier_call_are_not_photos(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    out = tmp_path / "predictions"
    run(tmp_path, out)
    assert [photo.name for photo in find_photos([str(tmp_path)], out)] == ["a.png"]


@pytest.mark.parametrize("out", ["", "photos"], ids=["the folder above", "the photos' own folder"])
def test_results_may_lie_above_the_photos_or_beside_them(tmp_path: Path, out: str) -> None:
    save(tmp_path / "photos/a.png")
    for _ in range(2):
        assert len(run(tmp_path / "photos", tmp_path / out).found) == 1
    assert (tmp_path / out / "pictures/a.png").exists()


def test_photos_where_the_pictures_go_are_not_drawn_over(tmp_path: Path) -> None:
    photo = save(tmp_path / "pictures/a.png")
    before = photo.read_bytes()
    with pytest.raises(LightdetError, match="--out"):
        run(photo, tmp_path)
    assert photo.read_bytes() == before


@pytest.mark.parametrize("source", ["nowhere.png", "*.png", "empty"])
def test_nothing_to_look_at_is_an_error(tmp_path: Path, source: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(LightdetError, match="no photo there"):
        find_photos([str(tmp_path / source)], tmp_path / "out")


def test_speed_is_told_per_step_with_the_threads(tmp_path: Path) -> None:
    summary = run(save(tmp_path / "a.png"), tmp_path / "out")
    facts = summary.as_json()
    assert list(facts["median_ms"]) == ["read", "letterbox", "detect", "draw"]
    assert all(ms >= 0 for ms in facts["median_ms"].values())
    assert f"{torch.get_num_threads()} torch" in summary.as_text()
    assert "network and NMS" in summary.as_text()


def test_threshold_is_the_one_the_run_found_best() -> None:
    assert run_threshold({"metrics": {"operating_point": {"threshold": 0.0}}}) == 0.0
    assert run_threshold({"metrics": {"operating_point": {"threshold": None}}}) == DEFAULT_THRESHOLD
    assert run_threshold({}) == DEFAULT_THRESHOLD


def test_photos_are_read_with_the_bits_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Looks:
        seen: ClassVar[list[float]] = []

        def detect(self, images: Tensor) -> list[Detections]:
            self.seen.append(float(images[..., 16:48, :].mean()))
            return [Detections.none() for _ in images]

    monkeypatch.setattr(lightdet.engine.predict, "load_detector", lambda *_: Loaded(Looks(), CLASSES, 64))  # type: ignore[arg-type]
    monkeypatch.setattr(lightdet.engine.predict, "folded", lambda detector, _: detector)
    for name, brightest in (("a.png", 4000), ("b.png", 4096)):
        values = np.full((50, 100), 2000, dtype=np.uint16)
        values[3, 3] = brightest
        Image.fromarray(values).save(tmp_path / name)
    predict_run(tmp_path, find_photos([str(tmp_path)], tmp_path / "out"), tmp_path / "out", 0.5, "best", "cpu")
    assert Looks.seen[1:] == pytest.approx([2000 / 4095] * 2, abs=0.01)  # the first call is not a photo


def test_command_exits_1_for_a_broken_photo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lightdet.engine.predict, "load_detector", lambda *_: Loaded(Fixed(), CLASSES, 64))
    monkeypatch.setattr(lightdet.engine.predict, "folded", lambda detector, _: detector)
    save(tmp_path / "in/a.png")
    words = ["predict", str(tmp_path), str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["boxes"] == {"scratch": 1, "dent": 1}
    (tmp_path / "in/b.png").write_bytes(b"")
    assert main(words) == 1
    assert "b.png" in capsys.readouterr().err
