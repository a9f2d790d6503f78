"""Names of files as systems and people give them: odd spaces, bytes that are no UTF-8, letters composed in two ways."""

import json
import os
import unicodedata
from pathlib import Path

import pytest
from hydra.utils import instantiate
from tiny_datasets import BOX, STEMS, coco_document, write_coco, write_voc, write_yolo

from lightdet.core.errors import LightdetError
from lightdet.doctor.examine import examine

ODD = (
    "at 3.00.00\u202fPM",
    "v\u00a013",
    "検査\u30001",
    "لک\u200cلک",
    "Ober\u00adfläche",
    "lot=7 (copy), a",
    "p#1",
    "p\u20281",
)


def renamed(folder: Path, suffix: str, pattern: str) -> None:
    for stem in STEMS:
        if (folder / f"{stem}{suffix}").exists():
            (folder / f"{stem}{suffix}").rename(folder / f"{pattern} {stem}{suffix}")


@pytest.mark.parametrize("name", ODD)
def test_what_the_file_system_hands_over_is_not_judged(name: str, tmp_path: Path) -> None:
    voc, yolo, coco = write_voc(tmp_path / "voc"), write_yolo(tmp_path / "yolo"), write_coco(tmp_path / "coco")
    for path in ("train.txt", "val.txt"):
        (tmp_path / "voc" / path).unlink()
    for folder, suffix in (("voc/IMAGES", ".png"), ("voc/ANNOTATIONS", ".xml")):
        renamed(tmp_path / folder, suffix, name)
    for split in ("train", "val"):
        renamed(tmp_path / "yolo/images" / split, ".png", name)
        renamed(tmp_path / "yolo/labels" / split, ".txt", name)
    renamed(tmp_path / "coco/photos", ".png", name)
    for split, stems in (("train", STEMS[:4]), ("val", STEMS[4:])):
        document = coco_document(stems)
        for entry in document["images"]:
            entry["file_name"] = f"{name} {entry['file_name']}"
        (tmp_path / "coco" / f"{split}.json").write_text(json.dumps(document))
    for settings in (voc, yolo, coco):
        records = instantiate(settings).read()
        assert sorted(r.image_id.rpartition(" ")[2] for some in records.values() for r in some) == [
            f"{s}.png" for s in STEMS
        ]
        assert all(r.boxes_xyxy.tolist()[0] == pytest.approx(BOX) for some in records.values() for r in some)


def test_bytes_that_are_no_text_are_read_and_written_out_in_ids(tmp_path: Path) -> None:
    settings = write_yolo(tmp_path)
    for folder, suffix in (("images", b".png"), ("labels", b".txt")):
        for split in ("train", "val"):
            place = os.fsencode(tmp_path / folder / split)
            for stem in STEMS:
                old = os.path.join(place, stem.encode() + suffix)
                if os.path.exists(old):
                    os.rename(old, os.path.join(place, b"pr\xfcfung_" + stem.encode() + suffix))
    examination = examine(instantiate(settings), 64)
    assert not examination.findings
    ids = [record.image_id for record in examination.splits["train"]]
    assert ids[0] == "images/train/pr\\xfcfung_a.png" and all(one.encode() for one in ids)


@pytest.mark.parametrize("labels", ["NFC", "NFD"])
def test_names_are_equal_when_their_letters_are(labels: str, tmp_path: Path) -> None:
    images = {"NFC": "NFD", "NFD": "NFC"}[labels]
    of_label, of_image = (unicodedata.normalize(form, "Prüfung") for form in (labels, images))  # type: ignore[arg-type]
    voc, yolo, coco = write_voc(tmp_path / "voc"), write_yolo(tmp_path / "yolo"), write_coco(tmp_path / "coco")
    renamed(tmp_path / "voc/IMAGES", ".png", of_image)
    renamed(tmp_path / "voc/ANNOTATIONS", ".xml", of_label)
    for name, stems in (("train", STEMS[:4]), ("val", STEMS[4:])):
        (tmp_path / "voc" / f"{name}.txt").write_text("".join(f"{of_label} {stem}\n" for stem in stems))
        renamed(tmp_path / "yolo/images" / name, ".png", of_image)
        renamed(tmp_path / "yolo/labels" / name, ".txt", of_label)
        document = coco_document(stems)
        for entry in document["images"]:
            entry["file_name"] = f"{of_label} {entry['file_name']}"
        (tmp_path / "coco" / f"{name}.json").write_text(json.dumps(document))
    renamed(tmp_path / "coco/photos", ".png", of_image)
    for settings in (voc, yolo, coco):
        examination = examine(instantiate(settings), 64)
        assert not examination.findings
        assert {name: len(some) for name, some in examination.splits.items()} == {"train": 4, "val": 2}
        assert all(len(record.labels) == 1 for some in examination.splits.values() for record in some)


@pytest.mark.parametrize("name", ["a\x1bb.png", "a\x85b.png", "a\ud800b.png"])
def test_controls_in_the_names_of_a_list_are_refused(name: str, tmp_path: Path) -> None:
    settings = write_coco(tmp_path)
    document = coco_document(("a", "b", "c", "d"))
    document["images"][0]["file_name"] = name
    (tmp_path / "train.json").write_text(json.dumps(document))
    with pytest.raises(LightdetError, match=r"images\[0\] \(id 0\): .* is not a file name"):
        instantiate(settings).read()


@pytest.mark.parametrize("name", ["C:\\Users\\me\\a.png", "\\\\server\\set\\a.png", "d:/set/a.png"])
def test_names_of_another_machine_are_called_that(name: str, tmp_path: Path) -> None:
    settings = write_coco(tmp_path)
    document = coco_document(("a", "b", "c", "d"))
    document["images"][2]["file_name"] = name
    (tmp_path / "train.json").write_text(json.dumps(document))
    with pytest.raises(LightdetError, match=r"images\[2\] \(id 2\): .* on another machine; write it relative"):
        instantiate(settings).read()


def test_a_list_in_utf_16_and_one_with_windows_lines(tmp_path: Path) -> None:
    settings = write_voc(tmp_path)
    (tmp_path / "train.txt").write_bytes("a\r\nb\r\nc\r\nd\r\n".encode("utf-16"))
    (tmp_path / "val.txt").write_bytes(b"\xef\xbb\xbfe\r\nf")
    assert {name: len(some) for name, some in instantiate(settings).read().items()} == {"train": 4, "val": 2}


def test_labels_whose_suffix_is_in_capitals_are_read(tmp_path: Path) -> None:
    voc, yolo = write_voc(tmp_path / "voc"), write_yolo(tmp_path / "yolo")
    for path in (tmp_path / "voc/ANNOTATIONS/a.xml", tmp_path / "yolo/labels/train/a.txt"):
        path.rename(path.with_suffix(path.suffix.upper()))
    for settings in (voc, yolo):
        reader = instantiate(settings)
        assert reader.read()["train"][0].boxes_xyxy.tolist() == [pytest.approx(BOX)]
        assert not reader.doubts
    (tmp_path / "yolo/labels/train/x.TXT").write_text("")
    reader.read()
    assert reader.doubts[0].startswith("1 label file without an image")
