"""`lightdet doctor --fix OUT`: a mended copy, whole or not at all, and a list of what was changed."""

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from PIL import Image
from tiny_datasets import BOX, HEIGHT, STEMS, WIDTH, Settings, write_photo, write_yolo, yolo_row

from lightdet.cli.main import main
from lightdet.core.errors import LightdetError
from lightdet.data.image import read_image
from lightdet.data.lenient import leniently
from lightdet.data.reader.coco import Coco
from lightdet.doctor.examine import examine
from lightdet.doctor.mend import mend

MORE = ("g", "h", "i", "j")


def write_faults(root: Path) -> Settings:
    """Ten images as YOLO, most of them with a fault of their own."""
    settings = write_yolo(root)
    images, labels = root / "images" / "train", root / "labels" / "train"
    write_photo(images / "@eaDir" / "a.png", 99)  # a thumbnail that a storage system keeps
    for seed, stem in enumerate(MORE, start=6):
        write_photo(images / f"{stem}.png", seed)
        (labels / f"{stem}.txt").write_text(yolo_row(0))
    (labels / "a.txt").write_text(yolo_row(0, (-6, 6, 20, 18)) + yolo_row(0, (4, 6, 4, 18)))  # outside; empty
    (labels / "b.txt").write_text(yolo_row(1) + yolo_row(0) + yolo_row(1))  # one box twice
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(images / "c.png") as image:  # stored turned
        image.rotate(90, expand=True).save(images / "c.jpg", exif=exif, quality=95)
    (images / "c.png").unlink()
    (labels / "d.txt").write_text(yolo_row(2))  # "Scratch "
    with Image.open(images / "g.png") as image:
        image.save(images / "g.jfif", format="JPEG")
        image.save(images / "h.jpg", format="PNG")
    (images / "g.png").unlink()
    (images / "h.png").unlink()
    (images / "i.png").write_bytes((root / "images" / "val" / "e.png").read_bytes())  # shown in val, too
    (images / "j.png").write_bytes((images / "j.png").read_bytes()[:-60])  # truncated
    (root / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [scratch, 'big  dent', 'Scratch ']\n")
    return settings


def listed(out: Path) -> dict[str, list[str]]:
    """What was changed: the images or places of each kind, without folders."""
    found: dict[str, list[str]] = {}
    with (out / "changes.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["what"], []).append(row["where"].rpartition("/")[2])
    return found


def tree(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def copy_of(out: Path) -> Coco:
    places = {name: f"annotations/instances_{name}.json" for name in ("train", "val")}
    return Coco(str(out), **places, train_images="train", val_images="val")


def test_what_a_reader_refuses_is_mended_and_listed(tmp_path: Path) -> None:
    settings = write_faults(tmp_path / "data")
    before = tree(tmp_path / "data")
    with pytest.raises(LightdetError, match="reaches outside"):
        examine(instantiate(settings), 64)
    out = tmp_path / "mended"
    mend(instantiate(settings), out)
    assert listed(out) == {
        "box cut at the border": ["a.txt: line 1"],
        "box dropped": ["a.txt: line 2"],
        "image left out": ["j.png"],
        "left out by the reader": [""],
        "duplicate image dropped": ["i.png"],
        "class renamed": ["Scratch ", "big  dent"],
        "equal boxes dropped": ["b.png"],
        "image stored upright": ["c.jpg"],
        "suffix changed": ["g.jfif", "h.jpg"],
    }
    assert tree(tmp_path / "data") == before, "the dataset itself is only read"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "mended"]

    reader = copy_of(out)
    records = {record.path.name: record for some in reader.read().values() for record in some}
    assert reader.classes == ("scratch", "big dent")
    assert sorted(records) == ["a.png", "b.png", "c.png", "d.png", "e.png", "f.png", "g.jpg", "h.png"]
    assert records["a.png"].boxes_xyxy.tolist() == [[0, 6, 20, 18]]
    assert records["b.png"].box_labels.tolist() == [1, 0] and records["d.png"].box_labels.tolist() == [0]
    assert records["c.png"].boxes_xyxy.tolist() == [list(BOX)] and Image.open(records["c.png"].path).size == (
        WIDTH,
        HEIGHT,
    )
    stored = read_image(tmp_path / "data" / "images" / "train" / "c.jpg")
    np.testing.assert_array_equal(read_image(records["c.png"].path), stored)


def test_the_doctor_finds_none_of_these_faults_in_the_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_faults(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "labels" / "train" / "b.txt").write_text(yolo_row(1))
    words = ["data=yolo", "data.reader.root=data", "image_size=64"]
    assert main(["doctor", *words]) == 2
    assert main(["doctor", *words, "--fix", "mended"]) == 1, "a box was dropped, and an image left out"
    told = capsys.readouterr()
    assert "no complaints" in told.out
    assert "1  box cut at the border" in told.err and "lightdet train data=coco data.reader.root=" in told.err
    assert main(["doctor", "data=coco", "data.reader.root=mended", "image_size=64"]) == 0
    assert main(["doctor", *words, "--fix", "mended"]) == 2
    assert "--fix mended: there is something already; give a new folder" in capsys.readouterr().err
    assert main(["doctor", *words, "--fix", "data/mended"]) == 2
    assert "inside the dataset itself" in capsys.readouterr().err


def test_what_is_measured_stays_the_same(tmp_path: Path) -> None:
    """Of an image in both splits the one in val stays, whatever their names."""
    settings = write_yolo(tmp_path / "data")
    images = tmp_path / "data" / "images"
    (images / "train" / "a.png").write_bytes((images / "val" / "f.png").read_bytes())
    _, changes = mend(instantiate(settings), tmp_path / "mended")
    (change,) = changes
    assert change.where == "images/train/a.png" and "the same as images/val/f.png in 'val'" in change.detail
    assert "whose annotation is another one" in change.detail
    splits = copy_of(tmp_path / "mended").read()
    assert {name: [record.path.stem for record in some] for name, some in splits.items()} == {
        "train": list(STEMS[1:4]),
        "val": list(STEMS[4:]),
    }


def test_nothing_is_left_of_a_copy_that_cannot_be_made(tmp_path: Path) -> None:
    settings = write_yolo(tmp_path / "data")
    for path in (tmp_path / "data" / "images" / "val").iterdir():
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(LightdetError, match="no image of 'val' is left"):
        mend(instantiate(settings), tmp_path / "mended")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_reader_is_lenient_for_a_copy_alone(tmp_path: Path) -> None:
    settings = write_faults(tmp_path / "data")
    with leniently() as changes:
        assert len(instantiate(settings).read()["train"]) == 8
    assert [change.what for change in changes][:2] == ["box cut at the border", "box dropped"]
    with pytest.raises(LightdetError, match="reaches outside"):
        instantiate(settings).read()
