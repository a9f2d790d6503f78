"""Images annotated by a class, by a mask or not at all go the way of those with boxes, and models name their need."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from lightdet.core.annotation import Annotation, Boxes, ClassLabel, Mask
from lightdet.core.errors import LightdetError
from lightdet.core.types import Target
from lightdet.data.augment.mosaic import Mosaic
from lightdet.data.augment.pipeline import Pipeline
from lightdet.data.module import ImageData
from lightdet.data.record import Record, require_kind
from lightdet.doctor.examine import quick_check

HEIGHT, WIDTH, SIZE = 24, 48, 32


class Annotated:
    """Four bright left halves on dark images, each annotated by what `annotate` gives, from two lines."""

    classes = ("good", "bad")

    def __init__(self, root: Path, annotations: list[Annotation]) -> None:
        self.root, self.annotations = root, annotations

    def read(self) -> dict[str, list[Record]]:
        pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        pixels[:, : WIDTH // 2] = 255
        splits: dict[str, list[Record]] = {"train": [], "val": []}
        for split, records in splits.items():
            for index, annotation in enumerate(self.annotations):
                path = self.root / f"{split}{index}.png"
                cv2.imwrite(str(path), pixels)
                records.append(Record(path.name, path, annotation, domain=f"line {index % 2}"))
        return splits


def targets(reader: Annotated, augment: Pipeline | None = None) -> tuple[torch.Tensor, list[Target]]:
    data = ImageData(reader, augment, SIZE, 4, 0, 1, 0, 3)
    batch = next(iter(data.train_dataloader() if augment else data.loader("val"))).to("cpu")
    return batch.images, batch.targets


def test_a_class_label_and_a_domain_arrive_in_the_target(tmp_path: Path) -> None:
    _, arrived = targets(Annotated(tmp_path, [ClassLabel(1), ClassLabel(0)]))
    assert [(target.class_label, target.domain) for target in arrived] == [(1, "line 0"), (0, "line 1")]
    assert all(target.boxes_xyxy.shape == (0, 4) and target.mask is None for target in arrived)


def test_class_labels_are_counted_and_balanced(tmp_path: Path) -> None:
    reader = Annotated(tmp_path, [ClassLabel(1), ClassLabel(0), ClassLabel(1)])
    data = ImageData(reader, None, SIZE, 2, 0, 1, 0, 3)
    assert data.training_stats().class_counts.tolist() == [1, 2] and data.box_sizes().shape == (0, 2)
    assert quick_check(data.records, data.classes, SIZE, ClassLabel) == []
    assert quick_check(data.records, (*data.classes, "rust"), SIZE, ClassLabel) == [
        "class without images: rust: no image in 'train': the classifier cannot learn it",
        "class without images: rust: no image in 'val': its recall cannot be measured",
    ]


@pytest.mark.parametrize("flip", [False, True])
def test_a_mask_stays_on_its_pixels(tmp_path: Path, flip: bool) -> None:
    import albumentations

    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:, : WIDTH // 2] = 2
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    augment = Pipeline([albumentations.HorizontalFlip(p=1)]) if flip else None
    images, arrived = targets(Annotated(tmp_path, [Mask(tmp_path / "mask.png", (1,))] * 4), augment)
    for image, target in zip(images, arrived, strict=True):
        assert target.mask is not None and target.mask.dtype == torch.uint8 and target.mask.unique().tolist() == [0, 2]
        assert torch.equal(target.mask == 2, image[0] == 1), "marked where it is bright, and not in the grey border"
        assert (target.mask[SIZE // 2, 0] == 2) != flip


def test_a_mask_of_another_size_is_one_line(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "mask.png"), np.zeros((HEIGHT, WIDTH + 1), np.uint8))
    with pytest.raises(LightdetError, match=r"mask\.png: the mask has 49 x 24 px, and its image 48 x 24 px"):
        targets(Annotated(tmp_path, [Mask(tmp_path / "mask.png")]))


def test_a_mask_of_three_channels_is_one_line(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "mask.png"), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    with pytest.raises(LightdetError, match="one channel of 8 bits, not RGB"):
        targets(Annotated(tmp_path, [Mask(tmp_path / "mask.png")]))


def test_images_without_annotation_serve_a_model_that_needs_none(tmp_path: Path) -> None:
    data = ImageData(Annotated(tmp_path, [None, None]), None, SIZE, 2, 0, 1, 0, 3)
    data.setup()
    assert quick_check(data.records, data.classes, SIZE, None) == []
    with pytest.raises(LightdetError, match=r"train0\.png in 'train' has no annotation, and this model needs boxes"):
        quick_check(data.records, data.classes, SIZE)


def test_images_without_a_box_are_no_error_for_a_model_without_boxes(tmp_path: Path) -> None:
    empty = Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    data = ImageData(Annotated(tmp_path, [empty, empty]), None, SIZE, 2, 0, 1, 0, 3)
    data.setup()
    assert quick_check(data.records, data.classes, SIZE, None) == []
    with pytest.raises(LightdetError, match="no boxes in any"):
        quick_check(data.records, data.classes, SIZE)


def test_one_record_of_another_kind_is_named(tmp_path: Path) -> None:
    splits = Annotated(tmp_path, [ClassLabel(0), None]).read()
    with pytest.raises(LightdetError, match=r"train1\.png in 'train' has no annotation, .* needs class label"):
        require_kind(splits, ClassLabel)


def test_a_mosaic_of_images_that_have_one_class_each_is_refused(tmp_path: Path) -> None:
    data = ImageData(Annotated(tmp_path, [ClassLabel(0)] * 4), Pipeline([], mosaic=Mosaic()), SIZE, 2, 0, 1, 0, 30)
    with pytest.raises(LightdetError, match=r"augment\.mosaic, which joins four images, needs boxes"):
        data.setup()
