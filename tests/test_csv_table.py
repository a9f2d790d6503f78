"""A table of labels: what its lines become, and what is said of lines that cannot be used."""

import re
from pathlib import Path

import pytest
from hydra.utils import instantiate
from PIL import Image

from lightdet.config.compose import compose_config
from lightdet.core.annotation import ClassLabel, LabelSet
from lightdet.core.errors import LightdetError
from lightdet.data.image_labels import with_image_labels
from lightdet.data.reader.csv_table import CsvTable
from lightdet.data.record import doubts_of
from lightdet.data.table_file import separator_of

NAMES = ("a", "b", "c", "d")


def write(root: Path, text: str | bytes, names: tuple[str, ...] = NAMES, folder: str = ".") -> str:
    """A table and images of 8 x 8 px."""
    for name in names:
        path = root / folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(path)
    (root / "labels.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(root)


def labels(reader: CsvTable) -> dict[str, str]:
    """The class of each image that is read, whatever its split."""
    splits = reader.read()
    found = {}
    for record in (one for records in splits.values() for one in records):
        assert isinstance(record.annotation, ClassLabel)
        found[record.image_id] = reader.classes[record.annotation.label]
    return dict(sorted(found.items()))


GOOD_AND_BAD = {"a.png": "good", "b.png": "bad", "c.png": "good", "d.png": "bad"}


@pytest.mark.parametrize(
    "text",
    [
        "a.png,good\nb.png,bad\nc.png,good\nd.png,bad\n",
        "\ufeffimage,label\r\na.png,good\r\nb.png,bad\r\n\r\nc.png,good\r\nd.png,bad\r\n",
        'file;class\n"a.png";"good"\nb.png;bad\nc.png;good\nd.png;bad',
        "a.png\tgood\rb.png\tbad\rc.png\tgood\rd.png\tbad\r",
        "  a.png   good\nb.png  bad \nc.png good\nd.png\t bad\n",
        "id,label\na,good\nb,bad\nc,good\nd,bad\n,\n",
        "image,label\n.\\a.png,good\n./b.png,bad\nc.PNG,good\nd.png,bad\n",
        "image,label\na.png,good\nb.png,bad\nc.png,good\nd.png,bad\n".encode("utf-16"),
    ],
    ids=["plain", "BOM, CRLF, empty line", "quotes", "tabs, CR", "blanks", "no suffix", "Windows", "UTF-16"],
)
def test_a_table_of_any_tool_is_read_alike(tmp_path: Path, text: str | bytes) -> None:
    reader = CsvTable(write(tmp_path, text))
    assert reader.classes == ("bad", "good") and labels(reader) == GOOD_AND_BAD
    told, *header = doubts_of(reader)
    assert told == "no data.reader.classes given: taken are those found, in this order: bad (2), good (2)"
    first = text.decode("utf-16") if isinstance(text, bytes) else text
    names = next((names for names in ("image,label", "file;class", "id,label") if names in first), None)
    expected = f"line 1 of labels.csv is read as names of columns: {names and re.sub('[,;]', ', ', names)}"
    assert header == ([expected] if names else [])


def test_a_decimal_comma_and_a_blank_in_a_name_are_no_separators() -> None:
    assert separator_of("a.png;0,5\nb.png;1,0\n") == ";"
    assert separator_of("part 1.png,good\npart 2.png,bad\n") == ","
    assert separator_of("a.png,good\nb.png,bad\nc.png,a,b\n") == ","
    assert separator_of("a.png\nb.png\n") is None


def test_columns_by_name_splits_domains_and_a_folder_of_images(tmp_path: Path) -> None:
    text = "line,verdict,part,set\n7,bad,a,Training\n8,good,b,train\n7,good,c.png,valid\n8,bad,d.png,test\n"
    root = write(tmp_path, text, folder="photos")
    reader = CsvTable(root, image="part", label="verdict", split="set", domain="line", images="photos")
    splits = reader.read()
    assert {name: [one.image_id for one in records] for name, records in splits.items()} == {
        "train": ["photos/a.png", "photos/b.png"],
        "val": ["photos/c.png"],
        "test": ["photos/d.png"],
    }
    assert [one.domain for one in splits["train"]] == ["7", "8"]
    assert labels(reader)["photos/a.png"] == "bad"


def test_values_become_classes_and_what_is_left_out_is_told(tmp_path: Path) -> None:
    reader = CsvTable(
        write(tmp_path, "a.png,0\nb.png,1.0\nc.png,0.5\nd.png,\ne.png,1e0\n", (*NAMES, "e", "f")),
        values={0.0: "good", 1: "defective", "0.5": None},
    )
    assert reader.classes == ("good", "defective")
    assert labels(reader) == {"a.png": "good", "b.png": "defective", "e.png": "defective"}
    table = tmp_path / "labels.csv"
    assert doubts_of(reader) == (
        f"left out: 1 lines whose label data.reader.values leaves out, e.g. {table}: line 3: 0.5",
        f"left out: 1 lines without a label, e.g. {table}: line 4",
        f"left out: 1 images that the annotations do not name, e.g. {tmp_path}/f.png",
    )


@pytest.mark.parametrize(
    ("text", "settings", "said"),
    [
        ("a.png,good\nb.png,bad\na.png,bad\n", {}, r"labels.csv: line 3: a.png is named in line 1 already"),
        ("a.png,good\nx.png,bad\n", {}, r"labels.csv: line 2: no such image: .*/x.png; .* data.reader.images"),
        ("a.png,good\nb.png,bed\n", {"classes": ["good", "bad"]}, r"line 2: unknown label 'bed'; known are good, bad;"),
        ("a.png,0\nb.png,2\n", {"values": {0: "good"}}, r"line 2: unknown label '2'; known are 0; .*reader.values"),
        ("a.png,0\nb.png,2\n", {"values": {0: "x"}, "classes": ["good"]}, "'x' is none of data.reader.classes, good"),
        ("a.png,good\nb.png,bad\nc.png,good,x\n", {}, "labels.csv: line 3: 3 cells, and line 1 has 2"),
        ("a.png,x\nb.png,x|z\n", {"classes": ["x", "y"]}, r"line 2: unknown label 'z' in 'x\|z'; known are x, y"),
        ("a.png,x\nb.png,x|\n", {}, r"line 2: unknown label '' in 'x\|'"),
        ("a.png,good\n,bad\n", {}, "line 2: no image is named"),
        ("image,label\na.png,good\n", {"label": "lable"}, "lable: no column of this name in line 1 .* image, label"),
        ("image,label\na.png,good\n", {"label": 3}, r"data.reader.label=3: .*labels.csv has 2 columns"),
        ("image,x,x\na.png,good,x\n", {"label": "x"}, "more than one column of this name"),
        ("a.png,good\n", {"label": "x", "header": False}, "header=false has no names of columns"),
        ("a.png,good\n", {"header": "maybe"}, "header=maybe: one of auto, true, false"),
        ("a.png,good,xx\nb.png,bad,val\n", {"split": 3}, "line 1: split 'xx': train, val or test is expected"),
        ("a.png,good,test\nb.png,bad,val\n", {"split": 3}, "no line says train"),
        ("a.png,\nb.png,\n", {"values": {0: "good"}}, "no line has a label; there is nothing to train on"),
        ("a.png\nb.png\n", {}, "line 1: one column, 'a.png'"),
        ("a.png,good\n", {"separator": ";"}, "line 1: one column at semicolon, 'a.png,good'"),
        ("sub,good\nb.png,bad\nc.png,good\n", {}, "line 1: 'sub' is no image, and 'good' is a label; correct the name"),
        ("sub,x\nb.png,good\n", {"classes": ["good", "x"]}, "line 1: 'sub' is no image, and 'x' is a label"),
        (".,0\nb.png,1\n", {"values": {0: "good", 1: "bad"}}, "line 1: '.' is no image, and '0' is a label"),
        ("a.png,good\n", {"separator": 5}, "data.reader.separator=5: one character"),
        ("a.png,good\n", {"table": 5}, "data.reader.table: 5 is no name of a file"),
        ("a.png,good\n", {"images": 5}, "data.reader.images: 5 is no name of a file"),
        ("a.png,good\n", {"classes": 5}, r"data.reader.classes=5: give a list"),
        ("a.png,a\n", {"values": {"a": ["x"]}}, r"data.reader.values: \['x'\] is no class"),
        ("a.png,good\n", {"separator": ";;"}, "data.reader.separator=;;: one character"),
        ("", {}, "labels.csv: an empty table"),
        ('a.png,good\nb.png,"bad\nc.png,x\n', {}, "labels.csv: line 2: .*end of data"),
        (f"a.png,good\nb.png,{'x' * 200_000}\n", {}, "labels.csv: line 2: field larger than field limit"),
        (b"a.png,good\nb.png,\xff\xff\n", {}, "not text in UTF-8"),
        ("a.png,good\nC:\\photos\\b.png,bad\n", {}, "line 2: 'C:/photos/b.png' is the name of a file on another"),
        ("a.png,good\n../b.png,bad\n", {}, "line 2: '../b.png' leads outside"),
        ("a.png,good\n", {"table": "other.csv"}, "other.csv: no such file, but data.reader.table names it"),
        ("".join(f"{n}.png,{n / 7}\n" for n in range(101)), {}, "101 different values in the column of the labels"),
        ("a.png,good\n", {"values": ["good"]}, "data.reader.values=.*: a mapping of values to classes"),
    ],
)
def test_what_cannot_be_used_is_one_line(tmp_path: Path, text: str | bytes, settings: dict, said: str) -> None:
    with pytest.raises(LightdetError, match=said) as raised:
        CsvTable(write(tmp_path, text), **settings).read()
    assert "\n" not in str(raised.value)


ELPV = """images/cell0001.png  1.0                 mono
images/cell0002.png  0.0                 mono
images/cell0003.png  0.3333333333333333  poly
images/cell0004.png  0.6666666666666666  poly
images/cell0005.png  0.0                 mono
images/cell0006.png  1.0                 poly
"""
CELLS = tuple(f"cell{number:04d}" for number in range(1, 7))


@pytest.mark.parametrize(
    ("words", "classes", "found"),
    [
        (["data=elpv"], ("good", "defective"), [1, 0, 0, 1, 0, 1]),
        (["data=elpv_levels"], ("good", "good_unsure", "defective_unsure", "defective"), [3, 0, 1, 2, 0, 3]),
        (["data=elpv", "data.reader.values={0.3333333333333333:null}"], ("good", "defective"), [1, 0, None, 1, 0, 1]),
    ],
)
def test_a_table_as_that_of_elpv(
    tmp_path: Path, words: list[str], classes: tuple[str, ...], found: list[int | None]
) -> None:
    root = write(tmp_path, ELPV, CELLS, "images")
    reader = instantiate(compose_config([*words, f"data.reader.root={root}"]).data.reader)
    records = sorted((one for some in reader.read().values() for one in some), key=lambda record: record.image_id)
    assert reader.classes == classes
    labels_and_kinds = dict(zip(CELLS, zip(found, ELPV.split()[2::3], strict=True), strict=True))
    assert {record.path.stem: (record.labels.item(), record.domain) for record in records} == {
        cell: (label, kind) for cell, (label, kind) in labels_and_kinds.items() if label is not None
    }
    assert records[0].image_id == "images/cell0001.png" and len(doubts_of(reader)) == found.count(None)


@pytest.mark.parametrize(
    ("cells", "values"),
    [("0 1 1.0 0.50", "{0:good,1.0:bad,.5:null}"), ("False TRUE true -", "{false:good,true:bad,-:null}")],
)
def test_values_of_a_command_line_are_a_mapping(tmp_path: Path, cells: str, values: str) -> None:
    root = write(tmp_path, "".join(f"{name}.png,{cell}\n" for name, cell in zip(NAMES, cells.split(), strict=True)))
    words = ["data=csv", f"data.reader.root={root}", f"data.reader.values={values}"]
    assert labels(instantiate(compose_config(words).data.reader)) == {"a.png": "good", "b.png": "bad", "c.png": "bad"}


def test_several_labels_of_an_image(tmp_path: Path) -> None:
    reader = CsvTable(write(tmp_path, "a.png,scratch|dent\nb.png,dent\nc.png,\nd.png,spot | dent|spot\n"))
    records = {record.image_id: record for some in reader.read().values() for record in some}
    assert reader.classes == ("dent", "scratch", "spot") and "c.png" not in records
    assert records["a.png"].annotation == LabelSet((0, 1)) and records["b.png"].annotation == ClassLabel(0)
    assert records["d.png"].annotation == LabelSet((0, 2))
    sets, _ = with_image_labels({"train": list(records.values())}, reader.classes, "all")
    assert sorted(record.labels.tolist() for record in sets["train"]) == [[0], [0, 1], [0, 2]]
    with pytest.raises(LightdetError, match=r"a\.png has 2 classes .* labels=several"):
        with_image_labels({"train": [records["a.png"]]}, reader.classes, "largest")


def test_values_apply_to_each_of_several_labels(tmp_path: Path) -> None:
    values = {"s": "scratch", "d": "dent", "": "good", "?": None, "s|d": "both"}
    reader = CsvTable(write(tmp_path, "a.png,s|d\nb.png,d|s|d\nc.png,\nd.png,s|?\n"), values=values)
    records = {record.image_id: record.annotation for some in reader.read().values() for record in some}
    assert reader.classes == ("scratch", "dent", "good", "both")
    assert records == {"a.png": ClassLabel(3), "b.png": LabelSet((0, 1)), "c.png": ClassLabel(2)}
