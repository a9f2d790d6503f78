"""data.yaml and lists as tools write them: Roboflow's `../`, an absent test split, keys in quotes, CVAT's `data/`."""

from pathlib import Path

import pytest
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from tiny_datasets import STEMS, Settings, stem, write_photo, write_yolo, yolo_row

from lightdet.core.errors import LightdetError, underneath
from lightdet.data.record import doubts_of


def roboflow(root: Path, text: str) -> Settings:
    """train/ and valid/ beside data.yaml, each with images/ and labels/."""
    for seed, name in enumerate(STEMS):
        split = "train" if seed < 4 else "valid"
        write_photo(root / split / "images" / f"{name}.png", seed)
        label = root / split / "labels" / f"{name}.txt"
        label.parent.mkdir(exist_ok=True)
        label.write_text(yolo_row(seed % 2))
    (root / "data.yaml").write_text(f"train: ../train/images\nval: ../valid/images\n{text}")
    return {"_target_": "lightdet.data.reader.yolo.Yolo", "root": str(root)}


@pytest.mark.parametrize(
    "text",
    [
        "nc: 2\nnames: ['scratch', 'dent']\n",
        "nc: '2'\nnames: {'0': scratch, '1': dent}\n",
        "nc: 2.0\nnames: {1: dent, '0': scratch}\n",
        "names:\n  0: scratch\n  1: dent\nkpt_shape:\n",
    ],
)
def test_numbers_of_classes_as_tools_write_them(text: str, tmp_path: Path) -> None:
    (tmp_path / "train" / "images").mkdir(parents=True)  # beside the dataset: not what ../train/images means
    reader = instantiate(roboflow(tmp_path / "set", text))
    records = reader.read()
    assert reader.classes == ("scratch", "dent") and {name: len(some) for name, some in records.items()} == {
        "train": 4,
        "val": 2,
    }
    assert not doubts_of(reader)


@pytest.mark.parametrize(
    "text", ["nc: two\nnames: [a, b]\n", "nc: 3\nnames: [a, b]\n", "names: {'0': a, 0: b}\n", "names: {'0': a, x: b}\n"]
)
def test_numbers_of_classes_that_contradict_are_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(InstantiationException) as caught:
        instantiate(roboflow(tmp_path, text))
    assert "data.yaml: " in str(underneath(caught.value))


def test_a_test_split_that_is_not_there_or_has_no_labels_is_told(tmp_path: Path) -> None:
    settings = roboflow(tmp_path, "test: ../test/images\nnames: [scratch, dent]\n")
    reader = instantiate(settings)
    assert set(reader.read()) == {"train", "val"}
    (doubt,) = doubts_of(reader)
    assert "names ../test/images for 'test', where no image is: there is no test split" in doubt
    write_photo(tmp_path / "test" / "images" / "t.png", 9)
    reader = instantiate(settings)
    assert set(reader.read()) == {"train", "val"}
    (doubt,) = doubts_of(reader)
    assert "no label file for any image of 'test'" in doubt and doubt.endswith("there is no test split")
    (tmp_path / "test" / "labels").mkdir()
    (tmp_path / "test" / "labels" / "t.txt").write_text(yolo_row(0))
    assert [stem(record) for record in instantiate(settings).read()["test"]] == ["t"]


def test_a_validation_split_that_is_not_there_is_refused(tmp_path: Path) -> None:
    settings = roboflow(tmp_path, "names: [scratch, dent]\n")
    (tmp_path / "valid").rename(tmp_path / "elsewhere")
    with pytest.raises(LightdetError, match=r"valid/images: no such folder or list file.*for 'val'"):
        instantiate(settings).read()


def test_a_split_under_another_name_is_told(tmp_path: Path) -> None:
    settings = write_yolo(tmp_path)
    (tmp_path / "data.yaml").write_text("train: images/train\nvalid: images/val\nnames: [scratch, dent]\n")
    reader = instantiate(settings)
    reader.read()
    assert any("has 'valid', which is not read: the key is 'val'" in doubt for doubt in doubts_of(reader))


def cvat(root: Path, prefix: str) -> Settings:
    for seed, name in enumerate(STEMS):
        write_photo(root / "obj_train_data" / f"{name}.png", seed)
        (root / "obj_train_data" / f"{name}.txt").write_text(yolo_row(seed % 2))
    (root / "train.txt").write_text("".join(f"{prefix}obj_train_data/{name}.png\n" for name in STEMS))
    (root / "obj.names").write_text("scratch\ndent\n")
    (root / "data.yaml").write_text("train: train.txt\nnames: [scratch, dent]\n")
    return {"_target_": "lightdet.data.reader.yolo.Yolo", "root": str(root)}


@pytest.mark.parametrize("prefix", ["data/", "", "./"])
def test_lists_with_the_prefix_of_cvat(prefix: str, tmp_path: Path) -> None:
    records = instantiate(cvat(tmp_path, prefix)).read()
    assert sorted(stem(r) for some in records.values() for r in some) == list(STEMS)
    assert all(len(r.labels) == 1 for some in records.values() for r in some)


def test_images_are_looked_for_before_their_labels(tmp_path: Path) -> None:
    settings = cvat(tmp_path, "wrong/")
    with pytest.raises(LightdetError, match=r"no such image, nor any other of the 6 that .*train\.txt names"):
        instantiate(settings).read()
    (tmp_path / "train.txt").write_text("".join(f"obj_train_data/{name}.png\n" for name in STEMS[:4]))
    reader = instantiate(settings)
    reader.read()
    (doubt,) = doubts_of(reader)
    assert doubt.startswith("left out: 2 images that no list names") and doubt.endswith("e.png")
    (tmp_path / "train.txt").write_text("obj_train_data/a.png\nobj_train_data/gone.png\n")
    with pytest.raises(LightdetError, match=r"gone\.png: no such image, but .*train\.txt names it"):
        instantiate(settings).read()


def test_without_data_yaml_its_three_lines_are_named(tmp_path: Path) -> None:
    settings = roboflow(tmp_path / "set", "names: [scratch, dent]\n")
    (tmp_path / "set" / "data.yaml").unlink()
    with pytest.raises(InstantiationException) as caught:
        instantiate(settings)
    line = str(underneath(caught.value))
    assert "`train: train/images`, `val: valid/images`, `names: [" in line and "data.yaml: no such file" in line


def test_an_image_without_a_label_file_is_told(tmp_path: Path) -> None:
    settings = write_yolo(tmp_path)
    (tmp_path / "labels" / "train" / "b.txt").unlink()
    reader = instantiate(settings)
    assert len(reader.read()["train"][1].labels) == 0
    (doubt,) = doubts_of(reader)
    assert doubt.startswith("1 image without a label file, such as ") and "b.png" in doubt
