"""What the YOLO layout allows: spellings of the splits, polygons, links, labels that belong to no image."""

import os
from pathlib import Path

import pytest
from hydra.utils import instantiate
from tiny_datasets import (
    TRAIN,
    VAL,
    stem,
    write_photo,
    write_yolo,
    yolo_row,
)

from lightdet.core.errors import LightdetError
from lightdet.data.reader.yolo import Yolo
from lightdet.data.record import doubts_of
from lightdet.doctor.examine import examine


@pytest.mark.parametrize(
    "content",
    [
        "path: .\ntrain: images/train\nval: images/val\nnames: {0: scratch, 1: dent}\n",
        "path: ../elsewhere\ntrain: ../images/train\nval: ../images/val\nnames: [scratch, dent]\n",
        "path: images\ntrain: train\nval: [val]\ntest:\nnames: [scratch, dent]\n",
        "train: lists/train.txt\nval: lists/val.txt\nnames: [scratch, dent]\n",
    ],
    ids=["path", "Roboflow", "path of a folder", "lists"],
)
def test_yolo_spellings_of_the_splits(content: str, tmp_path: Path) -> None:
    settings = write_yolo(tmp_path)
    (tmp_path / "data.yaml").write_text(content)
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "train.txt").write_text("".join(f"../images/train/{s}.png\n" for s in TRAIN))
    (tmp_path / "lists" / "val.txt").write_text("".join(f"./images/val/{s}.png\n" for s in VAL))
    records = instantiate(settings).read()
    assert [stem(r) for r in records["train"]] == list(TRAIN)
    assert [stem(r) for r in records["val"]] == list(VAL)
    assert all(len(r.labels) == 1 for r in records["train"])


def test_yolo_polygons_windows_paths_and_a_split_of_ours(tmp_path: Path) -> None:
    settings = write_yolo(tmp_path)
    (tmp_path / "data.yaml").write_text("train: images\\train\nnames: [scratch, dent]\n")
    (tmp_path / "labels" / "train" / "a.txt").write_text("1 0.25 0.5 0.5 0.25 0.75 0.75\n" + yolo_row(0))
    records = Yolo(str(settings["root"]), val_share=0.25).read()
    everything = {stem(r): r for r in records["train"] + records["val"]}
    assert set(everything) == set(TRAIN) and len(records["val"]) == 2  # a photo of each class
    assert everything["a"].boxes_xyxy[0].tolist() == [8, 6, 24, 18]
    assert everything["a"].labels.tolist() == [1, 0]


def test_yolo_labels_that_belong_to_no_photo_are_told(tmp_path: Path) -> None:
    settings = write_yolo(tmp_path)
    labels = tmp_path / "labels" / "train"
    (labels / "classes.txt").write_text("scratch\ndent\n")
    reader = instantiate(settings)
    assert len(reader.read()["train"][0].labels) == 1 and not doubts_of(reader)
    (labels / "a.txt").rename(labels / "A0.txt")
    assert len(reader.read()["train"][0].labels) == 0
    bare, doubt = doubts_of(reader)
    assert bare.startswith("1 image without a label file") and "a.png" in bare
    assert doubt.startswith(f"1 label file without an image, such as {labels / 'A0.txt'}")
    assert any(finding.message == doubt for finding in examine(reader, 64).findings)


def test_yolo_photos_that_share_a_label_file_are_told(tmp_path: Path) -> None:
    settings = write_yolo(tmp_path)
    reader = instantiate(settings)
    photo = reader.read()["train"][0].path
    assert doubts_of(reader) == ()
    write_photo(photo.with_suffix(".bmp"), seed=9)
    reader = instantiate(settings)
    reader.read()
    (doubt,) = doubts_of(reader)
    assert doubt.startswith("1 label file of more than one image") and f"{photo.stem}.txt" in doubt


def test_yolo_photos_behind_two_names_of_a_folder_are_read_once(tmp_path: Path) -> None:
    settings = write_yolo(tmp_path)
    os.symlink(tmp_path / "images" / "train", tmp_path / "images" / "train" / "back")  # a cycle
    assert tuple(map(stem, instantiate(settings).read()["train"])) == TRAIN
    for kind in ("images", "labels"):
        (tmp_path / kind / "both").mkdir()
        for name in ("one", "two"):
            os.symlink(tmp_path / kind / "train", tmp_path / kind / "both" / name)
    (tmp_path / "data.yaml").write_text("train: images/both\nval: images/val\nnames: [scratch, dent]\n")
    assert [record.image_id for record in instantiate(settings).read()["train"]] == [
        f"images/both/one/{name}.png" for name in TRAIN
    ]


def test_yolo_labels_beside_the_photos_of_a_set_that_lies_in_a_folder_named_images(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "images" / "set", tmp_path / "elsewhere"
    for folder in (root / "train", elsewhere):
        write_photo(folder / "a.png")
        (folder / "a.txt").write_text(yolo_row(0))
    os.symlink(elsewhere, root / "train" / "linked")
    (root / "data.yaml").write_text("train: train\nval: train\nnames: [scratch, dent]\n")
    with pytest.raises(LightdetError, match="follow_links"):
        Yolo(str(root)).read()
    records = Yolo(str(root), follow_links=True).read()["train"]
    assert [len(record.labels) for record in records] == [1, 1]
