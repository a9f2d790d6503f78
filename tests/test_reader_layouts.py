"""What the VOC and COCO layouts allow: their lists of the splits, difficult objects, category ids, one file for all."""

import json
from pathlib import Path

import pytest
from hydra.utils import instantiate
from tiny_datasets import CLASSES, TRAIN, VAL, coco_document, label_of, stem, voc_object, voc_xml, write_coco, write_voc

from lightdet.core.errors import LightdetError
from lightdet.data.reader.coco import Coco
from lightdet.data.reader.voc import Voc


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
