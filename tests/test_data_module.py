"""From records to batches: order, keys, memory, workers, cache."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from painted_data import BATCH, SIZE, TRAIN, VAL, PaintedReader, fit, make_data
from torch import Tensor

from lightdet.core.errors import LightdetError
from lightdet.core.types import Detections, Target
from lightdet.data.cache import MEGABYTE, ImageCache
from lightdet.data.module import ImageData
from lightdet.data.sampler import EpochBatchSampler
from lightdet.engine.evaluate import run_model
from lightdet.metric.detection import DetectionMetric
from lightdet.model.detector import Detector


def test_order_depends_on_seed_and_epoch_alone() -> None:
    def keys(seed: int, epoch: int, start: int = 0) -> list[list[tuple[int, int]]]:
        sampler = EpochBatchSampler(10, 4, seed, shuffle=True, drop_last=False)
        sampler.begin(epoch, start)
        return list(sampler)

    assert keys(0, 0) == keys(0, 0)
    assert keys(0, 0) != [[(0, index) for _, index in batch] for batch in keys(0, 1)]
    assert keys(0, 0) != keys(1, 0)
    assert keys(0, 2, start=1) == keys(0, 2)[1:]
    assert sorted(index for batch in keys(5, 3) for _, index in batch) == list(range(10))
    assert {epoch for batch in keys(5, 3) for epoch, _ in batch} == {3}


@pytest.mark.parametrize(("count", "drop_last", "sizes"), [(10, True, [4, 4]), (10, False, [4, 4, 2]), (3, True, [3])])
def test_incomplete_batches(count: int, drop_last: bool, sizes: list[int]) -> None:
    sampler = EpochBatchSampler(count, 4, seed=0, shuffle=True, drop_last=drop_last)
    assert [len(batch) for batch in sampler] == sizes
    assert len(sampler) == len(sizes)


def test_batch_contract(tmp_path: Path) -> None:
    data = make_data(tmp_path)
    batches = list(data.loader("val"))
    assert [len(batch.targets) for batch in batches] == [4, 1]
    assert [t.image_id for batch in batches for t in batch.targets] == [f"val{index:03d}.png" for index in range(VAL)]
    assert batches[0].images.dtype == torch.uint8
    images = batches[0].to("cpu").images
    assert images.shape == (4, 3, SIZE, SIZE)
    assert images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert float(images.max()) <= 1 and float(images.min()) >= 0
    # The 24 x 48 photo is scaled by 2/3 to 16 x 32 and stands 8 px below the top.
    empty, target = batches[0].targets[:2]
    assert torch.allclose(target.boxes_xyxy, torch.tensor([[4 * 2 / 3, 12.0, 10 * 2 / 3, 14 * 2 / 3 + 8]]))
    assert target.labels.tolist() == [1]
    assert empty.boxes_xyxy.shape == (0, 4) and empty.boxes_xyxy.dtype == torch.float32
    assert empty.labels.shape == (0,) and empty.labels.dtype == torch.int64
    photo = cv2.cvtColor(cv2.imread(str(tmp_path / "val000.png")), cv2.COLOR_BGR2RGB)
    assert torch.allclose(images[0, :, 0, 0], torch.full((3,), 114 / 255))
    assert abs(float(images[0, 0, 8:24].mean()) * 255 - photo[..., 0].mean()) < 1


def test_training_epochs_differ_and_repeat(tmp_path: Path) -> None:
    data = make_data(tmp_path)
    dataset = data.train_dataloader().dataset
    image, again, later = (dataset[key][0] for key in [(0, 5), (0, 5), (1, 5)])
    assert np.array_equal(image, again)
    assert not np.array_equal(image, later)


def test_workers_change_nothing(tmp_path: Path) -> None:
    alone, shared = (list(make_data(tmp_path, workers).train_dataloader()) for workers in (0, 2))
    assert len(alone) == len(shared) == 5
    for one, other in zip(alone, shared, strict=True):
        assert torch.equal(one.images, other.images)
        assert [t.image_id for t in one.targets] == [t.image_id for t in other.targets]


def test_workers_send_bytes_and_the_task_sees_floats(tmp_path: Path) -> None:
    data = make_data(tmp_path, num_workers=2)
    loader = data.train_dataloader()
    sent = next(iter(loader)).images
    assert sent.is_shared() and sent.untyped_storage().nbytes() == BATCH * SIZE * SIZE * 3

    sampler = EpochBatchSampler(TRAIN, BATCH, data.seed, shuffle=True, drop_last=True)
    model = fit(tmp_path, tmp_path / "checkpoints", every=5, num_workers=2)
    for images, keys in zip(model.images, sampler, strict=False):  # of the first epoch
        expected = torch.stack([torch.from_numpy(loader.dataset[key][0]) for key in keys]).permute(0, 3, 1, 2) / 255
        assert images.dtype == torch.float32 and torch.equal(images, expected)
        assert images.is_contiguous(memory_format=torch.channels_last)


def test_an_evaluation_without_a_trainer_sees_floats(tmp_path: Path) -> None:
    seen: list[Tensor] = []

    class Looks(Detector):
        def losses(self, images: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
            raise AssertionError("an evaluation asks for no loss")

        def detect(self, images: Tensor) -> list[Detections]:
            seen.append(images)
            return [Detections.none() for _ in images]

    metric = DetectionMetric(make_data(tmp_path).classes)
    run_model(Looks(), make_data(tmp_path).loader("val"), metric)
    assert len(metric.images) == VAL
    assert all(images.dtype == torch.float32 and 0.5 < images.max() <= 1 for images in seen)


def test_cache_keeps_its_bound_and_the_pixels(tmp_path: Path) -> None:
    cache = ImageCache(count=10, image_size=SIZE, limit_bytes=4 * SIZE * SIZE * 3 + 100)
    assert cache.places == 4
    image = np.full((SIZE, SIZE, 3), 7, dtype=np.uint8)
    for index in range(10):
        cache.put(index, image)
    assert cache.stored == 4
    assert cache.reserved_bytes <= 4 * SIZE * SIZE * 3 + 100
    kept = cache.get(3)
    assert kept is not None and np.array_equal(kept, image) and not kept.flags.writeable
    assert cache.get(4) is None


def test_cache_is_read_instead_of_the_file(tmp_path: Path) -> None:
    data = make_data(tmp_path)
    before = [batch.images for batch in data.loader("val")]
    for path in tmp_path.glob("val*.png"):
        path.unlink()
    assert all(torch.equal(a, b.images) for a, b in zip(before, data.loader("val"), strict=True))


def test_workers_fill_the_cache_of_the_parent(tmp_path: Path) -> None:
    data = make_data(tmp_path, num_workers=2)
    list(data.loader("train"))
    assert data._images["train"].cache.stored == TRAIN


def test_splits_share_the_bound(tmp_path: Path) -> None:
    image_bytes = SIZE * SIZE * 3
    data = make_data(tmp_path, train=400, val=5)
    data.setup()
    train, val = (data._images[split].cache for split in ("train", "val"))
    assert (train.places, val.places) == (MEGABYTE // image_bytes, 0)


def test_box_sizes_without_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_data(tmp_path)
    data.setup()
    monkeypatch.setattr(
        "lightdet.data.dataset.read_pixels", lambda record, channels: pytest.fail(f"decoded {record.path}")
    )
    sizes = data.box_sizes()
    assert sizes.shape == (14, 2)  # 22 images, two of three with a box
    assert torch.allclose(sizes, torch.tensor([4.0, 16 / 3]).expand(14, 2))


def test_a_hot_pixel_changes_nothing_around_it_once_the_bits_are_said(tmp_path: Path) -> None:
    data = make_data(tmp_path, val=2)
    records = data.reader.read()["val"]
    values = np.random.default_rng(0).integers(500, 4001, (24, 48), dtype=np.uint16)
    for record, brightest in zip(records, (4000, 4096), strict=True):
        values[3, 3] = brightest
        cv2.imwrite(str(record.path), values)

    def means(bits: int | None) -> list[float]:
        data = make_data(tmp_path, val=2)
        data.bits = bits
        return [float(image.float()[:, 8:24].mean()) for image in next(iter(data.loader("val"))).images]

    plain, hot = means(None)
    assert plain > 15 * hot
    for bits in (12, 14):
        plain, hot = means(bits)
        assert hot == pytest.approx(plain, abs=0.1)
        assert plain == pytest.approx(2250 / (2**bits - 1) * 255, rel=0.05)


def test_errors_a_person_caused(tmp_path: Path) -> None:
    with pytest.raises(LightdetError, match=r"batch_size=0"):
        ImageData(PaintedReader(tmp_path), None, SIZE, 0, 0, 1, 0, 3)
    with pytest.raises(LightdetError, match=r"data\.bits=13: one of null, 8, 10, 12, 14, 16"):
        ImageData(PaintedReader(tmp_path), None, SIZE, 1, 0, 1, 0, 3, bits=13).setup()
    with pytest.raises(LightdetError, match="no images to use as 'val'"):
        make_data(tmp_path, val=0).setup()
    with pytest.raises(LightdetError, match="split=test: this dataset has train, val"):
        make_data(tmp_path).loader("test")


def test_beside_a_gpu_the_threads_of_the_process_prepare_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert make_data(tmp_path, "auto").num_workers == 0
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for threads, workers in ((3, 3), (64, 8)):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        assert make_data(tmp_path, "auto").num_workers == workers
