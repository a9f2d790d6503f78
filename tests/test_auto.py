"""`data=auto` recognises a folder, says what it took it for, and reads it as the printed words do."""

import json
import os
import shlex
from pathlib import Path

import pytest
from hydra.utils import instantiate
from tiny_datasets import (
    STEMS,
    TRAIN,
    WRITERS,
    coco_document,
    voc_object,
    voc_xml,
    write_photo,
    write_voc,
    write_yolo,
    yolo_row,
)
from tool_datasets import TOOL_WRITERS, build, write_cvat, write_label_studio, write_labelme

from lightdet.config.compose import compose_config
from lightdet.core.errors import LightdetError
from lightdet.data.convert import FORMATS, convert
from lightdet.data.reader.auto import recognise
from lightdet.data.record import Record

KNOWN_TO_AUTO = {**WRITERS, **TOOL_WRITERS}


def auto(root: Path, capsys: pytest.CaptureFixture[str]) -> tuple[str, dict[str, list[Record]], str]:
    """What auto says, the records that it reads, and the option of the words that it prints, which read the same."""
    config = compose_config(["data=auto", f"data.reader.root={root}", "data.reader.val_share=0.34"])
    reader = instantiate(config.data.reader)
    records = reader.read()
    said = capsys.readouterr().err.strip()
    words = shlex.split(said.partition("the same is ")[2])
    named = compose_config(words).data.reader
    if "val_share" in named:
        named.val_share = 0.34
    same = instantiate(named)
    assert tuple(same.classes) == reader.classes
    assert {split: summary(some) for split, some in same.read().items()} == {
        split: summary(some) for split, some in records.items()
    }
    return said, records, words[0].removeprefix("data=")


def summary(records: list[Record]) -> list[object]:
    return [(record.path, record.boxes_xyxy.tolist(), record.labels.tolist()) for record in records]


def images(records: dict[str, list[Record]]) -> dict[str, int]:
    return {split: len(some) for split, some in records.items()}


@pytest.mark.parametrize("layout", KNOWN_TO_AUTO)
def test_every_layout_is_recognised(layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = KNOWN_TO_AUTO[layout](tmp_path / "data")
    if layout == "deeppcb":
        for stem in STEMS:  # its own six classes
            (tmp_path / "data/PCBData/g_not" / f"{stem}.txt").write_text("1 2 9 9 6\n")
        with pytest.raises(LightdetError, match=r"6 pairs, 100 of them for validation"):
            auto_reader = build({"_target_": "lightdet.data.reader.auto.Auto", "root": str(tmp_path / "data")})
            auto_reader.read()
        assert "data=deep_pcb" in capsys.readouterr().err
        return
    if layout == "coco":  # its file names start from a folder with a name of its own
        (tmp_path / "data" / "photos").rename(tmp_path / "data" / "images")
    said, records, option = auto(tmp_path / "data", capsys)
    assert option == settings["_target_"].split(".")[-2] and said.startswith("data=auto: ")
    assert sum(images(records).values()) == len(STEMS)
    if layout != "label_studio":
        assert images(records)["train"] == len(TRAIN)


@pytest.mark.parametrize("to", FORMATS)
def test_what_convert_writes_is_recognised(to: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    convert(build(write_voc(tmp_path / "data")), to, tmp_path / "new")
    _, records, option = auto(tmp_path / "new", capsys)
    assert option == to and images(records) == {"train": 4, "val": 2}


def test_roboflow_coco_and_yolo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder, stems in (("train", STEMS[:3]), ("valid", STEMS[3:5]), ("test", STEMS[5:])):
        for stem in stems:
            write_photo(tmp_path / "coco" / folder / f"{stem}.png")
        text = json.dumps(coco_document(stems))
        (tmp_path / "coco" / folder / "_annotations.coco.json").write_text(text)
    (tmp_path / "coco" / "README.roboflow.txt").write_text("x")
    _, records, option = auto(tmp_path / "coco", capsys)
    assert option == "coco" and images(records) == {"train": 3, "val": 2, "test": 1}

    write_yolo(tmp_path / "yolo")
    for folder, split in (("train", "train"), ("valid", "val")):
        (tmp_path / "yolo" / folder).mkdir()
        for kind in ("images", "labels"):
            (tmp_path / "yolo" / kind / split).rename(tmp_path / "yolo" / folder / kind)
    (tmp_path / "yolo" / "data.yaml").write_text(
        "train: ../train/images\nval: ../valid/images\nnc: 2\nnames: ['scratch', 'dent']\n"
    )
    _, records, option = auto(tmp_path / "yolo", capsys)
    assert option == "yolo" and images(records) == {"train": 4, "val": 2}


def test_cvat_coco_and_label_studio_coco(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = coco_document(STEMS)
    for stem in STEMS:
        write_photo(tmp_path / "cvat" / "images" / "default" / f"{stem}.png")
        write_photo(tmp_path / "studio" / "images" / f"0a1b-{stem}.png")
    (tmp_path / "cvat" / "annotations").mkdir()
    (tmp_path / "cvat" / "annotations" / "instances_default.json").write_text(json.dumps(document))
    _, records, option = auto(tmp_path / "cvat", capsys)
    assert option == "coco" and sum(images(records).values()) == 6
    for image in document["images"]:
        image["file_name"] = f"images/0a1b-{image['file_name']}"
    (tmp_path / "studio" / "result.json").write_text(json.dumps(document))
    _, records, option = auto(tmp_path / "studio", capsys)
    assert option == "coco" and sum(images(records).values()) == 6


def test_labelimg_and_folders_around(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_voc(tmp_path / "a" / "b" / "data")
    root = tmp_path / "a" / "b" / "data"
    for stem in STEMS:
        (root / "IMAGES" / f"{stem}.png").rename(root / f"{stem}.png")
        (root / "ANNOTATIONS" / f"{stem}.xml").rename(root / f"{stem}.xml")
    for path in (root / "IMAGES", root / "ANNOTATIONS"):
        path.rmdir()
    for name in ("train.txt", "val.txt"):
        (root / name).unlink()
    (tmp_path / "a" / "__MACOSX").mkdir()
    said, records, option = auto(tmp_path / "a", capsys)
    assert (
        option == "voc"
        and "XML files beside the images" in said
        and f"data.reader.root={root.parent} data.reader.images=data" in said
    )
    assert sum(images(records).values()) == 6


def test_none_and_several_are_refused_with_what_helps(tmp_path: Path) -> None:
    settings = {"_target_": "lightdet.data.reader.auto.Auto", "root": str(tmp_path)}
    write_photo(tmp_path / "a.png")
    with pytest.raises(LightdetError, match=r"no known layout; looked for a YAML file with names.*; name the format"):
        build(settings)
    write_cvat(tmp_path)
    write_label_studio(tmp_path)
    with pytest.raises(LightdetError) as raised:
        build(settings)
    line = str(raised.value)
    assert "several layouts fit" in line and "data=cvat " in line and "data=label_studio " in line and "\n" not in line


def test_looking_is_cheap_and_opens_regular_files_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:

    write_labelme(tmp_path)
    os.mkfifo(tmp_path / "a.json")
    os.mkfifo(tmp_path / "data.yaml")
    (tmp_path / "big.xml").write_bytes(b"<svg>" + b" " * 5_000_000)
    _, records, option = auto(tmp_path, capsys)
    assert option == "labelme" and images(records) == {"train": 4, "val": 2}


def test_the_real_datasets_are_recognised(real_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, records, option = auto(real_data / "neu-det", capsys)
    assert option == "voc" and images(records) == {"train": 1260, "val": 180}
    _, records, option = auto(real_data / "deep-pcb", capsys)
    assert option == "deep_pcb" and images(records) == {"train": 900, "val": 100}


def test_cvat_yolo_and_label_studio_yolo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cvat, studio = tmp_path / "cvat", tmp_path / "studio"
    for stem in STEMS:
        write_photo(cvat / "obj_train_data" / f"{stem}.png")
        (cvat / "obj_train_data" / f"{stem}.txt").write_text(yolo_row(0))
        write_photo(studio / "images" / f"{stem}.png")
        (studio / "labels").mkdir(exist_ok=True)
        (studio / "labels" / f"{stem}.txt").write_text(yolo_row(1))
    (cvat / "obj.names").write_text("scratch\ndent\n")
    (cvat / "obj.data").write_text("classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n")
    (cvat / "train.txt").write_text("".join(f"data/obj_train_data/{stem}.png\n" for stem in STEMS))
    said, records, option = auto(cvat, capsys)
    assert option == "yolo_names" and sum(images(records).values()) == 6 and "data.reader.names=obj.names" in said
    (studio / "classes.txt").write_text("scratch\ndent\n")
    (studio / "notes.json").write_text('{"categories": [{"id": 0, "name": "scratch"}], "info": {}}')
    _, records, option = auto(studio, capsys)
    assert option == "yolo_names" and sum(images(records).values()) == 6
    assert all(record.labels.tolist() == [1] for record in records["train"])


def test_roboflow_voc(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder, stems in (("train", STEMS[:3]), ("valid", STEMS[3:5]), ("test", STEMS[5:])):
        for stem in stems:
            write_photo(tmp_path / folder / f"{stem}.png")
            (tmp_path / folder / f"{stem}.xml").write_text(voc_xml(voc_object() if stem != "b" else ""))
    _, records, option = auto(tmp_path, capsys)
    assert option == "voc_folders" and images(records) == {"train": 3, "val": 2, "test": 1}
    assert [len(record.labels) for record in records["train"]] == [1, 0, 1]
    folders = {"_target_": "lightdet.data.reader.voc_folders.VocFolders", "root": str(tmp_path)}
    whole = build(folders, train=".", val=None, val_share=0.5).read()
    assert sum(images(whole).values()) == 6 and "test" not in whole
    with pytest.raises(LightdetError, match=r"dev: no such folder; correct data\.reader\.root or data\.reader\.val"):
        build(folders, val="dev")


def test_names_of_yolo_classes_are_lines_of_a_file(tmp_path: Path) -> None:
    write_yolo(tmp_path)
    names = {"_target_": "lightdet.data.reader.yolo_names.YoloNames", "root": str(tmp_path)}
    with pytest.raises(LightdetError, match=r"classes\.txt: no such file, but data\.reader\.names names it"):
        build(names)
    (tmp_path / "classes.txt").write_text("scratch\n\ndent\n")
    with pytest.raises(LightdetError, match=r"classes\.txt: class 1 has no proper name"):
        build(names)
    (tmp_path / "classes.txt").write_text("scratch\ndent\n\n")
    reader = build(names, train="images/train", val="images/val")
    assert reader.classes == ("scratch", "dent") and images(reader.read()) == {"train": 4, "val": 2}
    with pytest.raises(LightdetError, match=r"dev: no such folder or list file, but data\.reader names it for 'val'"):
        build(names, train="images/train", val="dev").read()


@pytest.mark.parametrize("folder", [".", "images"])
def test_a_lone_table_of_labels(folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for stem in STEMS:
        write_photo(tmp_path / folder / f"{stem}.png")
    rows = [f"{stem}.png;{'good' if number % 2 else 'bad'}\n" for number, stem in enumerate(STEMS)]
    (tmp_path / "labels.csv").write_text("image;label\n" + "".join(rows))
    _, records, option = auto(tmp_path, capsys)
    assert option == "csv" and sum(images(records).values()) == len(STEMS)
    (tmp_path / "more.csv").write_text("")
    with pytest.raises(LightdetError, match=r"no known layout; .* labels\.csv with lines of an image and its label"):
        recognise(tmp_path)


def test_a_table_as_that_of_elpv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for stem in STEMS:
        write_photo(tmp_path / "images" / f"{stem}.png")
    rows = [f"images/{stem}.png  {float(number % 2)}   mono\n" for number, stem in enumerate(STEMS)]
    (tmp_path / "labels.csv").write_text("".join(rows))
    _, records, option = auto(tmp_path, capsys)
    assert option == "elpv" and sum(images(records).values()) == len(STEMS)
