"""Inputs that are not square, from the letterbox to the command line; a square is a case of the same code."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from small_run import SMALL_RUN

from lightdet.cli.main import main
from lightdet.core.annotation import Boxes
from lightdet.core.errors import LightdetError
from lightdet.data.augment.mosaic import Mosaic
from lightdet.data.augment.pipeline import Pipeline
from lightdet.data.augment.window import Window
from lightdet.data.module import ImageData
from lightdet.data.record import Record
from lightdet.doctor.findings import InputBoxes
from lightdet.engine.load import load_run
from lightdet.engine.predictor import load_predictor
from lightdet.metric.footprint import footprint
from lightdet.model.ssd import Ssd
from lightdet.ops.frames import boxes_to_input, boxes_to_original
from lightdet.ops.grid import check_image_size, height_width, size_text
from lightdet.ops.letterbox import letterbox_image, place
from lightdet.runs.folder import RunFolder

SIZE = [64, 128]  # height, width
BRIGHT = Boxes(np.float32([[60, 10, 100, 40]]), np.int64([0]))


class Bright:
    """Four dark images of 120 x 50 px with a bright box."""

    classes = ("bright",)

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self) -> dict[str, list[Record]]:
        pixels = np.zeros((50, 120, 3), np.uint8)
        pixels[10:40, 60:100] = 255
        splits: dict[str, list[Record]] = {"train": [], "val": []}
        for split, records in splits.items():
            for index in range(4):
                path = self.root / f"{split}{index}.png"
                cv2.imwrite(str(path), pixels)
                records.append(Record(path.name, path, BRIGHT))
        return splits


@pytest.mark.parametrize("original", [(50, 120), (120, 50), (64, 128), (640, 1280), (7, 9)])
def test_an_image_fits_into_the_input_and_boxes_come_back(original: tuple[int, int]) -> None:
    height, width = original
    image, placed = letterbox_image(np.full((height, width, 3), 255, np.uint8), SIZE)
    assert image.shape == (*SIZE, 3) and placed == place(height, width, SIZE)
    bright = np.argwhere(image[..., 0] == 255)
    assert bright.min(axis=0).tolist() == [placed.top, placed.left]
    assert max(bright.max(axis=0) + 1 - (64, 128)) <= 0 and (bright.max(axis=0) + 1 == (64, 128)).any(), (
        "as large as fits"
    )
    box = torch.tensor([[1.0, 2, 5, 6]])
    assert torch.allclose(boxes_to_original(boxes_to_input(box, placed), placed), box, atol=1e-4)


def test_a_square_is_the_same_as_two_equal_sides() -> None:
    image = np.random.default_rng(0).integers(256, size=(37, 61, 3), dtype=np.uint8)
    for (one, placed), (other, again) in [(letterbox_image(image, 64), letterbox_image(image, [64, 64]))]:
        assert np.array_equal(one, other) and placed == again
    assert height_width(64) == height_width([64, 64]) and size_text([64, 64]) == "64 px"
    assert size_text(SIZE) == "64 x 128 px"


def test_boxes_lie_where_they_are_drawn(tmp_path: Path) -> None:
    """With window, mosaic and flips: what is bright is in a box, at any size."""
    import albumentations

    pipeline = Pipeline([albumentations.VerticalFlip(p=0.5)], Mosaic(0.5, 0), window=Window(0.5))
    for augment, expected in ((None, (64, 128)), (pipeline, (32, 64))):
        data = ImageData(Bright(tmp_path), augment, SIZE, 4, 0, 1, 0, 30)
        assert height_width(data.trained_size) == expected
        batch = next(iter(data.train_dataloader() if augment else data.loader("val")))
        assert batch.images.shape == (4, 3, *expected)
        for image, target in zip(batch.images, batch.targets, strict=True):
            for x1, y1, x2, y2 in target.boxes_xyxy.round().int().tolist():
                assert image[:, y1:y2, x1:x2].float().mean() > 200


def test_box_sizes_of_training_and_doctor_agree(tmp_path: Path) -> None:
    data = ImageData(Bright(tmp_path), None, SIZE, 4, 0, 1, 0, 30)
    sizes = {record.path: (50, 120) for record in Bright(tmp_path).read()["train"]}
    seen = InputBoxes.of(data.reader.read()["train"], sizes, SIZE).sizes
    assert np.allclose(data.box_sizes().numpy(), seen, atol=0.3) and np.allclose(seen[0], (42.7, 32), atol=0.1)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ([250, 320], r"image_size=\[250, 320\]: must be a multiple of 32; the nearest is \[256, 320\]"),
        ([64], r"image_size=\[64\]: give one side, or two as \[height,width\]"),
        ([64, "a"], "image_size=a: give a whole number"),
        (100, "image_size=100: must be a multiple of 32; the nearest is 96"),
    ],
)
def test_other_sizes_are_refused(given: object, reason: str) -> None:
    with pytest.raises(LightdetError, match=reason):
        check_image_size(given)


def test_ssd_wants_a_square() -> None:
    with pytest.raises(LightdetError, match=r"image_size=\[64, 128\]: Ssd takes square images alone; give one side"):
        Ssd(2, SIZE)


WORDS = [*SMALL_RUN, "image_size=[64,128]"]


def test_through_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["model=proposed", "augment=mosaic", "augment.mosaic.closing_epochs=0", f"runs_dir={tmp_path}", *WORDS]
    assert main(["train", *words]) == 0
    assert "at 64 x 128 px" in capsys.readouterr().out
    (path,) = tmp_path.glob("single/*/s0")
    results = RunFolder(path).read_results()
    loaded = load_run(path)
    assert results["footprint"]["image_size"] == loaded.image_size == SIZE
    assert results["footprint"]["macs"] == footprint(loaded.model.network, SIZE)["macs"]
    predictor = load_predictor(path, threshold=0.0)
    predictor.warm_up()
    (result,) = predictor(np.zeros((50, 120, 3), np.uint8))
    assert "64 x 128 px" in repr(predictor)
    assert (result.boxes.max(axis=0) <= (120, 50, 120, 50)).all() if len(result.boxes) else True
    assert main(["evaluate", str(path)]) == 0
    assert main(["benchmark", str(path), "image_size=[64,128]", "--ways", "eager", "--rounds", "1"]) == 0
    assert "64 x 128 px" in capsys.readouterr().out


def test_the_doctor_knows_the_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for word in WORDS if word.startswith(("data.reader", "image_size"))]
    assert main(["doctor", f"runs_dir={tmp_path}", *words]) in (0, 1)
    assert "input 64 x 128 px" in capsys.readouterr().out
    (report,) = tmp_path.glob("doctor/*/report.json")
    assert json.loads(report.read_text())["image_size"] == SIZE
