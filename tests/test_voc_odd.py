"""Pascal VOC as people have it: numbers behind names, classes that are found, images in folders inside the folder."""

from collections import Counter
from pathlib import Path

import pytest
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from tiny_datasets import CLASSES, STEMS, Settings, label_of, stem, voc_object, voc_xml, write_photo, write_voc

from lightdet.core.errors import LightdetError, underneath
from lightdet.data.record import doubts_of


def plates(root: Path, names: list[str], train: str, val: str) -> Settings:
    for seed, name in enumerate(names):
        write_photo(root / "IMAGES" / f"{name}.png", seed)
        (root / "ANNOTATIONS").mkdir(exist_ok=True)
        (root / "ANNOTATIONS" / f"{name}.xml").write_text(voc_xml(voc_object(CLASSES[seed % 2])))
    (root / "train.txt").write_text(train)
    (root / "val.txt").write_text(val)
    return {"_target_": "lightdet.data.reader.voc.Voc", "root": str(root), "classes": list(CLASSES)}


@pytest.mark.parametrize("besides", [[], ["plate"]])
def test_a_number_behind_a_name_is_a_part_of_it_where_an_image_has_it(besides: list[str], tmp_path: Path) -> None:
    names = [*(f"plate {number}" for number in (-1, 0, 1, 2)), *besides]
    reader = instantiate(plates(tmp_path, names, "plate 1\nplate 0.png\n", "plate 2\nplate -1\n"))
    records = reader.read()
    assert [stem(r) for r in records["train"]] == ["plate 1", "plate 0"]
    assert [stem(r) for r in records["val"]] == ["plate 2", "plate -1"]
    assert len(doubts_of(reader)) == len(besides)


def test_flags_are_flags_only_where_every_line_has_one(tmp_path: Path) -> None:
    settings = plates(tmp_path, ["a", "b b", "c"], "a  1\nb b -1\n", "c 0\n")
    assert [stem(r) for r in instantiate(settings).read()["train"]] == ["a", "b b"]
    (tmp_path / "train.txt").write_text("a 1\nb b\n")
    with pytest.raises(LightdetError, match=r"a 1\.\*: no such image, but .*train\.txt names it"):
        instantiate(settings).read()


def test_without_classes_those_that_are_found_are_taken_sorted_and_told(tmp_path: Path) -> None:
    settings = write_voc(tmp_path)
    del settings["classes"]
    (tmp_path / "ANNOTATIONS" / "a.xml").write_text(
        voc_xml(voc_object("Öl") + voc_object("dent") + voc_object(" dent "))
    )
    reader = instantiate(settings)
    assert reader.classes == ("dent", "scratch", "Öl")
    assert reader.read()["train"][0].labels.tolist() == [2, 0, 0]
    assert doubts_of(reader)[0].endswith("in this order: dent (5), scratch (2), Öl (1)")
    (tmp_path / "ANNOTATIONS" / "b.xml").write_text("<annotation>")
    with pytest.raises(LightdetError, match=r"b\.xml: not well-formed"):
        instantiate(settings).read()
    for path in (tmp_path / "ANNOTATIONS").iterdir():
        path.write_text("<annotation/>")
    with pytest.raises(InstantiationException) as caught:
        instantiate(settings)
    assert "no XML file with an object" in str(underneath(caught.value))


@pytest.mark.parametrize("flat", [False, True])
def test_images_in_folders_inside_the_folder_belong_to_it(flat: bool, tmp_path: Path) -> None:
    settings = write_voc(tmp_path)
    for name in ("train.txt", "val.txt"):
        (tmp_path / name).unlink()
    for moved in STEMS[3:]:
        (tmp_path / "IMAGES" / "line 2").mkdir(exist_ok=True)
        (tmp_path / "IMAGES" / f"{moved}.png").rename(tmp_path / "IMAGES" / "line 2" / f"{moved}.jfif")
        if not flat:
            (tmp_path / "ANNOTATIONS" / "line 2").mkdir(exist_ok=True)
            (tmp_path / "ANNOTATIONS" / f"{moved}.xml").rename(tmp_path / "ANNOTATIONS" / "line 2" / f"{moved}.xml")
    reader = instantiate(settings)
    records = [record for some in reader.read().values() for record in some]
    assert Counter(map(stem, records)) == Counter(STEMS) and not doubts_of(reader)
    assert all(record.labels.tolist() == [label_of(stem(record))] for record in records)
    assert {record.image_id for record in records if stem(record) in STEMS[3:]} == {
        f"IMAGES/line 2/{name}.jfif" for name in STEMS[3:]
    }


BOX_TWICE = ("</bndbox>", "</bndbox><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox>")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (*BOX_TWICE, "object 1: 2 <bndbox>; write an <object> for each"),
        ("object>", "Object>", "an <object> is written in capitals or not directly in <annotation>"),
        ("<object>", "<objects><object>", "an <object> is written in capitals or not directly in <annotation>"),
    ],
)
def test_no_box_is_lost_because_a_file_is_written_in_another_way(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    settings = write_voc(tmp_path)
    path = tmp_path / "ANNOTATIONS" / "a.xml"
    text = path.read_text().replace(old, new)
    path.write_text(text.replace("</object>", "</object></objects>") if "<objects>" in new else text)
    with pytest.raises(LightdetError) as caught:
        instantiate(settings).read()
    assert f"a.xml: {message}" in str(caught.value)


def test_one_file_is_not_the_annotation_of_two_images(tmp_path: Path) -> None:
    settings = write_voc(tmp_path)
    for name in ("train.txt", "val.txt"):
        (tmp_path / name).unlink()
    write_photo(tmp_path / "IMAGES" / "line 2" / "b.png", 77)
    with pytest.raises(LightdetError, match=r"b\.xml: found for .*IMAGES/b\.png and .*IMAGES/line 2/b\.png"):
        instantiate(settings).read()


def test_a_file_that_names_another_image_is_told(tmp_path: Path) -> None:
    settings = write_voc(tmp_path)
    path = tmp_path / "ANNOTATIONS" / "a.xml"
    for name, lines in (("a.JPG", 0), ("gone.png", 0), ("C:\\photos\\b.jpg", 1)):
        path.write_text(voc_xml(f"<filename>{name}</filename>{voc_object()}"))
        reader = instantiate(settings)
        reader.read()
        assert len(doubts_of(reader)) == lines
    assert "a.xml, which says b.jpg: the boxes are taken" in doubts_of(reader)[0]


def test_without_classes_the_reason_why_no_file_can_be_read_is_said(tmp_path: Path) -> None:
    settings = write_voc(tmp_path)
    del settings["classes"]
    for path in (tmp_path / "ANNOTATIONS").iterdir():
        path.write_bytes(f"<?xml version='1.0' encoding='gbk'?>{voc_xml(voc_object('打痕'))}".encode("gbk"))
    with pytest.raises(InstantiationException) as caught:
        instantiate(settings)
    assert "a.xml: unreadable XML" in str(underneath(caught.value))
