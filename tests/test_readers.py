"""Every layout becomes the same records, photos of every depth the same pixels, and splits are fair and repeatable."""

import json
import os
import time
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from hydra.utils import instantiate
from PIL import Image
from tiny_datasets import (
    BOX,
    CLASSES,
    TRAIN,
    VAL,
    WRITERS,
    coco_document,
    label_of,
    voc_object,
    voc_xml,
    write_coco,
    write_deeppcb,
    write_photo,
    write_voc,
    write_yolo,
    yolo_row,
)

from lightdet.core.annotation import Boxes
from lightdet.core.errors import LightdetError
from lightdet.data.image import is_deep, original_size, read_image
from lightdet.data.reader.coco import Coco
from lightdet.data.reader.deeppcb import DeepPcb
from lightdet.data.reader.voc import Voc
from lightdet.data.reader.yolo import Yolo
from lightdet.data.record import Record, doubts_of
from lightdet.data.split import split
from lightdet.doctor.examine import examine

NEU_DET = ("crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches")
DEEP_PCB = ("open", "short", "mousebite", "spur", "copper", "pin-hole")


def stem(record: Record) -> str:
    return record.path.stem.removesuffix("_test")


# ---------------------------------------------------------------- readers


def test_a_photo_that_is_named_twice_is_refused_however_it_is_spelled(tmp_path: Path) -> None:
    settings = write_voc(tmp_path / "voc")
    (tmp_path / "voc" / "val.txt").write_text("e\ne.png\n")
    with pytest.raises(LightdetError, match=r"e\.png: named twice for the split 'val'"):
        instantiate(settings).read()
    settings = write_deeppcb(tmp_path / "pcb")
    (tmp_path / "pcb" / "PCBData" / "val.txt").write_text("g/b.jpg\tg_not/b.txt\n")  # the list has a space there
    records = instantiate(settings).read()
    assert [stem(r) for r in records["val"]] == ["b"] and "b" not in [stem(r) for r in records["train"]]


@pytest.mark.parametrize("layout", WRITERS)
def test_every_layout_gives_the_same_records(layout: str, tmp_path: Path) -> None:
    reader = instantiate(WRITERS[layout](tmp_path))
    assert reader.classes == CLASSES
    records = reader.read()
    assert {name: tuple(map(stem, some)) for name, some in records.items()} == {"train": TRAIN, "val": VAL}
    for record in records["train"] + records["val"]:
        assert record.boxes_xyxy.dtype == np.float32 and record.labels.dtype == np.int64
        np.testing.assert_allclose(record.boxes_xyxy, [BOX], atol=1e-5)
        assert record.labels.tolist() == [label_of(stem(record))]
        assert tmp_path / record.image_id == record.path
        assert read_image(record.path).shape == (24, 32, 3)


@pytest.mark.parametrize("layout", WRITERS)
def test_reading_twice_gives_the_same(layout: str, tmp_path: Path) -> None:
    reader = instantiate(WRITERS[layout](tmp_path))
    first, second = reader.read(), reader.read()
    assert [r.image_id for r in first["train"]] == [r.image_id for r in second["train"]]


def test_a_box_up_to_a_pixel_outside_is_cut_at_the_border(tmp_path: Path) -> None:
    settings = write_voc(tmp_path)
    (tmp_path / "ANNOTATIONS" / "a.xml").write_text(voc_xml(voc_object(box=(-0.5, 0, 33, 25))))
    record = instantiate(settings).read()["train"][0]
    assert record.boxes_xyxy.tolist() == [[0, 0, 32, 24]]


def test_a_photo_without_objects_is_kept(tmp_path: Path) -> None:
    (tmp_path / "voc").mkdir()
    voc = write_voc(tmp_path / "voc")
    (tmp_path / "voc" / "ANNOTATIONS" / "a.xml").write_text(voc_xml(""))
    yolo = write_yolo(tmp_path / "yolo")
    (tmp_path / "yolo" / "labels" / "train" / "a.txt").unlink()
    (tmp_path / "yolo" / "labels" / "train" / "b.txt").write_text("\n")
    coco = write_coco(tmp_path / "coco")
    document = coco_document(TRAIN)
    del document["annotations"][0]
    (tmp_path / "coco" / "train.json").write_text(json.dumps(document))
    board = write_deeppcb(tmp_path / "board")
    (tmp_path / "board" / "PCBData" / "g_not" / "a.txt").write_text("")
    for settings in (voc, yolo, coco, board):
        record = instantiate(settings).read()["train"][0]
        assert record.boxes_xyxy.shape == (0, 4) and record.labels.shape == (0,)
    assert len(instantiate(yolo).read()["train"][1].labels) == 0


def test_links_inside_the_root_are_followed_and_those_outside_on_request(tmp_path: Path) -> None:
    settings = write_voc(tmp_path / "data")
    image = tmp_path / "data" / "IMAGES" / "a.png"
    os.symlink("a.png", image.with_name("linked.png"))
    (tmp_path / "data" / "ANNOTATIONS" / "linked.xml").write_text(voc_xml(voc_object()))
    (tmp_path / "data" / "train.txt").write_text("linked\nb\n")
    assert instantiate(settings).read()["train"][0].image_id == "IMAGES/linked.png"
    image.rename(tmp_path / "a.png")
    os.symlink(tmp_path / "a.png", image)
    with pytest.raises(LightdetError, match="follow_links"):
        instantiate(settings).read()
    assert instantiate(settings, follow_links=True).read()["train"][0].image_id == "IMAGES/linked.png"
    os.symlink(tmp_path / "data", tmp_path / "root")  # the root itself may be a link
    assert len(instantiate(settings, root=str(tmp_path / "root"), follow_links=True).read()["train"]) == 2


def test_voc_classic_layout_difficult_objects_and_names_with_a_flag(tmp_path: Path) -> None:
    write_voc(tmp_path)
    (tmp_path / "IMAGES").rename(tmp_path / "JPEGImages")
    (tmp_path / "ANNOTATIONS").rename(tmp_path / "Annotations")
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a  1\nb -1\n")
    (lists / "val.txt").write_text("c.png\n")
    (lists / "test.txt").write_text("d\n")
    hard = voc_object().replace("<difficult>0", "<difficult>1")
    (tmp_path / "Annotations" / "a.xml").write_text(voc_xml(voc_object() + hard, width=0, height=0))
    folders = {"images": "JPEGImages", "annotations": "Annotations"}
    lists_of = {f"{name}_list": f"ImageSets/Main/{name}.txt" for name in ("train", "val", "test")}
    records = Voc(str(tmp_path), CLASSES, **folders, **lists_of).read()
    assert {name: [stem(r) for r in some] for name, some in records.items()} == {
        "train": ["a", "b"],
        "val": ["c"],
        "test": ["d"],
    }
    assert len(records["train"][0].labels) == 2
    easy = Voc(str(tmp_path), CLASSES, **folders, **lists_of, keep_difficult=False).read()
    assert len(easy["train"][0].labels) == 1


def test_voc_without_lists_is_split_here(tmp_path: Path) -> None:
    settings = write_voc(tmp_path)
    (tmp_path / "train.txt").unlink()
    (tmp_path / "val.txt").unlink()
    records = instantiate(settings, val_share=0.34).read()
    assert len(records["train"]) == 4 and len(records["val"]) == 2
    assert {label for record in records["val"] for label in record.labels} == {0, 1}


@pytest.mark.parametrize("text", ["a\nd\n", "a.png\nd.png\n", "a 1\nd -1\n", "./a\n./d\n"])
def test_voc_photos_of_the_test_list_are_in_no_other_split_however_they_are_spelled(text: str, tmp_path: Path) -> None:
    settings = write_voc(tmp_path)
    for name in ("train.txt", "val.txt"):
        (tmp_path / name).unlink()
    (tmp_path / "test.txt").write_text(text)
    records = instantiate(settings).read()
    assert [stem(r) for r in records["test"]] == ["a", "d"]
    assert sorted(stem(r) for r in records["train"] + records["val"]) == ["b", "c", "e", "f"]


def test_coco_labels_follow_the_category_ids_and_the_names_of_the_training_file(tmp_path: Path) -> None:
    settings = write_coco(tmp_path)
    document = coco_document(VAL)
    document["categories"] = [{"id": 1, "name": "dent"}, {"id": 2, "name": "scratch"}]
    for annotation in document["annotations"]:
        annotation["category_id"] = {10: 2, 20: 1}[annotation["category_id"]]
    document["annotations"].append({"id": 9, "image_id": 0, "category_id": 1, "bbox": [0, 0, 32, 24], "iscrowd": 1})
    (tmp_path / "val.json").write_text(json.dumps(document))
    records = instantiate(settings).read()
    assert [r.labels.tolist() for r in records["val"]] == [[label_of(s)] for s in VAL]
    document["annotations"][-1]["iscrowd"] = "0"
    (tmp_path / "val.json").write_text(json.dumps(document))
    with pytest.raises(LightdetError, match="'iscrowd' is '0'; give 0 or 1"):
        instantiate(settings).read()


def test_coco_in_one_file_is_split_here(tmp_path: Path) -> None:
    settings = write_coco(tmp_path)
    records = Coco(str(settings["root"]), "train.json", train_images="photos", val_share=0.5).read()
    assert {stem(r) for r in records["train"]} | {stem(r) for r in records["val"]} == set(TRAIN)
    assert len(records["val"]) == 2


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
    (doubt,) = doubts_of(reader)
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


def test_deeppcb_val_list_and_any_suffix(tmp_path: Path) -> None:
    settings = write_deeppcb(tmp_path)
    (tmp_path / "PCBData" / "val.txt").write_text("g/b.jpg g_not/b.txt\n")
    (tmp_path / "PCBData" / "test.txt").write_text("g/f.jpg g_not/f.txt\n")
    Image.open(tmp_path / "PCBData" / "g" / "b_test.png").save(tmp_path / "PCBData" / "g" / "b_test.jpg")
    (tmp_path / "PCBData" / "g_not" / "b.txt").write_text("4,6,20,18,2\n")
    records = instantiate(settings).read()
    assert [r.path.name for r in records["val"]] == ["b_test.jpg"]
    assert [stem(r) for r in records["train"]] == ["a", "c", "d", "e", "f"]
    assert [stem(r) for r in records["test"]] == ["f"]
    assert records["val"][0].labels.tolist() == [1]


def test_neu_det_is_read_whole_and_fast(real_data: Path) -> None:
    seconds = []
    for _ in range(2):  # the better of two: the machine may be busy
        started = time.process_time()
        records = Voc(str(real_data / "neu-det"), NEU_DET).read()
        seconds.append(time.process_time() - started)
    assert min(seconds) < 2
    assert {name: (len(s), sum(len(r.labels) for r in s)) for name, s in records.items()} == {
        "train": (1260, 2939),
        "val": (180, 423),
    }
    first = next(r for r in records["train"] if r.image_id == "IMAGES/crazing_1.jpg")
    assert first.boxes_xyxy.tolist() == [[2, 2, 193, 194]] and first.labels.tolist() == [0]


def test_deep_pcb_is_read_whole(real_data: Path) -> None:
    records = DeepPcb(str(real_data / "deep-pcb"), DEEP_PCB).read()
    assert {name: (len(s), sum(len(r.labels) for r in s)) for name, s in records.items()} == {
        "train": (900, 6213),
        "val": (100, 660),
    }
    first = records["train"][0]
    assert first.image_id == "PCBData/group20085/20085/20085000_test.png"
    assert first.boxes_xyxy[0].tolist() == [409, 394, 435, 422] and first.labels[0] == 2


# ---------------------------------------------------------------- split


def records_of(labels: list[list[int]]) -> list[Record]:
    return [
        Record(
            f"{i:03}.png", Path(f"{i:03}.png"), Boxes(np.zeros((len(some), 4), np.float32), np.array(some, np.int64))
        )
        for i, some in enumerate(labels)
    ]


def test_split_keeps_every_class_and_the_photos_without_defects_in_proportion() -> None:
    records = records_of([[0]] * 100 + [[1, 1]] * 20 + [[0, 2]] * 10 + [[]] * 50 + [[3]] * 2)
    train, val = split(records, 0.2, seed=0, num_classes=4)
    assert len(train) + len(val) == len(records) and not {r.image_id for r in train} & {r.image_id for r in val}
    shown = [sum(label in r.labels for r in val) for label in range(4)]
    assert shown == [22, 4, 2, 1]
    assert sum(not len(r.labels) for r in val) == 10


def test_split_depends_on_the_seed_and_not_on_the_order() -> None:
    records = records_of([[i % 3] for i in range(60)])
    val = [r.image_id for r in split(records, 0.25, 7, 3)[1]]
    assert val == [r.image_id for r in split(records[::-1], 0.25, 7, 3)[1]]
    assert val != [r.image_id for r in split(records, 0.25, 8, 3)[1]]


@pytest.mark.parametrize("labels", [[[0], [1]], [[], []], [[0], [0]], [[0, 1, 2], [2]]])
def test_split_leaves_nothing_empty(labels: list[list[int]]) -> None:
    train, val = split(records_of(labels), 0.1, 0, 3)
    assert len(train) == len(val) == 1


def test_split_refuses_what_cannot_be_split() -> None:
    with pytest.raises(LightdetError, match="val_share=1"):
        split(records_of([[0], [0]]), 1.0, 0, 1)
    with pytest.raises(LightdetError, match="val_share=abc"):
        split(records_of([[0], [0]]), "abc", 0, 1)  # type: ignore[arg-type]  # as a command line may have it
    with pytest.raises(LightdetError, match="1 labelled image"):
        split(records_of([[0]]), 0.5, 0, 1)


# ---------------------------------------------------------------- photos


def test_photos_of_every_depth(tmp_path: Path) -> None:
    eight = np.array([[0, 1, 128, 255]], np.uint8)
    colour = np.stack((eight, eight[:, ::-1], np.full_like(eight, 7)), axis=2)
    grey = np.repeat(eight[..., None], 3, axis=2)
    sixteen = eight.astype(np.uint16) * 257
    alpha = np.dstack((colour, np.array([[0, 9, 99, 255]], np.uint8)))
    Image.fromarray(eight).save(tmp_path / "grey.png")
    Image.fromarray(sixteen).save(tmp_path / "grey16.png")
    Image.fromarray(sixteen).save(tmp_path / "grey16.tif")
    Image.fromarray(colour).save(tmp_path / "colour.png")
    Image.fromarray(alpha).save(tmp_path / "alpha.png")
    Image.fromarray(colour).quantize(4).save(tmp_path / "palette.gif")
    deep = colour[..., ::-1].astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "colour16.png"), deep)
    cv2.imwrite(str(tmp_path / "colour16.tif"), deep)
    expected = {"colour16.png": colour, "colour16.tif": colour, "colour.png": colour, "alpha.png": colour}
    expected |= {"grey.png": grey, "grey16.png": grey, "grey16.tif": grey, "palette.gif": colour}
    for name, pixels in expected.items():
        photo = read_image(tmp_path / name)
        np.testing.assert_array_equal(photo, pixels, err_msg=name)
        assert photo.dtype == np.uint8 and photo.flags.c_contiguous and photo.flags.writeable
        assert original_size(tmp_path / name) == (1, 4)
        assert is_deep(tmp_path / name) == ("16" in name)


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_a_palette_with_transparent_colours_is_read_without_a_warning(suffix: str, tmp_path: Path) -> None:
    image = Image.new("P", (3, 1))
    image.putdata([0, 1, 2])
    image.putpalette([255, 0, 0, 10, 20, 30, 0, 0, 255])
    path = tmp_path / f"palette.{suffix}"
    image.save(path, transparency=bytes([255, 0, 128]) if suffix == "png" else 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(path).tolist() == [[[255, 0, 0], [10, 20, 30], [0, 0, 255]]]


def test_one_bit_and_twelve_bit_photos(tmp_path: Path) -> None:
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "bit.png")
    assert read_image(tmp_path / "bit.png")[0, :, 0].tolist() == [255, 0]
    Image.fromarray(np.array([[0, 2048, 4095]], np.uint16)).save(tmp_path / "twelve.png")
    assert read_image(tmp_path / "twelve.png")[0, :, 2].tolist() == [0, 128, 255]


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("colour", [False, True])
def test_bits_of_the_camera_are_white_and_what_is_brighter_too(suffix: str, colour: bool, tmp_path: Path) -> None:
    values = np.array([[0, 512, 1023, 1024, 60000]], np.uint16)
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), np.repeat(values[..., None], 3, axis=2) if colour else values)
    for bits, greys in ((10, [0, 128, 255, 255, 255]), (12, [0, 32, 64, 64, 255]), (16, [0, 2, 4, 4, 233])):
        photo = read_image(tmp_path / f"a.{suffix}", bits)
        assert photo.tolist() == [[[grey] * 3 for grey in greys]]


def test_bits_of_the_camera_leave_an_eight_bit_photo_alone(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 7, 255]], np.uint8)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", 12)[0, :, 0].tolist() == [0, 7, 255]


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_the_exif_orientation_is_applied(suffix: str, tmp_path: Path) -> None:
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, 8:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to see it upright
    path = tmp_path / f"turned.{suffix}"
    Image.fromarray(pixels).save(path, exif=exif, lossless=True)
    photo = read_image(path)
    assert photo.shape == (16, 8, 3) and original_size(path) == (16, 8)
    assert photo[:8].max() == 0 and photo[8:].min() == 255


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "bmp", "webp"])
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5, 0.9])
def test_a_truncated_photo_is_told_first_cause(suffix: str, kept: float, tmp_path: Path) -> None:
    path = tmp_path / f"photo.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(LightdetError) as caught:
        read_image(path)
    assert path.name in str(caught.value) and "\n" not in str(caught.value)


def test_other_unreadable_photos(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "float.tif")
    (tmp_path / "script.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    for name, reason in (("float.tif", "floating-point"), ("script.eps", "not a readable image"), ("none.png", "")):
        with pytest.raises(LightdetError, match=f"{name}: .*{reason}"):
            read_image(tmp_path / name)
    with pytest.raises(LightdetError, match="no such image"):
        original_size(tmp_path / "none.png")
