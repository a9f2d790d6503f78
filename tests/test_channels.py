"""Grey images, and two images one upon the other, from the reader to the first convolution."""

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
from lightdet.data.image import read_image
from lightdet.data.module import ImageData
from lightdet.data.record import Record
from lightdet.engine.load import load_run
from lightdet.runs.folder import RunFolder

SIZE = 32
BOX = Boxes(np.float32([[8, 8, 24, 24]]), np.int64([0]))


class Paired:
    """Four images of noise, each with the reference image beside it, or without any."""

    classes = ("dent",)

    def __init__(self, root: Path, reference: tuple[int, int] | None = (SIZE, SIZE)) -> None:
        self.root, self.reference = root, reference

    def read(self) -> dict[str, list[Record]]:
        generator = np.random.default_rng(0)
        splits: dict[str, list[Record]] = {"train": [], "val": []}
        for split, records in splits.items():
            for index in range(4):
                path, beside = self.root / f"{split}{index}.png", self.root / f"{split}{index}_reference.png"
                cv2.imwrite(str(path), generator.integers(256, size=(SIZE, SIZE, 3), dtype=np.uint8))
                if self.reference:
                    cv2.imwrite(str(beside), generator.integers(256, size=(*self.reference, 3), dtype=np.uint8))
                records.append(Record(path.name, path, BOX, reference=beside if self.reference else None))
        return splits


def data_of(reader: Paired, channels: int, augment: Pipeline | None = None) -> ImageData:
    return ImageData(reader, augment, SIZE, 4, 0, 1, 0, 30, channels=channels)


def test_one_channel_is_the_grey_level(tmp_path: Path) -> None:
    data = data_of(Paired(tmp_path, None), 1)
    for _ in range(2):  # read, then kept in memory
        images = next(iter(data.loader("val"))).images
        assert images.shape == (4, 1, SIZE, SIZE) and images.dtype == torch.uint8
        expected = cv2.cvtColor(read_image(tmp_path / "val2.png"), cv2.COLOR_RGB2GRAY)
        assert np.array_equal(images[2, 0].numpy(), expected)


def test_six_channels_are_the_image_and_its_reference(tmp_path: Path) -> None:
    images = next(iter(data_of(Paired(tmp_path), 6).loader("val"))).images
    assert np.array_equal(images[1, :3].permute(1, 2, 0).numpy(), read_image(tmp_path / "val1.png"))
    assert np.array_equal(images[1, 3:].permute(1, 2, 0).numpy(), read_image(tmp_path / "val1_reference.png"))


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_every_augmentation_takes_any_number_of_channels(tmp_path: Path, channels: int) -> None:
    import albumentations as a

    transforms = [
        a.HorizontalFlip(p=1),
        a.Affine(scale=[0.8, 1.2], translate_percent=[-0.1, 0.1], fill=114, p=1),
        a.RandomBrightnessContrast(p=1),
        a.RandomGamma(p=1),
    ]
    data = data_of(Paired(tmp_path), channels, Pipeline(transforms, Mosaic()))
    images = next(iter(data.train_dataloader())).images
    assert images.shape == (4, channels, SIZE, SIZE)
    assert (images.float().std(dim=(2, 3)) > 1).all(), "no channel is lost"


def test_a_missing_reference_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(LightdetError, match=r"val0\.png: no reference image, which channels=6 needs; set channels=3"):
        next(iter(data_of(Paired(tmp_path, None), 6).loader("val")))


def test_a_reference_of_another_size_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(LightdetError, match=r"val0_reference\.png: 16 x 32 px, and the image beside it 32 x 32 px"):
        next(iter(data_of(Paired(tmp_path, (32, 16)), 2).loader("val")))


@pytest.mark.parametrize("channels", [0, 4, True])
def test_another_number_of_channels_is_one_line(tmp_path: Path, channels: int) -> None:
    with pytest.raises(LightdetError, match=f"channels={channels}: 3 "):
        data_of(Paired(tmp_path), channels)


WORDS = [*SMALL_RUN, "image_size=64"]


def test_grey_images_train_through_the_command_line(tmp_path: Path) -> None:
    assert main(["train", "model=proposed", "channels=1", f"runs_dir={tmp_path}", *WORDS]) == 0
    (path,) = tmp_path.glob("single/*/s0")
    assert RunFolder(path).read_results()["metrics"]["map50"] is not None
    detector = load_run(path).model
    assert next(detector.network.parameters()).shape[1] == 1
    assert len(detector.detect(torch.rand(2, 1, 64, 64))) == 2


def test_a_model_that_takes_colour_alone_refuses_grey_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word for word in WORDS if not word.startswith("width")]
    assert main(["train", "model=ssdlite_mobilenetv2", "channels=1", f"runs_dir={tmp_path}", *words]) != 0
    assert "channels=1: this model takes images of 3 channels" in capsys.readouterr().err
