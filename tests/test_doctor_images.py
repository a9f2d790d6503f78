"""What the doctor sees in the images: near copies across splits, images stored turned, and very different sizes."""

import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from hydra.utils import instantiate
from PIL import Image
from tiny_datasets import Settings, voc_object, voc_xml, write_voc

from lightdet.core.annotation import Boxes
from lightdet.data.record import Record
from lightdet.doctor.checks import check_shares
from lightdet.doctor.examine import examine
from lightdet.doctor.findings import Examination
from lightdet.doctor.near import TURNS, candidates, hash_of, turned, turned_hashes
from lightdet.doctor.picture import draw_report

SIDES = (160, 120)  # width, height, px


def surface(seed: int, grain: int = 12) -> np.ndarray:
    """A grey texture of its own for each seed, (120, 160) uint8."""
    coarse = np.random.default_rng(seed).normal(0, 1, (grain, grain)).astype(np.float32)
    fine = np.random.default_rng(seed + 1000).normal(0, 0.1, SIDES[::-1]).astype(np.float32)
    values = cv2.resize(coarse, SIDES, interpolation=cv2.INTER_CUBIC) + fine
    return np.clip(128 + 40 * values, 0, 255).astype(np.uint8)


def write_surfaces(root: Path, pixels: dict[str, np.ndarray] | None = None) -> Settings:
    """The VOC data of six images, a texture each; `pixels` replaces some of them."""
    settings = write_voc(root)
    for seed, stem in enumerate("abcdef"):
        image = (pixels or {}).get(stem, surface(seed))
        Image.fromarray(image).save(root / "IMAGES" / f"{stem}.png")
        xml = voc_xml(voc_object(("scratch", "dent")[seed % 2]), image.shape[1], image.shape[0])
        (root / "ANNOTATIONS" / f"{stem}.xml").write_text(xml)
    return settings


def examined(settings: Settings) -> Examination:
    return examine(instantiate(settings), 64)


def as_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE)


CHANGES = {
    "compressed": lambda image: as_jpeg(image, 40),
    "darker, less contrast": lambda image: (image * 0.7 + 10).astype(np.uint8),
    "half the size": lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "shifted by 3 px": lambda image: np.roll(image, 3, axis=1),
    "cut by 2 px": lambda image: image[:, 2:],
    "mirrored": lambda image: image[:, ::-1],
    "turned by a quarter and compressed": lambda image: as_jpeg(np.ascontiguousarray(np.rot90(image)), 60),
    "turned by half": lambda image: image[::-1, ::-1],
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_near_copy_in_another_split_is_told(tmp_path: Path, change: str) -> None:
    examination = examined(write_surfaces(tmp_path, {"e": np.ascontiguousarray(CHANGES[change](surface(1)))}))
    (finding,) = examination.findings
    assert (finding.level, finding.topic) == ("warning", "near copy")
    assert finding.images == ("IMAGES/b.png", "IMAGES/e.png") and examination.exit_code == 1
    assert "1 pair of images" in finding.message and "IMAGES/b.png in 'train', IMAGES/e.png in 'val'" in finding.message
    (pair,) = examination.near
    assert pair.splits == ("train", "val") and pair.bits <= 12


def test_near_copies_inside_a_split_and_equal_images_are_not_among_them(tmp_path: Path) -> None:
    inside = write_surfaces(tmp_path / "inside", {"b": as_jpeg(surface(0), 40)})
    assert examined(inside).findings == ()
    equal = examined(write_surfaces(tmp_path / "equal", {"e": surface(0)}))
    assert [finding.topic for finding in equal.findings] == ["leak"] and equal.near == ()


def test_parts_before_one_camera_are_no_near_copies(tmp_path: Path) -> None:
    """One scene, a defect of its own in each image: alike as thumbnails, but not the same image."""
    scene = surface(7)
    parts = {}
    for number, stem in enumerate("abcdef"):
        image = np.clip(scene + np.random.default_rng(number).normal(0, 4, scene.shape), 0, 255).astype(np.uint8)
        cv2.circle(image, (25 + 20 * number, 60), 2, 0 if number % 2 else 255, -1)
        parts[stem] = image
    assert examined(write_surfaces(tmp_path, parts)).findings == ()


def test_one_hash_gives_those_of_all_positions() -> None:
    image = cv2.cvtColor(surface(3), cv2.COLOR_GRAY2RGB)
    hashes = turned_hashes(np.array([hash_of(image)], np.uint64))[:, 0]
    assert [hash_of(np.ascontiguousarray(turned(image, turn))) for turn in range(8)] == hashes.tolist()
    assert len(set(hashes.tolist())) == 8 == len(TURNS)


def test_many_hashes_are_compared_quickly() -> None:
    random = np.random.default_rng(0)
    first, second = (random.integers(0, 2**63, count, dtype=np.uint64) << np.uint64(1) for count in (4000, 1000))
    second[:100] = first[:100] ^ np.uint64(2**5 + 2**40)
    began = time.process_time()
    found = candidates(first, second)
    assert time.process_time() - began < 2.0
    assert {(2, number, number, 0) for number in range(100)} <= set(found) and len(found) < 200


def test_images_stored_turned_are_told_and_drawn(tmp_path: Path) -> None:
    settings = write_surfaces(tmp_path, {"c": np.ascontiguousarray(np.rot90(surface(2)))})
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    path = tmp_path / "IMAGES" / "c.png"
    with Image.open(path) as image:
        image.save(path.with_suffix(".jpg"), exif=exif, quality=95)
    path.unlink()
    (tmp_path / "ANNOTATIONS" / "c.xml").write_text(voc_xml(voc_object(), *SIDES))
    examination = examined(settings)
    (finding,) = examination.findings
    assert (finding.level, finding.topic, finding.images) == ("warning", "EXIF orientation", ("IMAGES/c.jpg",))
    assert [record.image_id for record in examination.turned] == ["IMAGES/c.jpg"]
    before = len(draw_report(examined(write_surfaces(tmp_path / "upright")), "title"))
    assert len(draw_report(examination, "title")) > before + 5000, "one of them is drawn"


def test_images_of_very_different_sizes(tmp_path: Path) -> None:
    examination = examined(write_surfaces(tmp_path, {"d": cv2.resize(surface(3), (800, 600))}))
    (finding,) = (one for one in examination.findings if one.topic == "image sizes")
    assert finding.level == "note"
    assert "from 160 x 120 px (IMAGES/a.png) to 800 x 600 px (IMAGES/d.png)" in finding.message
    assert "5 times smaller" in finding.message


def records(labels: list[int]) -> list[Record]:
    box = np.float32([[1, 1, 9, 9]])
    names = [f"{number}.png" for number in range(len(labels))]
    return [Record(name, Path(name), Boxes(box, np.array([label]))) for name, label in zip(names, labels, strict=True)]


def test_splits_with_other_shares_of_the_classes() -> None:
    train = records([0, 1] * 100)
    assert check_shares({"train": train, "val": records([0, 1] * 25)}, ("scratch", "dent")) == []
    (finding,) = check_shares({"train": train, "val": records([0] * 5 + [1] * 45)}, ("scratch", "dent"))
    assert (finding.level, finding.topic) == ("note", "class shares")
    assert finding.message.startswith("scratch in 50% of the images of 'train' and 10% of 'val', dent in 50% ")
