"""Repeat-factor sampling: factors by hand, an order that is a function of (seed, epoch), copies that differ."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from lightdet.config.conf_folder import conf_folder
from lightdet.core.annotation import Boxes
from lightdet.core.errors import LightdetError
from lightdet.data.augment.pipeline import Pipeline
from lightdet.data.module import ImageData
from lightdet.data.record import Record
from lightdet.data.sampler import EpochBatchSampler
from lightdet.data.sampling.repeat_factor import RepeatFactor

LABELS = [np.array(each, dtype=np.int64) for each in ([0], [0, 0], [0, 1], [], [0], [0], [0], [0])]
# 8 photos: class 0 on 7, class 1 on 1


def test_factors_by_hand() -> None:
    factors = RepeatFactor(threshold=0.5)(LABELS)
    assert factors.tolist() == pytest.approx([1, 1, 2, 1, 1, 1, 1, 1])  # sqrt(0.5 / (1 / 8)) = 2 where class 1 is
    assert RepeatFactor(threshold=1.0)(LABELS)[0] == pytest.approx((8 / 7) ** 0.5)
    assert RepeatFactor(threshold=0.001)(LABELS).tolist() == [1] * 8
    assert RepeatFactor(threshold=0.5)([np.zeros(0, np.int64)] * 3).tolist() == [1, 1, 1]


@pytest.mark.parametrize("threshold", [0, -0.1, 1.5])
def test_a_threshold_that_is_no_share_is_refused(threshold: float) -> None:
    with pytest.raises(LightdetError, match=r"data\.sampling\.threshold"):
        RepeatFactor(threshold)


def test_the_option_and_its_knob() -> None:
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        assert compose("train").data.sampling is None
        for data in ("synthetic", "neu_det", "yolo"):
            words = [f"data={data}", "data/sampling=repeat_factor", "data.sampling.threshold=0.1"]
            assert instantiate(compose("train", overrides=words).data.sampling).threshold == 0.1


def epoch_of(sampler: EpochBatchSampler, epoch: int, start: int = 0) -> list[list[tuple[int, int]]]:
    sampler.begin(epoch, start)
    return list(sampler)


def sampler_of(repeats: list[float], seed: int = 0, batch: int = 4) -> EpochBatchSampler:
    return EpochBatchSampler(len(repeats), batch, seed, shuffle=True, drop_last=False, repeats=np.array(repeats))


def test_order_is_a_function_of_seed_and_epoch() -> None:
    repeats = [1.0, 2.3, 1.0, 1.4, 1.0]
    assert epoch_of(sampler_of(repeats), 3) == epoch_of(sampler_of(repeats), 3)
    assert epoch_of(sampler_of(repeats), 3, start=1) == epoch_of(sampler_of(repeats), 3)[1:]
    orders = {str([i for b in epoch_of(sampler_of(repeats, seed), e) for _, i in b]) for seed in (0, 1) for e in (0, 1)}
    assert len(orders) == 4


def test_every_epoch_is_as_long_and_every_copy_has_an_index_of_its_own() -> None:
    repeats = [1.0, 2.3, 1.0, 1.4, 1.0]  # 6.7: six images an epoch
    sampler = sampler_of(repeats)
    for epoch in range(50):
        batches = epoch_of(sampler, epoch)
        indices = [index for batch in batches for _, index in batch]
        assert len(batches) == len(sampler) == 2 and len(indices) == 6
        assert len(set(indices)) == 6
        for image, copies in Counter(index % 5 for index in indices).items():
            assert copies <= np.ceil(repeats[image])
            assert {index // 5 for index in indices if index % 5 == image} <= set(range(int(np.ceil(repeats[image]))))


def test_images_come_as_often_as_their_factor_says() -> None:
    repeats = [1.0, 2.25, 1.5, 1.25]  # 6: nothing is cut off
    sampler = sampler_of(repeats)
    drawn = Counter(index % 4 for epoch in range(2000) for batch in epoch_of(sampler, epoch) for _, index in batch)
    assert [drawn[image] / 2000 for image in range(4)] == pytest.approx(repeats, abs=0.04)


def test_without_factors_the_order_is_that_of_the_permutation() -> None:
    plain = EpochBatchSampler(10, 4, 7, shuffle=True, drop_last=False)
    expected = np.random.default_rng([7, 2]).permutation(10).tolist()
    assert [index for batch in epoch_of(plain, 2) for _, index in batch] == expected
    assert sorted(index for batch in epoch_of(sampler_of([1.0] * 10), 2) for _, index in batch) == list(range(10))


class Brighter:
    """A transform with the interface of albumentations: the whole image a random amount brighter."""

    random_generator: np.random.Generator

    def __call__(self, image: np.ndarray, bboxes: np.ndarray) -> dict[str, np.ndarray]:
        return {"image": image + np.uint8(self.random_generator.integers(100)), "bboxes": bboxes}


class EightPhotos:
    classes = ("often", "rare")

    def __init__(self, root: Path) -> None:
        cv2.imwrite(str(root / "x.png"), np.zeros((16, 16, 3), np.uint8))
        self.root = root

    def read(self) -> dict[str, list[Record]]:
        records = [
            Record(f"{k}.png", self.root / "x.png", Boxes(np.tile(np.float32([2, 2, 9, 9]), (len(labels), 1)), labels))
            for k, labels in enumerate(LABELS)
        ]
        return {"train": records, "val": records[:2]}


def make_data(root: Path, threshold: float) -> ImageData:
    return ImageData(EightPhotos(root), Pipeline([Brighter()]), 32, 3, 0, 1, 0, 3, RepeatFactor(threshold))


def test_a_repeated_photo_is_augmented_in_another_way_each_time(tmp_path: Path) -> None:
    loader = make_data(tmp_path, 0.5).train_dataloader()
    targets = [
        (target.image_id, float(image.float().mean()))
        for batch in loader
        for image, target in zip(batch.images, batch.targets, strict=True)
    ]
    assert len(loader) == 3 and len(targets) == 9
    rare = [mean for name, mean in targets if name == "2.png"]
    assert len(rare) == 2 and rare[0] != rare[1]
    first, copy = loader.dataset[(0, 2)], loader.dataset[(0, 10)]
    assert first[1].image_id == copy[1].image_id == "2.png" and not np.array_equal(first[0], copy[0])


def test_a_validation_sees_every_photo_once(tmp_path: Path) -> None:
    data = make_data(tmp_path, 0.5)
    assert [t.image_id for batch in data.loader("val") for t in batch.targets] == ["0.png", "1.png"]
    assert sum(len(batch.targets) for batch in data.loader("train")) == 8


def test_a_threshold_that_repeats_nothing_says_so(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="repeats no image"):
        make_data(tmp_path, 0.01).train_dataloader()
