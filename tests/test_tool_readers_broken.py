"""Broken files of annotation tools: one clear line that names the file and the place in it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_datasets import write_photo
from tool_datasets import TOOL_WRITERS, build, cvat_box, cvat_image, cvat_xml, write_cvat, write_json

from lightdet.core.errors import LightdetError


def write_one(tool: str, root: Path) -> tuple[dict[str, Any], Path, Any]:
    """A tool's dataset, the file to spoil and its content."""
    settings = dict(TOOL_WRITERS[tool](root))
    file = {"labelme": "train/b.json", "datumaro": "annotations/train.json", "label_studio": "project-7.json"}[tool]
    return settings, root / file, json.loads((root / file).read_text())


def shapes_of(document: Any, value: object) -> None:
    document["shapes"] = value


Spoil = Callable[[Any], object]
BROKEN: dict[str, tuple[str, Spoil, str]] = {
    "labelme no imagePath": ("labelme", lambda d: d.pop("imagePath"), "b.json: 'imagePath' is missing"),
    "labelme no such image": ("labelme", lambda d: d.update(imagePath="x.png"), "no such image: x.png; it was looked"),
    "labelme another size": (
        "labelme",
        lambda d: d.update(imageWidth=24, imageHeight=32),
        "b.png: made for an image of 24",
    ),
    "labelme shapes": ("labelme", lambda d: d.update(shapes={}), "'shapes' is missing or not a list of objects"),
    "labelme no label": ("labelme", lambda d: d["shapes"][0].pop("label"), r"shapes[0]: 'label' is missing"),
    "labelme one point": ("labelme", lambda d: d["shapes"][0].update(points=[[1, 2]]), "2 or more points [x, y]"),
    "labelme text": ("labelme", lambda d: d["shapes"][0].update(points=[["1", 2], [3, 4]]), "list of numbers"),
    "labelme class": ("labelme", lambda d: d["shapes"][0].update(label="rust"), "'rust'; known are scratch, dent"),
    "labelme outside": ("labelme", lambda d: d["shapes"][0].update(points=[[1, 1], [90, 9]]), "reaches outside"),
    "labelme NaN behind": (
        "labelme",
        lambda d: d["shapes"][0].update(points=[[1, 2], [3, float("nan")]]),
        "not made of finite numbers",
    ),
    "labelme kind": ("labelme", lambda d: d["shapes"][0].update(shape_type=[1]), "'shape_type' is [1] and no text"),
    "labelme side": ("labelme", lambda d: d.update(imageWidth=10**400), "made for an image of 1e+09 x 24 px"),
    "datumaro no items": ("datumaro", lambda d: d.pop("items"), "no 'items'; is it Datumaro's JSON?"),
    "datumaro no labels": ("datumaro", lambda d: d.update(categories={}), "no labels under 'categories'"),
    "datumaro label": (
        "datumaro",
        lambda d: d["items"][1]["annotations"][0].update(label_id=7),
        "items[1]: annotations[0]: 'label_id' is 7; the file has labels 0 to 1",
    ),
    "datumaro bbox": (
        "datumaro",
        lambda d: d["items"][1]["annotations"][0].update(bbox=[1, 2, 3]),
        "3 numbers do not make a bbox",
    ),
    "datumaro huge": (
        "datumaro",
        lambda d: d["items"][1]["annotations"][0].update(bbox=[1, 2, 3, 10**400]),
        "beyond all images",
    ),
    "studio an object": ("label_studio", lambda d: d[0].update(annotations={}), "tasks[0]: 'annotations' is missing"),
    "studio no image": ("label_studio", lambda d: d[0].update(data={"text": "x"}), "which of text is the image?"),
    "studio two labels": (
        "label_studio",
        lambda d: d[0]["annotations"][0]["result"][0]["value"].update(rectanglelabels=["dent", "scratch"]),
        "is not one label",
    ),
    "studio turned": (
        "label_studio",
        lambda d: d[0]["annotations"][0]["result"][0].update(image_rotation=90),
        "turn the file itself",
    ),
    "studio no size": (
        "label_studio",
        lambda d: d[0]["annotations"][0]["result"][0].pop("original_width"),
        "'original_width' is None, not a number",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_one_line_that_names_it(case: str, tmp_path: Path) -> None:
    tool, spoil, told = BROKEN[case]
    settings, file, document = write_one(tool, tmp_path)
    spoil(document)
    write_json(file, document)
    with pytest.raises(LightdetError) as raised:
        build(settings).read()
    assert told in str(raised.value) and file.name in str(raised.value) and "\n" not in str(raised.value)


CVAT_BROKEN = {
    "a video": ("<track id='0' label='dent'/>", "tracks of a video"),
    "no images": ("", "no <image>"),
    "no label": (cvat_image("a", cvat_box("")), "image 1, object 1: no label"),
    "unknown label": (cvat_image("a", cvat_box("rust")), "image 1: object 1: unknown class 'rust'"),
    "no corner": (cvat_image("a", '<box label="dent" xtl="1"/>'), "ytl: '' is not a number"),
    "NaN behind": (
        cvat_image("a", '<polygon label="dent" points="1,1;2,2;nan,3"/>'),
        "image 1: object 1: box (nan, nan, nan, nan) is not made of finite numbers",
    ),
    "two points": (cvat_image("a", '<polygon label="dent" points="1,1;2,2"/>'), "three points x,y or more"),
    "mixed subsets": (
        cvat_image("a", "", "Train") + cvat_image("b", "", "batch 1"),
        "subsets Train, batch 1: call each train, val or test, or none of them",
    ),
    "no training": (cvat_image("a", "", "Test"), "none is for training"),
    "missing image": (cvat_image("nowhere", "", "Train"), "image 1: no such image: nowhere.png; it was looked for at"),
}


@pytest.mark.parametrize("case", CVAT_BROKEN)
def test_a_broken_cvat_file_is_one_line_that_names_it(case: str, tmp_path: Path) -> None:
    settings = write_cvat(tmp_path)
    images, told = CVAT_BROKEN[case]
    write_photo(tmp_path / "images" / "a.png")
    (tmp_path / "annotations.xml").write_text(cvat_xml(images))
    with pytest.raises(LightdetError) as raised:
        build(settings).read()
    assert told in str(raised.value) and "annotations.xml" in str(raised.value)


def test_lists_where_a_number_is_expected_break_nothing(tmp_path: Path) -> None:
    spoils: dict[str, Spoil] = {
        "labelme": lambda d: d["shapes"][0].update(group_id=[1]),
        "datumaro": lambda d: d["items"][1]["annotations"][0].update(group=[1]),
        "label_studio": lambda d: d[0]["annotations"][0]["result"][0].update(id=[1]),
    }
    for tool, spoil in spoils.items():
        settings, path, document = write_one(tool, tmp_path / tool)
        before = build(settings).read()
        spoil(document)
        write_json(path, document)
        after = build(settings).read()
        assert [[r.labels.tolist() for r in some] for some in after.values()] == [
            [r.labels.tolist() for r in some] for some in before.values()
        ]
