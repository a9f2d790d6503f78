"""The embedded data set: the same photos for the same seed, tight boxes, and a cache that is whole or absent."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir

from lightdet.core.errors import LightdetError
from lightdet.data.reader.synthetic import ABANDONED_SECONDS, LABELS_FILE, VAL_START, Synthetic
from lightdet.data.synthesis.scene import CLASSES, compose, main_class
from lightdet.data.synthesis.stations import contacts, drilled, plain, rimmed, screwed, washers, welded

SIZE = 160
SOME = [*range(60), *range(VAL_START, VAL_START + 30)]


@pytest.fixture(scope="module")
def photos():
    return [compose(0, index, SIZE) for index in SOME]


def small(cache: Path, **changes: int) -> Synthetic:
    return Synthetic(**{"train_images": 8, "val_images": 7, "size": 96, "seed": 0, **changes}, cache=str(cache))


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_names_are_those_of_the_field():
    assert CLASSES == (
        "surface_defect",
        "shape_deviation",
        "material_defect",
        "weld_defect",
        "functional_defect",
        "assembly_defect",
    )
    assert Synthetic().classes == CLASSES


def test_a_photo_depends_on_seed_and_number_alone(photos):
    again = compose(0, 17, SIZE)
    assert np.array_equal(again.image, photos[17].image)
    assert np.array_equal(again.boxes_xyxy, photos[17].boxes_xyxy)
    assert not np.array_equal(compose(1, 17, SIZE).image, again.image)
    assert len({photo.image.tobytes() for photo in photos}) == len(photos)


def test_boxes_touch_what_was_painted_on_all_four_sides(photos):
    for number, photo in zip(SOME, photos, strict=True):
        painted = photo.image != photo.intact
        for left, top, right, bottom in photo.boxes_xyxy.astype(int):
            assert 0 <= left < right <= SIZE and 0 <= top < bottom <= SIZE, number
            inside = painted[top:bottom, left:right]
            assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any(), number
            painted[top:bottom, left:right] = False
        assert not painted.any(), f"photo {number} was changed outside its boxes"


def test_boxes_are_apart_and_can_be_learned(photos):
    for photo in photos:
        sides = photo.boxes_xyxy[:, 2:] - photo.boxes_xyxy[:, :2]
        assert (sides >= 10).all() and (sides <= 100).all()
        for number, first in enumerate(photo.boxes_xyxy):
            for second in photo.boxes_xyxy[number + 1 :]:
                overlap = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
                assert overlap.min() < 0


def test_painting_is_strong_enough_to_be_seen(photos):
    for photo in photos:
        for left, top, right, bottom in photo.boxes_xyxy.astype(int):
            change = photo.image[top:bottom, left:right].astype(float) - photo.intact[top:bottom, left:right]
            assert np.abs(change).max() > 12


def test_good_parts_and_classes_come_in_fixed_shares(photos):
    assert [main_class(index) is None for index in range(25)].count(True) == 3
    wanted = [main_class(index) for index in range(350)]
    assert [wanted.count(label) for label in range(6)] == [52, 52, 51, 51, 51, 51] and wanted.count(None) == 42
    for index, photo in zip(SOME, photos, strict=True):
        label = main_class(index)
        assert (len(photo.labels) == 0) if label is None else (photo.labels[0] == label and len(photo.labels) <= 3)


@pytest.mark.parametrize("size", [96, 161, 320])
def test_other_sizes_hold_the_same_promises(size):
    for index in range(8):
        photo = compose(3, index, size)
        assert photo.image.shape == (size, size) and photo.image.dtype == np.uint8
        assert len(photo.labels) >= (main_class(index) is not None)
        assert (photo.boxes_xyxy >= 0).all() and (photo.boxes_xyxy <= size).all()


@pytest.mark.parametrize("station", [plain, rimmed, drilled, screwed, contacts, welded, washers])
def test_every_part_has_a_grey_picture_with_texture(station):
    for seed in range(4):
        piece = station(np.random.default_rng(seed), SIZE)
        assert np.isfinite(piece.image).all() and 40 < piece.image.mean() < 215 and piece.image.std() > 1


def test_the_reader_gives_what_was_drawn(tmp_path):
    reader = small(tmp_path, train_images=28, val_images=9)
    records = reader.read()
    assert {split: len(listed) for split, listed in records.items()} == {"train": 28, "val": 9}
    for split, start in (("train", 0), ("val", VAL_START)):
        assert set(np.concatenate([record.labels for record in records[split]])) == set(range(6))
        assert any(len(record.labels) == 0 for record in records[split])
        for number, record in enumerate(records[split]):
            drawn = compose(0, start + number, 96)
            assert np.array_equal(cv2.imread(str(record.path), cv2.IMREAD_UNCHANGED), drawn.image)
            assert np.array_equal(record.boxes_xyxy, drawn.boxes_xyxy) and record.boxes_xyxy.dtype == np.float32
            assert np.array_equal(record.labels, drawn.labels) and record.labels.dtype == np.int64
            assert reader.folder / record.image_id == record.path


def test_a_second_reading_writes_nothing(tmp_path):
    small(tmp_path).read()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    small(tmp_path).read()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_other_parameters_have_other_folders_and_the_same_ones_the_same_bytes(tmp_path):
    one, other = small(tmp_path / "a"), small(tmp_path / "b")
    one.read(), other.read()
    assert content(one.folder) == content(other.folder)
    folders = {small(tmp_path, **change).folder for change in ({}, {"seed": 1}, {"size": 97}, {"val_images": 6})}
    assert len(folders) == 4


@pytest.mark.parametrize("harm", ["no labels", "half labels", "no photo", "empty photo", "other json"])
def test_a_damaged_cache_is_drawn_again(tmp_path, harm):
    reader = small(tmp_path)
    reader.read()
    whole = content(reader.folder)
    labels, photo = reader.folder / LABELS_FILE, reader.folder / "val" / "00003.png"
    if harm == "no labels":
        labels.unlink()
    elif harm == "half labels":
        labels.write_bytes(labels.read_bytes()[:100])
    elif harm == "other json":
        labels.write_text('["train", "val"]')
    elif harm == "no photo":
        photo.unlink()
    else:
        photo.write_bytes(b"")
    small(tmp_path).read()
    assert content(reader.folder) == whole
    assert [path.name for path in tmp_path.iterdir()] == [reader.folder.name]


def test_what_a_killed_process_left_is_ignored_and_swept_when_old(tmp_path):
    reader = small(tmp_path)
    fresh, old = (tmp_path / f"{reader.folder.name}.draft-{name}" for name in ("fresh", "old"))
    for draft in (fresh, old):
        (draft / "train").mkdir(parents=True)
    past = time.time() - ABANDONED_SECONDS - 60
    os.utime(old, (past, past))
    assert len(reader.read()["train"]) == 8
    assert fresh.exists() and not old.exists()


def reading_process(cache: Path, train_images: int) -> subprocess.Popen[str]:
    code = f"""
from lightdet.data.reader.synthetic import Synthetic
print(len(Synthetic(train_images={train_images}, val_images=6, size=96, cache={str(cache)!r}).read()["train"]))
"""
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_after_a_kill_in_the_middle_the_next_reading_finishes(tmp_path):
    process = reading_process(tmp_path, 300)
    deadline = time.monotonic() + 60
    while not list(tmp_path.rglob("train/00005.png")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.communicate()
    assert process.returncode != 0
    reader = small(tmp_path, train_images=300, val_images=6)
    assert not reader.folder.exists()
    assert len(reader.read()["train"]) == 300


def test_processes_at_once_share_one_folder(tmp_path):
    running = [reading_process(tmp_path, 30) for _ in range(2)]
    assert [process.communicate(timeout=60)[0].strip() for process in running] == ["30", "30"]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_full_disk_is_told_first_cause_and_leaves_nothing(tmp_path, monkeypatch):
    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(LightdetError) as told:
        small(tmp_path).read()
    text = str(told.value)
    assert str(tmp_path) in text and "No space left" in text and "LIGHTDET_CACHE" in text and "\n" not in text
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_is_a_file_is_told_first_cause(tmp_path):
    (tmp_path / "cache").write_text("")
    with pytest.raises(LightdetError, match="LIGHTDET_CACHE"):
        small(tmp_path / "cache").read()


@pytest.mark.parametrize(
    "change", [{"train_images": 0}, {"val_images": -1}, {"size": 10}, {"seed": -1}, {"size": 96.5}]
)
def test_values_out_of_range_are_refused_at_the_door(tmp_path, change):
    with pytest.raises(LightdetError, match=next(iter(change))):
        small(tmp_path, **change)


def test_where_the_cache_lies(tmp_path, monkeypatch):
    monkeypatch.delenv("LIGHTDET_CACHE")  # of the test session
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert Synthetic().folder.parent == tmp_path / "xdg" / "lightdet"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert Synthetic(cache="").folder.parent == tmp_path / "home" / ".cache" / "lightdet"
    assert Synthetic(cache=str(tmp_path / "mine")).folder.parent == tmp_path / "mine"


@pytest.mark.parametrize(("value", "expected"), [(None, None), ("somewhere", "somewhere")])
def test_the_environment_moves_the_cache(monkeypatch, value, expected):
    monkeypatch.delenv("LIGHTDET_CACHE", raising=False)
    if value:
        monkeypatch.setenv("LIGHTDET_CACHE", value)
    conf = Path(__file__).parents[1] / "conf"
    with initialize_config_dir(str(conf), version_base="1.3"):
        cfg = hydra_compose("data/synthetic")
    assert cfg.data.reader.cache == expected
    assert cfg.data.reader._target_ == "lightdet.data.reader.synthetic.Synthetic"
