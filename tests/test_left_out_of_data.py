"""What readers leave out is counted and told: hidden files, kinds that are not read, list lines, what is no file."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from PIL import Image
from tiny_datasets import (
    CLASSES,
    WRITERS,
    Settings,
    stem,
    write_coco,
    write_deeppcb,
    write_photo,
    write_voc,
    write_yolo,
)

from lightdet.core.errors import LightdetError, underneath
from lightdet.core.left_out import LeftOut
from lightdet.data.record import doubts_of
from lightdet.data.search import find_images

FOLDERS = {"voc": "IMAGES", "coco": "photos", "yolo": "images/train"}


def told(settings: Settings) -> list[str]:
    """The doubts after reading twice: a second time counts nothing twice."""
    reader = instantiate(settings)
    reader.read()
    once = doubts_of(reader)
    reader.read()
    assert doubts_of(reader) == once
    return list(once)


@pytest.mark.parametrize("layout", FOLDERS)
def test_what_no_person_made_is_skipped_and_told_once(layout: str, tmp_path: Path) -> None:
    settings = WRITERS[layout](tmp_path)
    before = {name: [r.image_id for r in some] for name, some in instantiate(settings).read().items()}
    folder = tmp_path / FOLDERS[layout]
    for hidden in (
        ".ipynb_checkpoints/a-checkpoint.png",
        "@eaDir/a.png/M.png",
        "__MACOSX/deep/er/a.png",
        "#recycle/x.png",
        "$Recycle.Bin/S-1/x.png",
        "#snapshot/x.png",
        "__pycache__/x.png",
    ):
        write_photo(folder / hidden, 90)
    (folder / "._a.png").write_bytes(b"\0\5\x16\7")
    (folder / ".DS_Store").write_bytes(b"\0")
    assert {name: [r.image_id for r in some] for name, some in instantiate(settings).read().items()} == before
    (line,) = told(settings)
    assert line.startswith("left out: 8 images that no person made")


@pytest.mark.parametrize("layout", FOLDERS)
def test_kinds_that_are_not_read_are_told_with_their_suffix(layout: str, tmp_path: Path) -> None:
    settings = WRITERS[layout](tmp_path)
    folder = tmp_path / FOLDERS[layout]
    for name in ("x.HEIC", "y.heic", "clip.mp4", "z.avif", "notes.doc"):
        (folder / name).write_bytes(b"?")
    lines = told(settings)
    assert [line.split()[2:4] for line in lines] == [
        ["2", ".heic"],
        ["1", ".mp4"],
        ["1", ".avif"],
        ["1", "files"],
    ] or sorted(line.split()[3] for line in lines) == [".avif", ".heic", ".mp4", "files"]
    assert any(line.startswith("left out: 2 .heic files") for line in lines)


@pytest.mark.parametrize("suffix", [".jfif", ".JPE", ".JPG", ".TIFF", ".dib", ".pgm"])
def test_suffixes_of_the_kinds_that_are_read(suffix: str, tmp_path: Path) -> None:
    write_photo(tmp_path / "a.png")
    kind = {".jfif": "JPEG", ".JPE": "JPEG", ".JPG": "JPEG", ".TIFF": "TIFF", ".dib": "BMP", ".pgm": "PPM"}[suffix]
    Image.open(tmp_path / "a.png").save(tmp_path / f"b{suffix}", kind)
    left_out = LeftOut()
    assert [path.name for path in find_images(tmp_path, left_out)] == ["a.png", f"b{suffix}"] and not left_out


def test_what_only_has_the_name_of_an_image_is_told_and_stops_nothing(tmp_path: Path) -> None:
    settings = write_yolo(tmp_path)
    folder = tmp_path / "images" / "train"
    os.mkfifo(folder / "pipe.png")
    (folder / "folder.png").mkdir()
    write_photo(folder / "folder.png" / "inner.png")
    lines = told(settings)
    assert any(line.startswith("left out: 1 files with the name of an image (a named pipe)") for line in lines)
    assert "images/train/folder.png/inner.png" in [r.image_id for r in instantiate(settings).read()["train"]]


def pipe(path: str) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        (root / path).unlink()
        os.mkfifo(root / path)

    return make


PIPES = {
    "label of YOLO": (write_yolo, "labels/train/a.txt"),
    "list of VOC": (write_voc, "train.txt"),
    "label of VOC": (write_voc, "ANNOTATIONS/a.xml"),
    "data.yaml": (write_yolo, "data.yaml"),
    "COCO": (write_coco, "train.json"),
    "image of COCO": (write_coco, "photos/a.png"),
    "label of DeepPCB": (write_deeppcb, "PCBData/g_not/a.txt"),
}


@pytest.mark.parametrize("case", PIPES)
def test_a_named_pipe_is_refused_without_waiting_for_it(case: str, tmp_path: Path) -> None:
    writer, name = PIPES[case]
    settings = writer(tmp_path)
    pipe(name)(tmp_path)
    with pytest.raises((LightdetError, InstantiationException)) as caught:
        instantiate(settings).read()
    assert re.search(rf"{Path(name).name}: (a named pipe|no regular file)", str(underneath(caught.value)))


def test_list_lines_that_begin_with_a_number_sign_name_an_image_where_one_is(tmp_path: Path) -> None:
    settings = write_voc(tmp_path)
    write_photo(tmp_path / "IMAGES" / "#1_top.png", 50)
    (tmp_path / "ANNOTATIONS" / "a.xml").rename(tmp_path / "ANNOTATIONS" / "#1_top.xml")
    (tmp_path / "IMAGES" / "a.png").unlink()
    (tmp_path / "train.txt").write_text("# of May\n#1_top\nb\nc\nd\n._b\n")
    records = instantiate(settings).read()
    assert [stem(r) for r in records["train"]] == ["#1_top", "b", "c", "d"]
    assert sorted(line.split(",")[0] for line in told(settings)) == [
        "left out: 1 list lines that begin with # and name no image",
        "left out: 1 list lines that name what no person made (names that begin with . or @",
    ]
    yolo = write_yolo(tmp_path / "yolo")
    (tmp_path / "yolo" / "images" / "train" / "a.png").rename(tmp_path / "yolo" / "images" / "train" / "#a.png")
    (tmp_path / "yolo" / "labels" / "train" / "a.txt").rename(tmp_path / "yolo" / "labels" / "train" / "#a.txt")
    (tmp_path / "yolo" / "images" / "train" / "list.txt").write_text("#a.png\nb.png\n#c.pngg\n")
    (tmp_path / "yolo" / "data.yaml").write_text("train: images/train/list.txt\nval: images/val\nnames: [a, b]\n")
    assert [stem(r) for r in instantiate(yolo).read()["train"]] == ["#a", "b"]
    assert [line for line in told(yolo) if "list lines that begin with #" in line]


def test_labels_and_images_that_stand_alone_are_told(tmp_path: Path) -> None:
    voc = write_voc(tmp_path / "voc")
    (tmp_path / "voc" / "train.txt").write_text("a\nb\n")
    (tmp_path / "voc" / "ANNOTATIONS" / "gone.xml").write_text("<annotation/>")
    (tmp_path / "voc" / "ANNOTATIONS" / "._a.xml").write_bytes(b"\0\5\x16\7")
    hidden, *lines = told(voc)
    assert hidden.startswith("left out: 1 label files with names that no person gave") and hidden.endswith("._a.xml")
    assert lines[0].startswith("left out: 1 label files without an image, e.g. ") and lines[0].endswith("gone.xml")
    assert lines[1].startswith("left out: 2 images that no list names, e.g. ")
    coco = write_coco(tmp_path / "coco")
    write_photo(tmp_path / "coco" / "photos" / "more" / "x.png", 70)
    (line,) = told(coco)
    assert line.startswith("left out: 1 images that no JSON file names, e.g. ") and line.endswith("x.png")


@pytest.mark.parametrize("suffix", ["tif", "gif", "webp"])
def test_further_pages_of_a_file_are_told(suffix: str, tmp_path: Path) -> None:
    settings = write_voc(tmp_path)
    page = Image.open(tmp_path / "IMAGES" / "a.png")
    (tmp_path / "IMAGES" / "a.png").unlink()
    page.save(tmp_path / "IMAGES" / f"a.{suffix}")
    assert told(settings) == []
    page.save(tmp_path / "IMAGES" / f"a.{suffix}", save_all=True, append_images=[page.rotate(180)])
    (line,) = told(settings)
    assert line.startswith("left out: 1 files with further pages or frames") and line.endswith(f"a.{suffix}")


def test_objects_that_are_left_out_on_request_are_told(tmp_path: Path) -> None:
    settings = write_voc(tmp_path) | {"keep_difficult": False}
    path = tmp_path / "ANNOTATIONS" / "a.xml"
    path.write_text(path.read_text().replace("<difficult>0", "<difficult>1"))
    (line,) = told(settings)
    assert line.startswith("left out: 1 objects that are marked as difficult") and "a.xml: object 1" in line


@pytest.mark.parametrize("names", [["Scratch", "scratch "], ["two words", "twowords"]])
def test_classes_that_differ_in_spaces_or_case_alone_are_told(names: list[str], tmp_path: Path) -> None:
    settings = write_yolo(tmp_path)
    assert told(settings) == []
    (tmp_path / "data.yaml").write_text(f"train: images/train\nval: images/val\nnames: {names}\n")
    (line,) = told(settings)
    assert repr(names[0]) in line and repr(names[1]) in line and len(CLASSES) == 2


def test_a_link_to_a_folder_above_brings_no_other_split(tmp_path: Path) -> None:
    settings = write_yolo(tmp_path)
    before = [record.image_id for record in instantiate(settings).read()["train"]]
    (tmp_path / "images" / "train" / "up").symlink_to("..")
    assert [record.image_id for record in instantiate(settings).read()["train"]] == before
    (line,) = told(settings)
    assert line.startswith("left out: 1 links to a folder that holds the searched one") and line.endswith("train/up")
