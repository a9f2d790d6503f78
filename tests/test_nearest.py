"""The nearest training images: by hand, from a trained run, from the cache, and from a damaged one."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from safetensors.numpy import load, save
from test_models import composed

from lightdet.core.annotation import Boxes
from lightdet.core.errors import LightdetError
from lightdet.data.record import Record
from lightdet.engine.load import build_model
from lightdet.engine.predictor import Predictor
from lightdet.explain import training_images as module
from lightdet.explain.embedding import box_vectors, image_vectors
from lightdet.explain.nearest import Item, TrainingImages, chosen_items, spread, usual_distances
from lightdet.explain.training_images import training_images

CLASSES = ("bar", "disc")


def items_of(*names: str) -> list[Item]:
    return [Item(Record(name, Path(name), None), (0,), (0.0, 0.0, 1.0, 1.0)) for name in names]


def unit(*degrees: float) -> np.ndarray:
    radians = np.radians(degrees)
    return np.stack((np.cos(radians), np.sin(radians)), axis=1).astype(np.float32)


def test_distances_and_percentiles_by_hand() -> None:
    """Four images on a circle at 0, 10, 30 and 90 degrees: their nearest others are 10, 10, 20 and 60 degrees away."""
    vectors, items = unit(0, 10, 30, 90), items_of("a", "b", "c", "d")
    usual = usual_distances(vectors, items)
    by_hand = 1 - np.cos(np.radians([[10, 30, 90], [10, 20, 80], [20, 30, 60], [60, 80, 90]]))
    np.testing.assert_allclose(usual, by_hand, atol=1e-6)
    found = TrainingImages(items, vectors, usual, 4).nearest(unit(15)[0], count=3)
    assert [each.item.record.image_id for each in found] == ["b", "a", "c"]
    # 5 degrees is less than any nearest other; 15 less than any second one, 15 less than any third one
    assert [each.percentile for each in found] == [0, 0, 0]
    found = TrainingImages(items, vectors, usual, 4).nearest(unit(115)[0], count=2)
    assert [round(each.distance, 4) for each in found] == [0.0937, 0.9128]  # 25 and 85 degrees
    assert [each.percentile for each in found] == [75, 100]


def test_boxes_of_an_image_are_no_neighbours_of_each_other() -> None:
    vectors = unit(0, 1, 40)
    usual = usual_distances(vectors, items_of("a", "a", "b"))
    np.testing.assert_allclose(usual[:, 0], 1 - np.cos(np.radians([40, 39, 39])), atol=1e-6)
    nearest = TrainingImages(items_of("a", "a", "b"), vectors, usual, 3).nearest(unit(0)[0])
    assert [each.item.record.image_id for each in nearest] == ["a", "b"], "an image comes once"


def test_too_many_items_are_thinned_evenly() -> None:
    assert spread(10, 4) == [0, 2, 5, 7]
    boxes = Boxes(np.array([[0, 0, 2, 2], [1, 1, 3, 3]], np.float32), np.array([1, 0]))
    records = [Record(str(index), Path(str(index)), boxes) for index in range(3)]
    items, total = chosen_items(records, boxes=True, most=3)
    assert total == 6 and [(item.record.image_id, item.labels) for item in items] == [
        ("0", (1,)),
        ("1", (1,)),
        ("2", (1,)),
    ]


def test_a_box_is_embedded_by_what_lies_in_it() -> None:
    """Two images, equal inside the box and different outside: equal vectors of the box up to what the network's
    receptive field brings in, and different ones of the image."""
    model = build_model(composed("model=light", "width=0.0625"), 2).eval()
    images = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    images[1] = images[0]
    images[1, :, :, 64:] = 1 - images[0, :, :, 64:]
    boxes = torch.tensor([[0.0, 0.0, 24.0, 24.0], [100.0, 100.0, 128.0, 128.0]])
    near, far = box_vectors(model, images, [boxes, boxes]).reshape(2, 2, -1).transpose(0, 1)
    torch.testing.assert_close(near.norm(dim=1), torch.ones(2))
    assert 1 - near[0] @ near[1] < 0.2 * (1 - far[0] @ far[1])


@pytest.fixture()
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Predictor, Any, Path]:
    """A classifier without training, a checkpoint of it, and twelve images in folders of two classes."""
    monkeypatch.setenv("LIGHTDET_CACHE", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    for split, count in (("train", 5), ("val", 1)):
        for name in CLASSES:
            folder = tmp_path / "data" / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = random.integers(0, 255, (6, 6, 3), np.uint8).repeat(8, 0).repeat(8, 1)
                Image.fromarray(pixels).save(folder / f"{index}.png")
    words = ("model=light_classifier", "data=folder", f"data.reader.root={tmp_path / 'data'}", "image_size=48")
    config = composed(*words)
    torch.manual_seed(0)
    model = build_model(config, 2).eval()
    weights = tmp_path / "best.ckpt"
    torch.save(model.state_dict(), weights)
    return Predictor(model, CLASSES, 48), config, weights


def test_a_training_image_is_nearest_to_itself(run: Any) -> None:
    predictor, config, weights = run
    found = training_images(predictor, config, weights)
    assert len(found.items) == found.total == 10 and found.unit == "image"
    for item in found.items[::3]:
        pixels = np.asarray(Image.open(item.record.path))
        image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
        first, second = found.nearest(image_vectors(predictor.model, image)[0].numpy(), 2)
        assert first.item is item and first.distance == 0 and second.distance > 0


def test_the_cache_serves_one_checkpoint_and_one_list_of_images(
    run: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    predictor, config, weights = run
    computed: list[int] = []
    compute = module._computed
    monkeypatch.setattr(module, "_computed", lambda *args: computed.append(1) or compute(*args))
    first = training_images(predictor, config, weights)
    again = training_images(predictor, config, weights)
    assert len(computed) == 1
    np.testing.assert_array_equal(first.vectors, again.vectors)
    np.testing.assert_array_equal(first.usual, again.usual)

    (kept,) = Path(os.environ["LIGHTDET_CACHE"]).glob("embeddings/*.safetensors")
    whole = kept.read_bytes()
    arrays = load(whole)
    narrow = save({**arrays, "vectors": arrays["vectors"][:, :3].copy()})
    huge = whole.replace(b'"shape":[10,', b'"shape":[99,')
    cut, renamed = whole[: len(whole) // 2], whole.replace(b"vectors", b"vectorz")
    for damage in (cut, b"", b"\x80\x04nonsense", renamed, narrow, huge):
        kept.write_bytes(damage)
        training_images(predictor, config, weights)
        assert "damaged" in capsys.readouterr().err and kept.read_bytes() == whole
    assert len(computed) == 7

    with torch.no_grad():
        next(predictor.model.parameters()).mul_(-1)
    torch.save(predictor.model.state_dict(), weights)
    other = training_images(predictor, config, weights)
    assert len(computed) == 8 and not np.allclose(other.vectors, first.vectors)

    first.items[0].record.path.write_bytes(first.items[1].record.path.read_bytes())
    changed = training_images(predictor, config, weights)
    np.testing.assert_allclose(changed.vectors[0], changed.vectors[1], atol=1e-6)


def test_a_numpy_file_in_the_cache_is_computed_again(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    predictor, config, weights = run
    training_images(predictor, config, weights)
    (kept,) = Path(os.environ["LIGHTDET_CACHE"]).glob("embeddings/*.safetensors")
    with open(kept, "wb") as file:
        np.save(file, np.zeros((10, 3), np.float32))
    assert len(training_images(predictor, config, weights).items) == 10
    assert "damaged (SafetensorError)" in capsys.readouterr().err


def test_an_image_that_cannot_be_read_is_named_and_left_out(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    predictor, config, weights = run
    broken = Path(config.data.reader.root) / "train" / "bar" / "2.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:-60])
    found = training_images(predictor, config, weights)
    assert [item.record.path == broken for item in found.items] == [False] * 9 and found.total == 10
    assert "not compared with" in capsys.readouterr().err and len(found.vectors) == 9


def test_missing_training_data_is_one_line(run: Any) -> None:
    predictor, config, weights = run
    config.data.reader.root = "/nowhere"
    with pytest.raises(LightdetError, match="/nowhere"):
        training_images(predictor, config, weights)
    package = OmegaConf.create({"data": {"bits": None}})
    with pytest.raises(LightdetError, match="a model package has no dataset"):
        training_images(predictor, package, weights)
