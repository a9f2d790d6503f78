"""Broken datasets: each gives one clear line that names the culprit, the exit code 2, and leaves nothing behind."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf
from tiny_datasets import WRITERS, Settings, coco_document, voc_object, voc_xml, yolo_row

from lightdet.core.errors import LightdetError
from lightdet.doctor.command import run_doctor

Spoil = Callable[[Path, Settings], object]
GARBAGE = bytes(range(256)) * 4
LAUGHS = '<!DOCTYPE z [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>' + voc_xml("&b;")
OUTSIDE_ENTITY = '<!DOCTYPE z [<!ENTITY x SYSTEM "file:///etc/hostname">]>' + voc_xml("&x;")


def text(name: str, content: str) -> Spoil:
    return lambda root, _: (root / name).write_text(content)


def raw(name: str, content: bytes) -> Spoil:
    return lambda root, _: (root / name).write_bytes(content)


def removed(name: str) -> Spoil:
    return lambda root, _: (root / name).unlink()


def setting(name: str, value: object) -> Spoil:
    return lambda _, settings: settings.update({name: value})


def xml(objects: str, **size: int) -> Spoil:
    return text("ANNOTATIONS/b.xml", voc_xml(objects, **size))


def coco(change: Callable[[dict], object]) -> Spoil:
    def spoil(root: Path, _: Settings) -> None:
        document = coco_document(("a", "b", "c", "d"))
        change(document)
        (root / "train.json").write_text(json.dumps(document))

    return spoil


def annotation(**changes: object) -> Spoil:
    return coco(lambda document: document["annotations"][1].update(changes))


def image(**changes: object) -> Spoil:
    return coco(lambda document: document["images"][1].update(changes))


def label(row: str) -> Spoil:
    return text("labels/train/b.txt", yolo_row(0) + row)


def data_yaml(content: str) -> Spoil:
    return text("data.yaml", content)


def board(row: str) -> Spoil:
    return text("PCBData/g_not/b.txt", row)


def link_outside(name: str) -> Spoil:
    def spoil(root: Path, _: Settings) -> None:
        outside = root.parent / f"outside{Path(name).suffix}"
        (root / name).rename(outside)
        os.symlink(outside, root / name)

    return spoil


def copied(source: str, target: str) -> Spoil:
    return lambda root, _: (root / target).write_bytes((root / source).read_bytes())


def no_labels(root: Path, _: Settings) -> None:
    for path in (root / "labels" / "val").iterdir():
        path.unlink()


# (layout, what is wrong) -> (how it is spoiled, what the line must say: the file, then a word of the reason)
CASES: dict[tuple[str, str], tuple[Spoil, str, str]] = {
    ("voc", "no such root"): (setting("root", "/nowhere/at/all"), "/nowhere/at/all", "data.reader.root"),
    ("voc", "no such image folder"): (setting("images", "PICTURES"), "PICTURES", "no such folder"),
    ("voc", "image folder outside"): (setting("images", "../elsewhere"), "../elsewhere", "outside"),
    ("voc", "one class without brackets"): (setting("classes", "dent"), "data.reader.classes=dent", "give a list"),
    ("voc", "class named twice"): (setting("classes", ["dent", "dent"]), "data.reader.classes", "twice"),
    ("voc", "no classes"): (setting("classes", []), "data.reader.classes", "no classes"),
    ("voc", "zero-byte annotation"): (raw("ANNOTATIONS/b.xml", b""), "b.xml", "XML"),
    ("voc", "truncated annotation"): (text("ANNOTATIONS/b.xml", "<annotation><object>"), "b.xml", "XML"),
    ("voc", "binary annotation"): (raw("ANNOTATIONS/b.xml", GARBAGE), "b.xml", "XML"),
    ("voc", "unknown encoding"): (text("ANNOTATIONS/b.xml", '<?xml version="1.0" encoding="q"?><a/>'), "b.xml", "XML"),
    ("voc", "XML bomb"): (text("ANNOTATIONS/b.xml", LAUGHS), "b.xml", "entities"),
    ("voc", "external entity"): (text("ANNOTATIONS/b.xml", OUTSIDE_ENTITY), "b.xml", "entities"),
    ("voc", "another XML"): (text("ANNOTATIONS/b.xml", "<svg/>"), "b.xml", "<annotation>"),
    ("voc", "missing annotation"): (removed("ANNOTATIONS/b.xml"), "b.xml", "no annotation"),
    ("voc", "unknown class"): (xml(voc_object("rust")), "b.xml", "'rust'; known are scratch, dent"),
    ("voc", "second object unknown"): (xml(voc_object() + voc_object("")), "b.xml", "object 2: unknown class"),
    ("voc", "NaN box"): (xml(voc_object(box=("nan", 1, 2, 3))), "b.xml", "object 1: box (nan, 1, 2, 3) is not made of"),
    ("voc", "infinite box"): (xml(voc_object(box=(1, 1, "inf", 3))), "b.xml", "finite"),
    ("voc", "inverted box"): (
        xml(voc_object() + voc_object(box=(9, 9, 3, 12))),
        "b.xml",
        "object 2: box (9, 9, 3, 12)",
    ),
    ("voc", "empty box"): (xml(voc_object(box=(9, 9, 9, 12))), "b.xml", "empty"),
    ("voc", "box outside"): (xml(voc_object(box=(9, 9, 34, 12))), "b.xml", "outside the image of 32 x 24"),
    ("voc", "box to the left"): (xml(voc_object(box=(-2, 9, 12, 12))), "b.xml", "outside"),
    ("voc", "box without a number"): (xml(voc_object(box=("x", 1, 2, 3))), "b.xml", "'x' is not a number"),
    ("voc", "object without a box"): (xml("<object><name>dent</name></object>"), "b.xml", "no <bndbox>"),
    ("voc", "made for another size"): (xml(voc_object(), width=64, height=48), "b.xml", "64 x 48"),
    ("voc", "missing image"): (removed("IMAGES/b.png"), "IMAGES/b", "no such image"),
    ("voc", "zero-byte image"): (raw("IMAGES/b.png", b""), "b.png", "empty (0 bytes)"),
    ("voc", "image of garbage"): (raw("IMAGES/b.png", GARBAGE), "b.png", "not a readable image"),
    ("voc", "two images of a name"): (copied("IMAGES/a.png", "IMAGES/b.bmp"), "b.bmp", "keep one"),
    ("voc", "list leads outside"): (text("train.txt", "a\n../../secret\n"), "train.txt", "outside"),
    ("voc", "absolute name in list"): (text("train.txt", "/etc/passwd\n"), "train.txt", "outside"),
    ("voc", "name listed twice"): (text("train.txt", "a\nb\na\n"), "train.txt", "'a' is listed 2 times"),
    ("voc", "empty list"): (raw("train.txt", b""), "train.txt", "empty"),
    ("voc", "list of blank lines"): (text("val.txt", "\n \n# f\n"), "val.txt", "empty"),
    ("voc", "binary list"): (raw("train.txt", GARBAGE), "train.txt", "UTF-8"),
    ("voc", "one list of two"): (removed("val.txt"), "val.txt", "no such file"),
    ("voc", "image is a link outside"): (link_outside("IMAGES/b.png"), "b.png", "follow_links"),
    ("voc", "annotation is a link outside"): (link_outside("ANNOTATIONS/b.xml"), "b.xml", "follow_links"),
    ("yolo", "NaN behind in an outline"): (
        label("0 0.1 0.1 0.5 nan 0.5 0.5\n"),
        "b.txt",
        "line 2: box (nan, nan, nan, nan) is not made of finite numbers",
    ),
    ("coco", "truncated JSON"): (text("train.json", '{"images": ['), "train.json", "not JSON"),
    ("coco", "zero-byte JSON"): (raw("train.json", b""), "train.json", "not JSON"),
    ("coco", "binary JSON"): (raw("val.json", GARBAGE), "val.json", "UTF-8"),
    ("coco", "nested without end"): (text("train.json", "[" * 200_000), "train.json", "nested too deeply"),
    ("coco", "duplicate key"): (
        text("train.json", '{"images": [], "images": []}'),
        "train.json",
        "'images' occurs twice",
    ),
    ("coco", "a list at the top"): (text("train.json", "[]"), "train.json", "not a JSON object"),
    ("coco", "missing file"): (removed("val.json"), "val.json", "no such file"),
    ("coco", "file outside"): (setting("val", "../val.json"), "../val.json", "outside"),
    ("coco", "no annotations key"): (coco(lambda d: d.pop("annotations")), "train.json", "'annotations' is missing"),
    ("coco", "images no list"): (coco(lambda d: d.update(images={})), "train.json", "'images' is missing or not"),
    ("coco", "image no object"): (coco(lambda d: d["images"].append(7)), "train.json", "not a list of objects"),
    ("coco", "no images"): (coco(lambda d: d.update(images=[], annotations=[])), "train.json", "no images"),
    ("coco", "no categories"): (coco(lambda d: d.update(categories=[])), "train.json", "no classes"),
    ("coco", "category twice"): (
        coco(lambda d: d["categories"][0].update(name="scratch")),
        "train.json",
        "named twice",
    ),
    ("coco", "category without name"): (
        coco(lambda d: d["categories"][0].pop("name")),
        "train.json",
        "is None",
    ),
    ("coco", "image id twice"): (image(id=0), "train.json", "images[1]: the id 0 is used twice"),
    ("coco", "image id true"): (image(id=True), "train.json", "images[1]: 'id'"),
    ("coco", "file name outside"): (image(file_name="../../b.png"), "train.json", "outside"),
    ("coco", "file name twice"): (image(file_name="a.png"), "train.json", "'a.png' is listed twice"),
    ("coco", "file name a number"): (image(file_name=3), "train.json", "'file_name'"),
    ("coco", "file name with a newline"): (image(file_name="a\nb.png"), "train.json", "not a file name"),
    ("coco", "file name too long"): (image(file_name="x" * 300 + ".png"), "train.json", "too long"),
    ("coco", "missing image"): (image(file_name="g.png"), "g.png", "no such file"),
    ("coco", "made for another size"): (image(width=33), "b.png", "made for an image of 33 x 24 px, but"),
    ("coco", "annotation id twice"): (annotation(id=0), "train.json", "annotations[1]: the id 0 is used twice"),
    ("coco", "annotation of no image"): (annotation(image_id=77), "train.json", "no image has the id 77"),
    ("coco", "unknown category"): (annotation(category_id=3), "train.json", "unknown class '3'; known are scratch"),
    ("coco", "box of three"): (annotation(bbox=[1, 2, 3]), "train.json", "annotations[1] (id 1): 'bbox'"),
    ("coco", "box of texts"): (annotation(bbox=["1", "2", "3", "4"]), "train.json", "'bbox'"),
    ("coco", "NaN box"): (
        annotation(bbox=[1, 2, float("nan"), 4]),
        "train.json",
        "box (1, 2, nan, 6)",
    ),
    ("coco", "box of huge numbers"): (
        annotation(bbox=[1, 2, 10**400, 4]),
        "train.json",
        "annotations[1] (id 1): 'bbox'",
    ),
    ("coco", "negative width"): (
        annotation(bbox=[9, 2, -3, 4]),
        "train.json",
        "annotations[1] (id 1): box (9, 2, 6, 6) is inv",
    ),
    ("coco", "box outside"): (annotation(bbox=[9, 2, 30, 4]), "train.json", "outside the image"),
    ("yolo", "broken YAML"): (data_yaml("train: [images\n"), "data.yaml", "not readable as YAML"),
    ("yolo", "duplicate key"): (data_yaml("names: [a]\ntrain: x\ntrain: y\n"), "data.yaml", "'train' occurs twice"),
    ("yolo", "YAML that runs code"): (data_yaml("a: !!python/object/apply:os.getcwd []\n"), "data.yaml", "not read"),
    ("yolo", "a list at the top"): (data_yaml("- a\n"), "data.yaml", "not a mapping"),
    ("yolo", "missing data.yaml"): (removed("data.yaml"), "data.yaml", "no such file"),
    ("yolo", "no names"): (data_yaml("train: images/train\n"), "data.yaml", "'names' is missing"),
    ("yolo", "names with a gap"): (
        data_yaml("train: images/train\nnames: {0: a, 2: b}\n"),
        "data.yaml",
        "without a gap",
    ),
    ("yolo", "unquoted name"): (
        data_yaml("train: images/train\nnames: [no, a]\n"),
        "data.yaml",
        "class 0 is False and no text",
    ),
    ("yolo", "nc contradicts"): (
        data_yaml("train: images/train\nnc: 3\nnames: [a]\n"),
        "data.yaml",
        "'nc' is 3 and contradicts",
    ),
    ("yolo", "no train"): (data_yaml("names: [a]\n"), "data.yaml", "no 'train'"),
    ("yolo", "train is a number"): (data_yaml("names: [a]\ntrain: 3\n"), "data.yaml", "'train' must be a folder"),
    ("yolo", "train outside"): (data_yaml("names: [a]\ntrain: ../../x\n"), "data.yaml", "outside"),
    ("yolo", "absolute train"): (data_yaml("names: [a]\ntrain: /etc\n"), "data.yaml", "outside"),
    ("yolo", "missing folder"): (data_yaml("names: [a]\ntrain: images/t\n"), "images/t", "data.yaml"),
    ("yolo", "empty folder"): (data_yaml("names: [a]\ntrain: labels/train\n"), "data.yaml", "no images"),
    ("yolo", "photo twice"): (data_yaml("names: [a, b]\ntrain: [images, images]\n"), "data.yaml", "twice"),
    ("yolo", "no label file at all"): (no_labels, "labels/val/e.txt", "no label file"),
    ("yolo", "unknown class"): (label("2 .5 .5 .1 .1\n"), "b.txt", "line 2: unknown class '2'; known are 0 (scratch)"),
    ("yolo", "endless class"): (label("9" * 5000 + " .5 .5 .1 .1\n"), "b.txt", "unknown class '999"),
    ("yolo", "fractional class"): (label("0.5 .5 .5 .1 .1\n"), "b.txt", "unknown class '0.5'"),
    ("yolo", "negative class"): (label("-1 .5 .5 .1 .1\n"), "b.txt", "unknown class '-1'"),
    ("yolo", "four values"): (label("0 .5 .5 .1\n"), "b.txt", "line 2: 4 values"),
    ("yolo", "NaN box"): (label("0 nan .5 .1 .1\n"), "b.txt", "finite"),
    ("yolo", "pixels for shares"): (label("0 16 12 8 8\n"), "b.txt", "outside the image"),
    ("yolo", "negative size"): (label("0 .5 .5 -.1 .1\n"), "b.txt", "inverted"),
    ("yolo", "binary labels"): (raw("labels/train/b.txt", GARBAGE), "b.txt", "UTF-8"),
    ("yolo", "zero-byte image"): (raw("images/val/f.png", b""), "f.png", "empty (0 bytes)"),
    ("deeppcb", "missing list"): (removed("PCBData/trainval.txt"), "trainval.txt", "no such file"),
    ("deeppcb", "empty list"): (raw("PCBData/trainval.txt", b""), "trainval.txt", "0 pairs"),
    ("deeppcb", "all for validation"): (setting("val_count", 6), "trainval.txt", "val_count"),
    ("deeppcb", "empty val list"): (raw("PCBData/val.txt", b""), "val.txt", "no pairs are left for the val split"),
    ("deeppcb", "line of one word"): (
        text("PCBData/trainval.txt", "g/a.jpg\ng/b.jpg g_not/b.txt\ng/c.jpg g_not/c.txt\n"),
        "trainval.txt",
        "not a pair",
    ),
    ("deeppcb", "label outside"): (
        text("PCBData/val.txt", "g/a.jpg ../../../../etc/passwd\n"),
        "val.txt",
        "outside",
    ),
    ("deeppcb", "missing image"): (removed("PCBData/g/b_test.png"), "b_test", "no such image"),
    ("deeppcb", "missing label"): (removed("PCBData/g_not/b.txt"), "b.txt", "no such file"),
    ("deeppcb", "class 0"): (board("1 2 9 9 0"), "b.txt", "line 1: unknown class '0'; known are 1 (scratch)"),
    ("deeppcb", "class 3"): (board("1 2 9 9 1\n1 2 9 9 3\n"), "b.txt", "line 2: unknown class '3'"),
    ("deeppcb", "inverted box"): (board("9 9 1 2 1"), "b.txt", "line 1: box (9, 9, 1, 2) is inverted"),
    ("deeppcb", "box outside"): (board("1 2 9 99 1"), "b.txt", "outside the image"),
    ("deeppcb", "four values"): (board("1 2 9 9"), "b.txt", "4 values"),
    ("deeppcb", "words for numbers"): (board("one 2 9 9 1"), "b.txt", "'one' is not a number"),
}


def files_under(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p): (p.lstat().st_size, p.lstat().st_mtime_ns) for p in folder.rglob("*")}


@pytest.mark.parametrize(("layout", "fault"), CASES, ids=[f"{layout}: {fault}" for layout, fault in CASES])
def test_one_clear_line(layout: str, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil, file_name, reason = CASES[layout, fault]
    settings = WRITERS[layout](tmp_path / "data")
    spoil(tmp_path / "data", settings)
    config = OmegaConf.create({"data": {"reader": settings}, "image_size": 64, "runs_dir": str(tmp_path / "runs")})
    before = files_under(tmp_path)

    assert run_doctor(config) == 2
    told = capsys.readouterr()
    lines = told.err.splitlines()
    assert len(lines) == 1 and not told.out
    assert file_name in lines[0] and reason in lines[0]
    assert len(lines[0]) < 500 and "Traceback" not in lines[0]
    assert files_under(tmp_path) == before


@pytest.mark.parametrize("layout", WRITERS)
def test_the_unspoiled_dataset_is_fine(layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = WRITERS[layout](tmp_path / "data")
    config = OmegaConf.create({"data": {"reader": settings}, "image_size": 64, "runs_dir": str(tmp_path / "runs")})
    assert run_doctor(config) == 0
    assert "no complaints" in capsys.readouterr().out


def test_every_problem_is_listed_and_the_error_is_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = WRITERS["voc"](tmp_path / "data")
    for stem in ("b", "c", "e"):
        (tmp_path / "data" / "ANNOTATIONS" / f"{stem}.xml").unlink()
    with pytest.raises(LightdetError, match=r"b\.xml.*\(and 2 more problems") as caught:
        instantiate(settings).read()
    assert "\n" not in str(caught.value)
    config = OmegaConf.create({"data": {"reader": settings}, "image_size": 64, "runs_dir": str(tmp_path / "runs")})
    assert run_doctor(config) == 2
    assert [line.rpartition(".xml")[0][-1] for line in capsys.readouterr().err.splitlines()] == ["b", "c", "e"]
    assert run_doctor(config, as_json=True) == 2
    assert len(json.loads(capsys.readouterr().out)["findings"]) == 3
    assert not (tmp_path / "runs").exists()
