"""Boxes follow their pixels through every augmentation, and the same key gives the same image."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from lightdet.config.compose import compose_config
from lightdet.core.errors import LightdetError
from lightdet.data.augment.mosaic import Mosaic
from lightdet.data.augment.pipeline import Pipeline
from lightdet.data.augment.sample import Sample, cut_boxes
from lightdet.data.augment.window import Window

SIZE = 96  # px
GROUND, PAINT = 60, 220  # grey levels, apart under every change of brightness in `light`
CONF = Path(__file__).resolve().parent.parent / "conf"


class Painted:
    """One bright rectangle an image, at a place of its own."""

    def __init__(self, count: int = 6) -> None:
        self.boxes = [np.asarray([[10 + 4 * i, 50 - 6 * i, 30 + 6 * i, 80 - 5 * i]], np.float32) for i in range(count)]

    def __len__(self) -> int:
        return len(self.boxes)

    def sample(self, index: int) -> Sample:
        image = np.full((SIZE, SIZE, 3), GROUND, dtype=np.uint8)
        left, top, right, bottom = self.boxes[index][0].astype(int)
        image[top:bottom, left:right] = PAINT
        image.flags.writeable = False
        return Sample(image, self.boxes[index].copy(), np.asarray([index], dtype=np.int64))


class Empty(Painted):
    def sample(self, index: int) -> Sample:
        return Sample(super().sample(index).image, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))


def pipeline(name: str, *overrides: str) -> Pipeline:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(f"augment/{name}", overrides=list(overrides))
    augment = instantiate(config.augment)
    assert isinstance(augment, Pipeline)
    return augment


def draw(augment: Pipeline, seed: int, index: int = 0, epochs_left: int = 99, source: Painted | None = None) -> Sample:
    return augment(source or Painted(), index, np.random.default_rng(seed), epochs_left)


def painted_extent(image: np.ndarray) -> np.ndarray:
    """The box around the bright pixels, px."""
    rows, columns = np.nonzero(image[..., 0] > (int(image.min()) + int(image.max())) / 2)
    return np.asarray([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], dtype=np.float32)


@pytest.mark.parametrize(
    ("name", "expected"), [("HorizontalFlip", [66, 50, 86, 80]), ("VerticalFlip", [10, 16, 30, 46])]
)
def test_flip_carries_the_box(name: str, expected: list[int]) -> None:
    import albumentations

    result = draw(Pipeline([getattr(albumentations, name)(p=1)]), seed=0)
    assert result.boxes_xyxy == pytest.approx(np.asarray([expected]), abs=1e-4)
    assert painted_extent(result.image).tolist() == expected
    assert result.labels.tolist() == [0]


def test_flips_are_drawn_independently() -> None:
    light = pipeline("light")
    light.transforms = light.transforms[:2]
    corners = {tuple(draw(light, seed).boxes_xyxy.round()[0, :2].tolist()) for seed in range(30)}
    assert corners == {(10, 50), (66, 50), (10, 16), (66, 16)}


def test_light_keeps_boxes_on_their_pixels() -> None:
    light = pipeline("light")
    for seed in range(60):
        result = draw(light, seed, index=seed % 6)
        assert result.image.shape == (SIZE, SIZE, 3) and result.image.dtype == np.uint8
        assert len(result.boxes_xyxy) == 1
        middle = result.image[SIZE // 2 - 1 : SIZE // 2 + 1]
        assert middle.size
        assert np.abs(painted_extent(result.image) - result.boxes_xyxy[0]).max() <= 1.5


def test_none_changes_nothing() -> None:
    plain, result = Painted().sample(2), draw(pipeline("none"), seed=1, index=2)
    assert np.array_equal(result.image, plain.image)
    assert np.array_equal(result.boxes_xyxy, plain.boxes_xyxy)


@pytest.mark.parametrize("name", ["light", "mosaic", "window"])
def test_same_randomness_same_sample(name: str) -> None:
    augment = pipeline(name)
    first = draw(augment, seed=4)
    draw(augment, seed=5)
    again, other = draw(augment, seed=4), draw(augment, seed=6)
    assert np.array_equal(first.image, again.image) and np.array_equal(first.boxes_xyxy, again.boxes_xyxy)
    assert not np.array_equal(first.image, other.image)


@pytest.mark.parametrize("name", ["none", "light", "mosaic", "window"])
def test_image_without_boxes(name: str) -> None:
    augment = pipeline(name)
    for seed in range(8):
        result = draw(augment, seed, source=Empty())
        assert result.boxes_xyxy.shape == (0, 4) and result.boxes_xyxy.dtype == np.float32
        assert result.labels.shape == (0,) and result.labels.dtype == np.int64


def test_mosaic_boxes_lie_on_painted_rectangles() -> None:
    mosaic = Mosaic(probability=1.0, closing_epochs=2, scale=(0.5, 1.0), min_visible=0.0, min_side=1.0)
    labels: set[int] = set()
    for seed in range(40):
        result = mosaic(Painted(), 0, np.random.default_rng(seed), epochs_left=3)
        assert result is not None and result.image.shape == (SIZE, SIZE, 3)
        left_over = result.image[..., 0] > (PAINT + GROUND) // 2
        for left, top, right, bottom in result.boxes_xyxy:
            assert 0 <= left < right <= SIZE and 0 <= top < bottom <= SIZE
            inner = result.image[round(top + 1.01) : round(bottom - 1.01), round(left + 1.01) : round(right - 1.01), 0]
            assert (inner > (PAINT + GROUND) // 2).all()
            left_over[max(0, int(top) - 1) : int(bottom) + 2, max(0, int(left) - 1) : int(right) + 2] = False
        assert left_over.sum() <= 2 * SIZE  # only slivers under min_side are painted and unlabelled
        labels.update(result.labels.tolist())
    assert len(labels) == 6


def test_mosaic_holds_four_images_at_half_size() -> None:
    mosaic = Mosaic(scale=(0.5, 0.5), centre=(0.5, 0.5), closing_epochs=0)
    result = mosaic(Painted(1), 0, np.random.default_rng(0), epochs_left=1)
    assert result is not None
    once = Painted(1).boxes[0] / 2
    expected = np.concatenate([once + np.asarray([x, y, x, y]) for y in (0, 48) for x in (0, 48)])
    assert result.boxes_xyxy == pytest.approx(expected)


def test_closing_epochs_switch_the_mosaic_off() -> None:
    mosaic = Mosaic(probability=1.0, closing_epochs=5)
    drawn = [mosaic(Painted(), 0, np.random.default_rng(0), epochs_left) is not None for epochs_left in range(8, 0, -1)]
    assert drawn == [True] * 3 + [False] * 5
    assert Mosaic(probability=0.0)(Painted(), 0, np.random.default_rng(0), 99) is None


def test_window_is_a_part_of_the_photo_at_its_own_scale() -> None:
    window, whole = Window(share=0.6, min_visible=0.0, min_side=1.0), Painted().sample(0)  # 0.6 x 96 is nearest to 64
    places = set()
    for seed in range(40):
        result = window.cut(whole, np.random.default_rng(seed))
        assert result.image.shape == (64, 64, 3)
        assert len(result.boxes_xyxy) == (result.image == PAINT).any()
        for box in result.boxes_xyxy:
            assert painted_extent(result.image).tolist() == box.tolist()
            places.add(tuple(box.tolist()))
    assert len(places) > 20


@pytest.mark.parametrize(("augment", "size"), [("window", 320), ("light", 640)])
def test_how_large_the_images_are_that_are_trained_on(augment: str, size: int) -> None:
    data: Any = instantiate(compose_config(["image_size=640", f"augment={augment}"]).data, _convert_="all")
    assert data.trained_size == size


def test_mosaic_is_made_of_windows() -> None:
    augment = pipeline("mosaic", "augment.mosaic.probability=1")
    augment.transforms, augment.window = [], Window(share=0.3)
    assert draw(augment, seed=1).image.shape == (32, 32, 3)


@pytest.mark.parametrize("share", [0, -0.5, 1.01])
def test_window_of_no_share(share: float) -> None:
    with pytest.raises(LightdetError, match=r"augment\.window\.share="):
        Window(share=share)


def test_cut_boxes_by_hand() -> None:
    boxes = np.asarray([[-8, 0, 2, 10], [-9, 0, 1, 10], [90, 90, 120, 97], [5, 5, 30, 6.5], [0, 0, 96, 96]], np.float32)
    sample = Sample(np.zeros((SIZE, SIZE, 3), np.uint8), boxes, np.arange(5))
    result = cut_boxes(sample, min_visible=0.15, min_side=2)
    # 20 % seen: stays; 10 %: goes; 6 of 30 x 6 of 7 px = 17 %: stays, cut; 1.5 px high: goes; whole image: stays.
    assert result.labels.tolist() == [0, 2, 4]
    assert result.boxes_xyxy.tolist() == [[0, 0, 2, 10], [90, 90, 96, 96], [0, 0, 96, 96]]


def test_turns_keep_the_shape_of_an_image_that_is_not_square() -> None:
    class Wide(Painted):
        def sample(self, index: int) -> Sample:
            image = np.full((48, 96, 3), GROUND, np.uint8)
            image[5:15, 10:30] = PAINT
            return Sample(image, np.float32([[10, 5, 30, 15]]), np.asarray([0]), image[..., 0] > GROUND)

    turns, seen = pipeline("turns"), Counter[tuple[int, int]]()
    for seed in range(80):
        sample = draw(turns, seed, source=Wide())
        assert sample.image.shape == (48, 96, 3) and sample.mask is not None and sample.mask.shape == (48, 96)
        np.testing.assert_allclose(sample.boxes_xyxy[0], painted_extent(sample.image), atol=1e-4)
        np.testing.assert_array_equal(sample.boxes_xyxy[0].round(), painted_extent(sample.mask[..., None]))
        seen[tuple(sample.boxes_xyxy[0, :2].round().astype(int).tolist())] += 1
    assert sorted(seen) == [(10, 5), (10, 33), (66, 5), (66, 33)] and min(seen.values()) > 8, "each as often"


def test_transforms_that_change_the_size_are_refused() -> None:
    import albumentations

    cut = albumentations.CenterCrop(height=48, width=64, p=1.0)
    with pytest.raises(LightdetError, match="they make 64 x 48 px of 96 x 96; take transforms that keep the size"):
        draw(Pipeline([cut]), 0)


def test_nested_transforms_and_lost_boxes() -> None:
    import albumentations

    away = albumentations.Affine(translate_px={"x": 90, "y": 0}, p=1)
    flips = albumentations.OneOf([albumentations.HorizontalFlip(p=1), albumentations.VerticalFlip(p=1)], p=1)
    assert draw(Pipeline([away]), seed=0).boxes_xyxy.shape == (0, 4)
    tops = {float(draw(Pipeline([flips]), seed).boxes_xyxy[0, 1].round()) for seed in range(12)}
    assert tops == {50, 16}
    first, again = (draw(Pipeline([flips]), 3).boxes_xyxy.tolist() for _ in range(2))
    assert first == again


def test_bad_knobs() -> None:
    with pytest.raises(LightdetError, match="scale"):
        Mosaic(scale=(1.0, 0.5))
    with pytest.raises(LightdetError, match="centre"):
        Mosaic(centre=(0.0, 1.0))
