"""`lightdet explain` for images: what is explained, where the map lies, and what is written."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from test_cam import classifier, yolo
from torch import Tensor

from lightdet.cli.main import main
from lightdet.core.errors import LightdetError
from lightdet.core.types import Classification, Detections, Subject
from lightdet.draw.heat import over, scaled
from lightdet.engine.picture_files import is_drawn
from lightdet.engine.predictor import Predictor
from lightdet.explain.contract import Method
from lightdet.explain.explain import explain
from lightdet.explain.files import MADE_BY
from lightdet.explain.methods import build_methods
from lightdet.model.contract import Model
from lightdet.runtime.sources import Original

CLASSES = ("bar", "disc", "good", "hole")


class Bright(Method):
    """The sum of the channels."""

    def __call__(self, model: Model, images: Tensor, subject: Subject) -> np.ndarray:
        return images[0].sum(dim=0).numpy()


class Wrong(Method):
    def __call__(self, model: Model, images: Tensor, subject: Subject) -> np.ndarray:
        return np.full(images.shape[-2:], np.nan, np.float32)


def photo(height: int, width: int) -> np.ndarray:
    """Black, with one white square of 10 px whose left top corner is at x 70, y 20."""
    image = np.zeros((height, width, 3), np.uint8)
    image[20:30, 70:80] = 255
    return image


@pytest.mark.parametrize("size", [(60, 120), (120, 90)])
def test_a_map_lies_where_its_pixels_lie(size: tuple[int, int]) -> None:
    """Input px are 64 x 64, with grey above and below the first image and beside the second one."""
    predictor = Predictor(classifier(), CLASSES, 64)
    explained = explain(predictor, Original(None, None, photo(*size)), {"bright": Bright()})
    (one,) = explained.explanations
    assert one.heat.shape == size
    row, column = np.unravel_index(one.heat.argmax(), size)
    assert 20 <= row < 30 and 70 <= column < 80
    assert one.heat[0, 0] == pytest.approx(0, abs=0.05), "no grey border is left"


def test_a_classifier_explains_its_decision_and_its_second_guess() -> None:
    predictor = Predictor(classifier(), CLASSES, 64)
    explained = explain(predictor, Original(None, None, photo(64, 64)), build_methods(["layer_cam", "hires_cam"]), 2)
    assert [each.method for each in explained.explanations] == ["layer_cam", "hires_cam"] * 2
    names = [each.name for each in explained.explanations][::2]
    assert names == list(explained.result.probabilities)[:2]
    assert all(each.subject.box_xyxy is None and each.seconds > 0 for each in explained.explanations)


def test_a_detector_explains_its_best_boxes_in_input_px() -> None:
    predictor = Predictor(yolo(), CLASSES[:3], 64, threshold=0.0001, overlap=1.0)
    explained = explain(predictor, Original(None, None, photo(60, 120)), build_methods(["layer_cam"]), 2)
    assert len(explained.explanations) == 2
    for each, box in zip(explained.explanations, explained.result, strict=False):
        assert each.subject.score == pytest.approx(box.score)
        assert each.subject.box_xyxy is not None
        back = (np.array(each.subject.box_xyxy) - [0, 16, 0, 16]) * (120 / 64)  # 64 x 32 px between grey of 16 px
        np.testing.assert_allclose(back, box.xyxy, atol=1e-3)


def test_a_map_with_nan_is_refused() -> None:
    with pytest.raises(LightdetError, match="explain=wrong: a map with NaN"):
        explain(Predictor(classifier(), CLASSES, 64), Original(None, None, photo(64, 64)), {"wrong": Wrong()})


def test_support_of_a_class_is_its_probability_and_of_a_box_score_times_overlap() -> None:
    assert classifier().support(Classification(torch.tensor([0.1, 0.7, 0.2])), Subject(1, 0.9)) == pytest.approx(0.7)
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 20], [0, 0, 10, 10]])
    found = Detections(boxes, torch.tensor([0.5, 0.8, 0.9]), torch.tensor([1, 1, 0]))
    assert yolo().support(found, Subject(1, 0.5, (0.0, 0.0, 10.0, 10.0))) == pytest.approx(0.5)
    assert yolo().support(found, Subject(1, 0.5, (0.0, 0.0, 10.0, 20.0))) == pytest.approx(0.8)
    assert yolo().support(found, Subject(2, 0.5, (0.0, 0.0, 10.0, 20.0))) == 0
    assert yolo().support(Detections.none(), Subject(1, 0.5, (0.0, 0.0, 10.0, 20.0))) == 0


def test_colours_leave_the_image_where_the_map_is_zero() -> None:
    image = np.random.default_rng(0).integers(0, 255, (20, 20, 3), np.uint8)
    heat = np.zeros((20, 20), np.float32)
    heat[5:9, 5:9] = 3
    drawn = over(image, heat)
    outside = drawn[10:]
    assert (outside[..., 0] == outside[..., 1]).all(), "grey"
    assert (drawn[5:9, 5:9, 0] != drawn[5:9, 5:9, 2]).all(), "coloured"
    assert scaled(np.zeros((4, 4), np.float32)).max() == 0
    assert scaled(heat).max() == 1


@pytest.fixture
def folder(made: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A working directory with a run of a detector and two images, one of them broken."""
    monkeypatch.chdir(made.folder)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(made.image.read_bytes())
    (tmp_path / "in/b.png").write_bytes(b"no image")
    return tmp_path


def test_the_command_writes_pictures_and_their_facts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["explain", "base", str(folder / "in"), "--out", str(folder / "out"), "--threshold", "0.00001"]
    assert main([*words, "--method", "layer_cam,eigen_cam", "--most", "2"]) == 1
    printed = capsys.readouterr()
    assert "1 images, 4 explanations" in printed.out
    assert printed.err.count("\n") == 1 and "skipped" in printed.err and "b.png" in printed.err
    facts = json.loads((folder / "out/explanations.json").read_text())
    (entry,) = facts["images"]
    assert [each["method"] for each in entry["explanations"]] == ["layer_cam", "eigen_cam"] * 2
    assert entry["explanations"][0]["box_xyxy"] == entry["boxes"][0]["box_xyxy"]
    assert [skipped["file"] for skipped in facts["skipped"]] == [str(folder / "in/b.png")]
    picture = folder / "out" / entry["picture"]
    assert is_drawn(picture, MADE_BY) and Image.open(picture).width > 3 * 400
    assert main(words) == 1, "its own folder is written again"
    (folder / "out/explanations.json").write_text("{}")
    assert main(words) == 2
    assert "not made by `lightdet explain`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--method", "layer-cam"], "did you mean layer_cam"),
        (["--layer", "nick"], "layer nick: not in this network"),
        (["explain.layer_cam.leyer=x"], "explain.layer_cam.leyer"),
        (["--config-dir", "nowhere"], "nowhere"),
    ],
)
def test_a_wrong_word_is_one_line(
    words: list[str], reason: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "in/b.png").unlink()
    base = ["explain", "base", str(folder / "in"), "--out", str(folder / "out"), "--threshold", "0.00001"]
    assert main([*base, *words]) == 2
    printed = capsys.readouterr().err
    assert reason in printed and printed.count("\n") == 1


def test_a_method_from_outside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "conf/explain").mkdir(parents=True)
    (folder / "conf/explain/bright.yaml").write_text("# @package explain.bright\n_target_: test_explain.Bright\n")
    (folder / "in/b.png").unlink()
    words = ["--threshold", "0.00001", "--method", "bright", "--config-dir", str(folder / "conf")]
    assert main(["explain", "base", str(folder / "in"), "--out", str(folder / "out"), *words]) == 0
    facts = json.loads((folder / "out/explanations.json").read_text())
    assert facts["methods"] == ["bright"] and len(facts["images"][0]["explanations"]) == 1
