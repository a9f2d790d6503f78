"""From a loader to numbers and files, with a detector that knows the truth and must get it back in photo pixels."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from lightdet.core.annotation import Boxes
from lightdet.core.errors import LightdetError
from lightdet.core.types import Batch, Detections, Target
from lightdet.data.image import read_image
from lightdet.data.record import Record, with_bits
from lightdet.draw.curves import plot_confusion, plot_training, read_columns
from lightdet.draw.page import beside
from lightdet.draw.palette import class_colour, font, shorten
from lightdet.draw.panel import Mark, _place, draw_marks, letter_size, panel_scale
from lightdet.draw.pictures import compare, draw, write_samples
from lightdet.engine.evaluate import evaluate, run_model
from lightdet.metric.detection import DetectionMetric
from lightdet.metric.detection_scores import DETECTION_SCORES
from lightdet.model.detector import Detector
from lightdet.ops.frames import boxes_to_input
from lightdet.ops.letterbox import letterbox_image

CLASSES = ("scratch", "dent", "stain")
INPUT = 96  # px
SIZES = ((60, 160), (200, 90), (50, 50), (96, 96), (64, 100))  # photos (height, width), px
BOXES = ([10.0, 12, 40, 50], [42.0, 5, 49, 20])  # inside all of them


class Oracle(Detector):
    """Answers with boxes given in input px, batch by batch, and notes how it was called."""

    def __init__(self, answers: Sequence[list[Detections]]) -> None:
        super().__init__()
        self.answers = list(answers)
        self.modes: list[tuple[bool, bool]] = []

    def losses(self, images: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        raise AssertionError("an evaluation asks for no loss")

    def detect(self, images: Tensor) -> list[Detections]:
        self.modes.append((self.training, torch.is_inference_mode_enabled()))
        return self.answers[len(self.modes) - 1]


def photos(folder: Path) -> tuple[list[Record], list[Batch]]:
    """Photos of five shapes on disk, the last one without a defect, and the batches of two that a loader makes."""
    random = np.random.default_rng(0)
    records, images, targets = [], [], []
    for index, (height, width) in enumerate(SIZES):
        photo = random.integers(80, 150, (height, width, 3), dtype=np.uint8)
        path = folder / f"photo_{index}.png"
        Image.fromarray(photo).save(path)
        count = 0 if index == len(SIZES) - 1 else 2
        boxes = np.array(BOXES[:count], dtype=np.float32).reshape(-1, 4)
        labels = np.arange(count, dtype=np.int64)
        records.append(Record(f"line a/photo_{index}.png", path, Boxes(boxes, labels)))
        placed, letterbox = letterbox_image(photo, INPUT)
        corners = boxes_to_input(torch.from_numpy(boxes), letterbox)
        images.append(torch.from_numpy(placed).permute(2, 0, 1).float() / 255)
        targets.append(Target(corners, torch.from_numpy(labels), records[-1].image_id, letterbox))
    starts = range(0, len(images), 2)
    return records, [Batch(torch.stack(images[k : k + 2]), targets[k : k + 2]) for k in starts]


def as_detections(target: Target, score: float = 0.9) -> Detections:
    count = len(target.labels)
    return Detections(target.boxes_xyxy.clone(), torch.full((count,), score), target.labels.clone())


def test_the_truth_through_a_letterbox_scores_one_in_photo_pixels(tmp_path: Path) -> None:
    records, batches = photos(tmp_path)
    detector = Oracle([[as_detections(target) for target in batch.targets] for batch in batches])
    report = evaluate(detector, batches, CLASSES, records, None)
    assert (report["map50"], report["map75"], report["map50_95"]) == (1.0, 1.0, 1.0)
    assert report["per_class"]["stain"]["ap50"] is None
    assert report["images"] == 5
    assert report["images_without_finding"] == ["line a/photo_4.png"]
    point = report["operating_point"]
    assert (point["escape_rate"], point["overkill_rate"], point["good_images"]) == (0.0, 0.0, 1)
    json.dumps(report, allow_nan=False)
    assert [path.name for path in sorted(tmp_path.iterdir())] == [f"photo_{k}.png" for k in range(5)], "nothing written"


def test_boxes_are_measured_in_photo_pixels(tmp_path: Path) -> None:
    records, batches = photos(tmp_path)
    detector = Oracle([[as_detections(target) for target in batch.targets] for batch in batches])
    metric = DetectionMetric(CLASSES)
    run_model(detector, batches, metric)
    for (detections, target), record in zip(metric.images, records, strict=True):
        assert target.image_id == record.image_id
        np.testing.assert_allclose(target.boxes_xyxy.numpy(), record.boxes_xyxy, atol=1e-4)
        np.testing.assert_allclose(detections.boxes_xyxy.numpy(), record.boxes_xyxy, atol=1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_the_detector_runs_in_eval_mode_and_is_left_as_it_was(tmp_path: Path, training: bool) -> None:
    _, batches = photos(tmp_path)
    detector = Oracle([[Detections.none() for _ in batch.targets] for batch in batches])
    detector.train(training)
    run_model(detector, batches, DetectionMetric(CLASSES))
    assert detector.modes == [(False, True)] * 3
    assert detector.training is training


def test_escapes_and_a_given_threshold(tmp_path: Path) -> None:
    records, batches = photos(tmp_path)
    answers = [[as_detections(target, 0.9) for target in batch.targets] for batch in batches]
    answers[0][1] = as_detections(batches[0].targets[1], 0.3)
    report = evaluate(Oracle(answers), batches, CLASSES, records, None, threshold=0.5)
    assert report["operating_point"]["escape_rate"] == 0.25
    assert report["images_without_finding"] == ["line a/photo_1.png", "line a/photo_4.png"]


def test_pictures_show_the_photos_with_the_bits_of_the_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records, batches = photos(tmp_path)
    records = with_bits({"val": records}, 12)["val"]
    read: list[int | None] = []

    def reads(path: Path, bits: int | None = None) -> np.ndarray:
        read.append(bits)
        return read_image(path, bits)

    monkeypatch.setattr("lightdet.draw.detection_files.read_image", reads)
    answers = [[Detections.none() for _ in batch.targets] for batch in batches]
    report = evaluate(Oracle(answers), batches, CLASSES, records, tmp_path / "report")
    assert read == [12] * 5
    assert [sample["bits"] for sample in report["samples"]] == [12] * 5


def test_a_report_folder_holds_the_worst_images_first(tmp_path: Path) -> None:
    records, batches = photos(tmp_path)
    answers = [[as_detections(target) for target in batch.targets] for batch in batches]
    answers[1][0] = Detections.none()  # photo 2: two missed
    stray = Detections(torch.tensor([[30.0, 30, 60, 60]]), torch.tensor([0.95]), torch.tensor([2]))
    answers[2][0] = stray  # photo 4, a good one: one false alarm
    folder = tmp_path / "report"
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    for name in ("000-missed9-false9-old.png", "mine.png"):
        (pictures / name).write_bytes(b"")
    evaluate(Oracle(answers), batches, CLASSES, records, folder, threshold=0.5, max_pictures=3)
    files = {"metrics.txt", "pr_curve.png", "confusion.png", "detections.json"}
    assert {path.name for path in folder.iterdir()} == {"pictures", *files}
    names = sorted(path.name for path in pictures.iterdir())
    assert names[:2] == ["000-missed2-false0-line-a-photo_2.png", "001-missed0-false1-line-a-photo_4.png"]
    assert re.fullmatch(r"002-missed0-false0-line-a-photo_\d\.png", names[2])
    assert names[3:] == ["mine.png", "overview.png"], "an earlier report is replaced, a stranger's file is not touched"
    for path in [*pictures.glob("0*.png"), pictures / "overview.png", folder / "pr_curve.png"]:
        with Image.open(path) as picture:
            assert picture.mode in ("RGB", "RGBA") and min(picture.size) > 200
            picture.load()


def test_nothing_to_measure_writes_a_report_all_the_same(tmp_path: Path) -> None:
    report = evaluate(Oracle([]), [], CLASSES, [], tmp_path)
    assert report["images"] == 0 and report["map50"] is None
    assert (tmp_path / "pr_curve.png").stat().st_size > 0


# ---------------------------------------------------------------- drawing


def a_target(boxes: list[list[float]], labels: list[int]) -> Target:
    _, letterbox = letterbox_image(np.zeros((200, 200, 3), np.uint8), 200)
    return Target(torch.tensor(boxes).reshape(-1, 4), torch.tensor(labels, dtype=torch.int64), "x.png", letterbox)


def test_drawing_leaves_the_photo_alone_and_enlarges_small_ones() -> None:
    photo = np.full((200, 200, 3), 120, np.uint8)
    target = a_target([[50.0, 60, 150, 140]], [0])
    drawn = draw(photo, None, target, CLASSES)
    assert (photo == 120).all()
    assert drawn.shape == (640, 640, 3) and drawn.dtype == np.uint8
    scale = 640 / 200
    assert tuple(drawn[round(100 * scale), round(50 * scale)]) == class_colour(0), "the left side of the box"
    assert tuple(drawn[round(100 * scale), round(100 * scale)]) == (120, 120, 120), "its inside is free"
    pair = draw(photo, as_detections(target), target, CLASSES)
    assert pair.shape[1] > 2 * 640
    assert draw(np.zeros((900, 1200, 3), np.uint8), None, None, CLASSES).shape == (900, 1200, 3)


def test_detections_below_the_threshold_are_not_drawn() -> None:
    photo = np.full((640, 640, 3), 120, np.uint8)
    detections = as_detections(a_target([[50.0, 60, 150, 140]], [0]), 0.25)
    assert (draw(photo, detections, None, CLASSES, threshold=0.3) == 120).all()
    assert not (draw(photo, detections, None, CLASSES, threshold=0.25) == 120).all()


def test_a_wrong_name_is_a_miss_and_a_false_alarm() -> None:
    target = a_target([[10.0, 10, 50, 50]], [0])
    wrong = Detections(target.boxes_xyxy, torch.tensor([0.9]), torch.tensor([1]))
    sample = compare(wrong, target)
    assert (sample.missed, sample.false_alarms) == (1, 1)
    assert sample.in_words() == "0 of 1 found, 1 missed, 1 false alarm"
    assert compare(Detections.none(), a_target([], [])).in_words() == "no defect, none reported"


def test_worst_first_is_misses_then_the_surest_false_alarm(tmp_path: Path) -> None:
    one, nowhere = [10.0, 10, 50, 50], [100.0, 100, 150, 150]

    def sample(boxes: list[list[float]], scores: list[float]) -> object:
        found = Detections(torch.tensor(boxes).reshape(-1, 4), torch.tensor(scores), torch.zeros(len(scores)).long())
        return compare(found, a_target([one], [0]))

    fine, unsure, sure = sample([one], [0.9]), sample([one, nowhere], [0.9, 0.3]), sample([one, nowhere], [0.9, 0.8])
    missed = sample([], [])
    ordered = sorted([fine, unsure, sure, missed], key=lambda each: each.badness)  # type: ignore[attr-defined]
    assert [each is other for each, other in zip(ordered, [missed, sure, unsure, fine], strict=True)] == [True] * 4


@pytest.mark.parametrize("size", [(200, 200), (64, 1024), (800, 60), (16, 16), (2048, 2448)])
def test_labels_stay_inside_and_apart(size: tuple[int, int]) -> None:
    height, width = size
    scale = panel_scale(height, width)
    limits = round(width * scale), round(height * scale)
    random = np.random.default_rng(2)
    letters = letter_size(limits[1], limits[0])
    taken: list[tuple[float, float, float, float]] = []
    for _ in range(40):
        left, top = random.uniform(0, 0.9, 2) * limits
        box = (left, top, left + 0.1 * limits[0], top + 0.1 * limits[1])
        chip = _place(box, min(8.0 * letters, limits[0] - 1), 1.5 * letters, taken, limits)
        if chip is not None:
            assert chip[0] >= 0 and chip[1] >= 0 and chip[2] < limits[0] and chip[3] < limits[1]
            for other in taken:
                assert chip[0] >= other[2] or other[0] >= chip[2] or chip[1] >= other[3] or other[1] >= chip[3]
            taken.append(chip)
    assert len(taken) >= 3


def test_a_crowd_a_speck_and_a_long_name_are_drawn() -> None:
    photo = np.full((40, 40, 3), 90, np.uint8)
    marks = [Mark((k % 40, k // 2, k % 40 + 3, k // 2 + 3), class_colour(k), "x" * 300, k % 2 == 0) for k in range(80)]
    assert draw_marks(photo, marks, 4.0).shape == (160, 160, 3)
    degenerate = [Mark((39.9, 39.9, 39.9, 39.9), class_colour(0), "a", True), Mark((-5, -5, 99, 99), (1, 2, 3), "b")]
    assert draw_marks(photo, degenerate, 1.0).shape == (40, 40, 3)


def test_shortening_keeps_the_useful_end() -> None:
    name = "factory/line/2024/camera/photo_000123.png"
    short = shorten(name, 14, 160, keep_end=True)
    assert short.startswith("…") and short.endswith("123.png") and font(14).getlength(short) <= 160
    assert shorten("short", 14, 160) == "short"


def test_wide_panels_stand_above_each_other() -> None:
    wide, high = np.zeros((100, 300, 3), np.uint8), np.zeros((300, 100, 3), np.uint8)
    assert beside(wide, wide).shape == (212, 300, 3)
    assert beside(high, high).shape == (300, 212, 3)


def test_every_class_has_its_own_colour() -> None:
    assert len({class_colour(label) for label in range(60)}) == 60


def test_samples_of_large_photos_are_moderate(tmp_path: Path) -> None:
    photo = np.full((2000, 3000, 3), 100, np.uint8)
    sample = compare(Detections.none(), a_target([[10.0, 10, 500, 500]], [0]))
    paths = write_samples(tmp_path, [sample], lambda _: photo, CLASSES, 0.5)
    with Image.open(paths[0]) as picture:
        assert max(picture.size) < 2000


# ---------------------------------------------------------------- plots


def test_training_curves_from_a_metrics_file(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.csv"
    metrics.write_text(
        "epoch,train/loss,train/box,val/map50,lr\n0,nan,2.5,,0.1\n1,3.0,2.0,0.25,0.1\n2,2.0,1.5,0.5,0.1\n"
    )
    columns = read_columns(metrics)
    assert columns["val/map50"] == ([2.0, 3.0], [0.25, 0.5]), "the first epoch is 1, as on the terminal"
    assert columns["train/loss"] == ([2.0, 3.0], [3.0, 2.0]), "a loss that is not a number is left out"
    assert plot_training(metrics, tmp_path / "deep" / "curves.png", DETECTION_SCORES).stat().st_size > 5000
    with pytest.raises(LightdetError, match=r"none\.csv"):
        plot_training(tmp_path / "none.csv", tmp_path / "x.png", DETECTION_SCORES)
    metrics.write_text("epoch,train/loss\n")
    with pytest.raises(LightdetError, match="no finished epoch"):
        plot_training(metrics, tmp_path / "x.png", DETECTION_SCORES)


def test_plots_leave_matplotlib_as_it_was(tmp_path: Path) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    matrix = [[5, 0, 1], [2, 3, 0], [4, 0, 0]]
    plot_confusion({"confusion": {"matrix": matrix, "threshold": 0.4, "iou": 0.5}}, CLASSES[:2], tmp_path / "c.png")
    assert dict(matplotlib.rcParams) == before
    assert (tmp_path / "c.png").stat().st_size > 5000
