"""A predictor from Python: results in the image's own pixels, for every model; what is no image is one line."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lightdet import LightdetError, Predictor
from lightdet.core.types import Detections
from lightdet.model.detector import Detector
from lightdet.ops.tiles import Tiles
from lightdet.runs.promise import Promise
from lightdet.runs.trained_scale import TrainedScale
from lightdet.runs.views import Views
from lightdet.runtime.tiled import AT_ONCE


class Looks(torch.nn.Module):
    """Stands in for a detector: one box over the left half, two labels, and the mean of what it was given."""

    result = "lightdet.engine.detection_result:DetectionResult"
    annotation = None

    def predict(self, images: torch.Tensor) -> list[Detections]:
        self.mean = float(images.mean())
        boxes = torch.tensor([[0.0, 0, 32, 64], [40, 0, 64, 64]])
        return [Detections(boxes, torch.tensor([0.9, 0.4]), torch.tensor([1, 0])) for _ in images]


def test_sixteen_bits_are_scaled_by_those_of_the_run() -> None:
    looks = Looks()
    predictor = Predictor(looks, ["dent", "scratch"], 64, bits=12)  # type: ignore[arg-type]
    deep = np.full((64, 64), 2000, np.uint16)
    for image in (deep, np.repeat(deep[..., None], 3, axis=2), Image.fromarray(deep), deep.astype(">u2")):
        predictor(image)
        assert looks.mean == pytest.approx(2000 / 4095, abs=0.01)


def test_a_result_is_in_the_images_own_pixels_and_json_ready() -> None:
    predictor = Predictor(Looks(), ["dent", "scratch"], 64, threshold=0.5)  # type: ignore[arg-type]
    image = np.full((128, 128, 3), 90, np.uint8)
    (result,) = predictor(image)
    image[:] = 0  # a camera's buffer is used again
    assert result.boxes.dtype == np.float32 and result.boxes.tolist() == [[0, 0, 64, 128]]
    assert (result.names, result.labels.tolist(), len(result)) == (["scratch"], [1], 1)
    (box,) = result
    assert (box.name, box.xyxy) == ("scratch", (0, 0, 64, 128)) and box.score == pytest.approx(0.9)
    assert result.to_dict() == {
        "file": None,
        "height": 128,
        "width": 128,
        "boxes": [{"class": "scratch", "label": 1, "score": 0.9, "box_xyxy": [0, 0, 64, 128]}],
    }
    assert repr(result) == "<array, 128 x 128 px: 1 box, scratch 0.90>"
    picture = result.plot()
    assert isinstance(picture, Image.Image) and (np.asarray(picture) == 90).any()
    assert result._repr_png_().startswith(b"\x89PNG")
    predictor.threshold = 0.1
    assert predictor(image)[0].names == ["scratch", "dent"]


def test_a_model_of_another_task_names_its_own_result() -> None:
    class Brightness(Looks):
        result = "lightdet.engine.result:Result"

        def predict(self, images: torch.Tensor) -> list[float]:  # type: ignore[override]
            return [float(each.mean()) for each in images]

    (result,) = Predictor(Brightness(), [], 64)(np.full((64, 64), 255, np.uint8))  # type: ignore[arg-type]
    assert result.to_dict() == {"file": None, "height": 64, "width": 64, "prediction": 1.0}
    assert result.plot().size == (64, 64)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((8, 8), np.float32), "array of float32, 8 x 8: give uint8 or uint16"),
        (np.zeros((8, 8), bool), "array of bool"),
        (np.zeros((8, 8), np.int64), "array of int64"),
        (np.zeros((1, 8, 8, 3), np.uint8), "1 x 8 x 8 x 3: give .* of shape"),
        (np.zeros((8, 8, 4), np.uint8), "8 x 8 x 4"),
        (np.zeros((0, 8), np.uint8), "0 x 8"),
        (np.uint8(3), "uint8 is no image"),
        (Image.new("F", (8, 8)), "floating-point"),
        (torch.zeros(3, 8, 8), "Tensor is no image"),
        (None, "NoneType is no image"),
        ([None], "NoneType is no image"),
        ("nowhere.png", r"nowhere\.png: no image there"),
        ("empty.png", r"empty\.png: the file is empty"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_image_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: object, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.png").write_bytes(b"")
    with pytest.raises(LightdetError, match=message) as raised:
        Predictor(Looks(), ["a", "b"], 64)(image)  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)


class Bright(Detector):
    """Stands in for a detector: a box around what is bright in each image, at its score."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def losses(self, images: torch.Tensor, targets: object) -> dict[str, torch.Tensor]:
        return {}

    def detect(self, images: torch.Tensor) -> list[Detections]:
        self.batches.append(len(images))
        found = []
        for image in images:
            rows, columns = torch.nonzero(image[0] > 0.9, as_tuple=True)
            if not len(rows):
                found.append(Detections.none())
                continue
            box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            found.append(Detections(torch.tensor([box]).float(), torch.tensor([0.8]), torch.tensor([1])))
        return found


def bright_image() -> np.ndarray:
    image = np.full((150, 220, 3), 60, np.uint8)
    image[30:50, 50:74] = 255  # across the first seam
    image[120:130, 170:180] = 255
    return image


def test_what_is_larger_than_a_tile_is_shown_in_tiles() -> None:
    model = Bright()
    predictor = Predictor(model, ["dent", "scratch"], 64, scale=lambda: TrainedScale(1.0, 20.0, 24.0))
    (result,) = predictor(bright_image(), tiles=True)
    assert sorted(result.boxes.tolist()) == [[50, 30, 74, 50], [170, 120, 180, 130]] and result.names == ["scratch"] * 2
    assert predictor.tiling(True) == Tiles(64, 64, 20, 24) and max(model.batches) <= AT_ONCE < sum(model.batches)
    whole = predictor(bright_image())[0]
    assert len(whole) == 1 and result.height == whole.height == 150
    small = bright_image()[:60, :60]
    model.batches = []
    assert np.array_equal(predictor(small, tiles=64)[0].boxes, predictor(small)[0].boxes) and model.batches == [1, 1]
    assert predictor.tiling(128) == Tiles(128, 128, 20, 24)
    predictor.tiles = predictor.tiling(64)
    assert len(predictor(bright_image())[0]) == 2 and len(predictor(bright_image(), tiles=False)[0]) == 1


def test_tiles_of_an_unknown_training_are_refused_or_overlap_by_a_quarter(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LightdetError, match="give a side in px"):
        Predictor(Bright(), ["dent", "scratch"], 64).tiling(True)

    def missing() -> TrainedScale:
        raise LightdetError("no data here")

    predictor = Predictor(Bright(), ["dent", "scratch"], [64, 32], scale=missing)
    assert predictor.tiling(128) == Tiles(128, 64, 32, 16) and "no data here; tiles overlap" in capsys.readouterr().err
    with pytest.raises(LightdetError, match="tiles=3: give a whole number"):
        predictor.tiling(3)
    with pytest.raises(LightdetError, match="judges whole images"):
        Predictor(Looks(), ["dent", "scratch"], 64).tiling(True)  # type: ignore[arg-type]


def test_a_promise_holds_for_its_views_alone() -> None:
    promise = Promise("at most 5 %", 0.3, views=Views(Tiles(64, 64, 16, 16)))
    predictor = Predictor(Bright(), ["dent", "scratch"], 64, 0.3, promise=promise)
    assert len(predictor(bright_image(), tiles=64)[0]) == 2
    with pytest.raises(LightdetError, match=r"holds for tiles of 64 x 64 px .*, and not for whole images"):
        predictor(bright_image())
    with pytest.raises(LightdetError, match="and not for whole images"):
        predictor.warm_up()
    predictor.promise = Promise("at most 5 %", 0.3)
    with pytest.raises(LightdetError, match="holds for whole images without flips, and not for tiles"):
        predictor(bright_image(), tiles=64)
    predictor.threshold = 0.4  # somebody's own
    assert len(predictor(bright_image(), tiles=64)[0]) == 2
