"""The class of an image keeps the boxes from which it was made, and what a classifier learns from stays the same."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from lightdet.config.conf_folder import conf_folder
from lightdet.core.annotation import Boxes, ClassLabel
from lightdet.core.types import Target
from lightdet.data.augment.pipeline import Pipeline
from lightdet.data.class_order import InOrder
from lightdet.data.image_labels import with_image_labels
from lightdet.data.module import ImageData
from lightdet.data.record import Record

WIDTH, HEIGHT, SIZE = 48, 24, 32
CLASSES = ("scratch", "dent")
BOXES = Boxes(
    np.array([[3, 6, 12, 18], [24, 0, 48, 24]], np.float32),
    np.array([1, 0]),
    np.array([[0, 0, 6, 6]], np.float32),
    np.array([1]),
)


class Boxed:
    """Eight images of noise with the same two boxes and a crowd region; without `boxed`, with the class alone."""

    classes = CLASSES

    def __init__(self, root: Path, boxed: bool = True) -> None:
        self.root, self.boxed = root, boxed

    def read(self) -> dict[str, list[Record]]:
        records = []
        for number in range(8):
            path = self.root / f"{number}.png"
            pixels = np.random.default_rng(number).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
            cv2.imwrite(str(path), pixels)
            records.append(Record(path.name, path, BOXES if self.boxed else ClassLabel(0)))
        return {"train": records, "val": records}


def make(reader: Boxed, augment: Pipeline | None = None, label: str = "largest") -> ImageData:
    return ImageData(reader, augment, SIZE, 4, 0, 1, 3, 3, label=label)


def drawn(data: ImageData) -> tuple[torch.Tensor, list[Target]]:
    batches = list(data.train_dataloader())
    return torch.cat([batch.images for batch in batches]), [one for batch in batches for one in batch.targets]


def augment(**settings: float) -> Pipeline:
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = compose("augment/light")
    made: Pipeline = instantiate(config.augment, **settings)
    return made


def test_the_boxes_arrive_beside_the_class_in_input_px(tmp_path: Path) -> None:
    (target, *_) = next(iter(make(Boxed(tmp_path)).loader("val"))).targets
    # 48 x 24 px at 32: two thirds of it, and (32 - 16) / 2 px of grey above
    assert target.class_label == 0
    assert torch.equal(target.boxes_xyxy, torch.tensor([[2.0, 12, 8, 20], [16, 8, 32, 24]]))
    assert target.labels.tolist() == [1, 0]
    assert torch.equal(target.crowd_xyxy, torch.tensor([[0.0, 8, 4, 12]])) and target.crowd_labels.tolist() == [1]


def test_a_classifier_sees_the_same_images_as_without_boxes(tmp_path: Path) -> None:
    images, targets = drawn(make(Boxed(tmp_path), augment()))
    plain, without = drawn(make(Boxed(tmp_path, boxed=False), augment()))
    assert torch.equal(images, plain)
    assert [target.image_id for target in targets] == [target.image_id for target in without]
    assert not any(len(target.boxes_xyxy) for target in without)
    moved = torch.stack([target.boxes_xyxy[1] for target in targets if len(target.boxes_xyxy) == 2])
    assert len(moved) > 1 and len(moved.unique(dim=0)) > 1, "the boxes are augmented with their images"


def test_a_box_that_is_no_longer_seen_takes_no_class_away(tmp_path: Path) -> None:
    _, targets = drawn(make(Boxed(tmp_path), augment(min_side=SIZE + 1)))
    assert [len(target.boxes_xyxy) for target in targets] == [0] * 8
    assert [target.class_label for target in targets] == [0] * 8


def test_statistics_and_sampling_count_images_and_not_boxes(tmp_path: Path) -> None:
    seen: list[np.ndarray] = []
    data = make(Boxed(tmp_path), augment())
    data.sampling = lambda labels: seen.extend(labels) or np.ones(len(labels)) * 2
    data.train_dataloader()
    assert [each.tolist() for each in seen] == [[0]] * 8
    assert data.training_stats().class_counts.tolist() == [8, 0]
    assert data.box_sizes().shape == (16, 2)


def test_where_any_defect_counts_each_box_is_one(tmp_path: Path) -> None:
    sound = Record("good.png", tmp_path, Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.int64)))
    splits, names = with_image_labels({"train": [Record("a.png", tmp_path, BOXES), sound]}, CLASSES, "any_defect")
    bad, good = splits["train"]
    assert names == ("good", "defect") and bad.labels.tolist() == [1] and good.labels.tolist() == [0]
    assert bad.box_labels.tolist() == [1, 1] and bad.boxes is not None and bad.boxes.crowd_labels.tolist() == [1]
    assert good.boxes is not None and not len(good.box_labels)


def test_a_crowd_region_stays_one(tmp_path: Path) -> None:
    region = replace(BOXES, xyxy=BOXES.xyxy[:0], labels=BOXES.labels[:0])
    splits, _ = with_image_labels({"train": [Record("a.png", tmp_path, region)]}, CLASSES, "largest")
    (record,) = splits["train"]
    assert record.annotation == ClassLabel(1) and not len(record.boxes_xyxy)
    assert record.boxes is not None and np.array_equal(record.boxes.crowd_xyxy, BOXES.crowd_xyxy)


def test_another_order_of_the_classes_reaches_the_boxes(tmp_path: Path) -> None:
    class Labelled(Boxed):
        def read(self) -> dict[str, list[Record]]:
            return {"train": [Record("a.png", tmp_path, ClassLabel(0, BOXES))]}

    (record,) = InOrder(Labelled(tmp_path), ("dent", "scratch")).read()["train"]
    assert record.labels.tolist() == [1] and record.box_labels.tolist() == [0, 1]
    assert record.boxes is not None and record.boxes.crowd_labels.tolist() == [0]
