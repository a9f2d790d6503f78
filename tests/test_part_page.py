"""The pages of parts and of their lot: complete in themselves, safe from what data says, and equal to their JSON."""

import json
import os
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image
from test_cam import classifier, yolo

from lightdet.core.annotation import ClassLabel
from lightdet.core.errors import LightdetError
from lightdet.data.record import Record
from lightdet.engine.image_files import ImageFile
from lightdet.engine.predictor import Predictor
from lightdet.explain import lot as lot_module
from lightdet.explain.embedding import image_vectors
from lightdet.explain.explain import explain
from lightdet.explain.lot import Lot
from lightdet.explain.methods import build_methods
from lightdet.explain.nearest import Item, TrainingImages, usual_distances
from lightdet.explain.part import Context
from lightdet.runtime.sources import Original

HOSTILE = '<img src="https://evil.test/x" onerror=alert(1)>'
CLASSES = (HOSTILE, "</style><script>alert(2)</script>", "{{ 7 * 7 }}", "good")


class Read(HTMLParser):
    """The texts of a page outside style and script, its elements and their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._in = ""
        self.feed(page)
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._in = tag

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in not in ("style", "script"):
            self.texts.append(data)


def image_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (64, 96, 3), np.uint8)


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> tuple[Predictor, TrainingImages]:
    """An untrained classifier and eight images as its training images."""
    folder = tmp_path_factory.mktemp("training")
    predictor = Predictor(classifier(), CLASSES, 64)
    items, vectors = [], []
    for seed in range(8):
        path = folder / f"{seed} {HOSTILE.replace('/', '!')}.png"
        Image.fromarray(image_of(seed)).save(path)
        items.append(Item(Record(path.name, path, ClassLabel(seed % 4)), (seed % 4,)))
        vectors.append(image_vectors(predictor.model, predictor.placed(image_of(seed))[0])[0].numpy())
    stacked = np.array(vectors)
    return predictor, TrainingImages(items, stacked, usual_distances(stacked, items), 8)


@pytest.fixture(scope="module")
def written(training: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of three images, the first of which is a training image; their names are hostile."""
    predictor, images = training
    out = tmp_path_factory.mktemp("out")
    first = images.items[0].record.path
    others = [out.parent / f"other {index}.png" for index in range(2)]
    for index, path in enumerate(others):
        Image.fromarray(image_of(20 + index)).save(path)
    files = [ImageFile(path, f"in/{path.name}", f"in/{path.name}") for path in (first, *others)]
    notes = [f"left out: {HOSTILE}"]
    Lot.check(out, files)
    beats = {"layer_cam": f"pointing; worse in {HOSTILE}"}
    lot = Lot(out, Context("runs/<b>study</b>", predictor, images, None, notes, beats))
    for file in files:
        lot.add(file, explain(predictor, Original(file.path), build_methods(["layer_cam", "input_gradient"]), 2))
    assert lot.finish([f"skipped {HOSTILE}: broken"], ["left out: 3 files"]) == out / "index.html"
    return out


def pages(out: Path) -> list[Path]:
    found = sorted(out.rglob("*.html"))
    assert len(found) == 4
    return found


def test_pages_need_no_other_file_and_allow_no_connection(written: Path) -> None:
    for path in pages(written):
        page = Read(path.read_text())
        for tag, attributes in page.elements:
            assert tag not in ("link", "iframe", "object", "embed", "base")
            assert not any(name.startswith("on") or name == "style" for name in attributes), "blocked by the policy"
            if tag == "img":
                assert (attributes["src"] or "").startswith("data:image/jpeg;base64,")
            assert tag != "script" or "src" not in attributes
        policy = next(a["content"] or "" for tag, a in page.elements if a.get("http-equiv"))
        assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
        assert "unsafe" not in policy and ("script-src" in policy) == (path.name == "index.html")


def test_what_data_says_is_text(written: Path) -> None:
    for path in pages(written):
        raw, page = path.read_text(), Read(path.read_text())
        assert '<img src="https' not in raw and "<script>alert" not in raw and "<b>study" not in raw
        assert "runs/<b>study</b>" in page.text and f"left out: {HOSTILE}" in page.text
        scripts = [a for tag, a in page.elements if tag == "script"]
        assert len(scripts) == (path.name == "index.html")
        if path.name != "index.html":
            assert all(name in page.text for name in CLASSES), "the table of probabilities has all four"
    lot = Read((written / "index.html").read_text())
    assert all(part["class"] in lot.text and part["name"] in lot.text for part in facts(written)["parts"])


def facts(out: Path) -> dict[str, Any]:
    return json.loads((out / "index.json").read_text())  # type: ignore[no-any-return]


def test_a_page_shows_what_its_json_holds(written: Path) -> None:
    for path in pages(written):
        content = json.loads(path.with_suffix(".json").read_text())
        page = Read(path.read_text())
        assert content["made_by"] == "lightdet explain" and content["schema"] == 1
        if path.name == "index.html":
            continue
        said = [content["name"], content["class"], content["decision"]["sentence"], content["second"]["class"]]
        said += [f"{content['score']:.2f}", f"margin to another decision {content['margin']:.2f}", content["verdict"]]
        said += [f"{value:.3f}" for value in content["probabilities"].values()]
        for subject in content["subjects"]:
            said += [f"{each['method']} alone" for each in subject["maps"]]
            said += [f"x {each['peak_xy'][0]}, y {each['peak_xy'][1]} px" for each in subject["maps"]]
        assert content["measured"] == {"layer_cam": f"pointing; worse in {HOSTILE}", "input_gradient": ""}
        said += [content["measured"]["layer_cam"], "What input_gradient is worth on this run is not measured"]
        near = content["subjects"][0]["nearest"]
        assert len(near["images"]) == 6 and near["compared"] == near["of"] == 8
        said += [each["id"] for each in near["images"]]
        said += [f"distance {each['distance']:.3f}, " for each in near["images"]]
        said += [f"{each['percentile']:.0f} %" for each in near["images"] if each["percentile"]]
        for words in said:
            assert " ".join(words.split()) in page.text, words
        pictures = [a["src"] for tag, a in page.elements if tag == "img"]
        assert len(pictures) == 1 + 2 * 2 * 2 + 6, "the image, two subjects by two methods, six neighbours"


def test_a_training_image_is_its_own_neighbour(written: Path) -> None:
    (page,) = [path for path in written.glob("parts/in/*.json") if path.name.startswith("0 ")]
    near = json.loads(page.read_text())["subjects"][0]["nearest"]["images"]
    assert near[0]["distance"] == 0 and near[0]["is_this_image"] and near[0]["percentile"] == 0
    assert [each["is_this_image"] for each in near[1:]] == [False] * 5
    assert "this very image" in Read(page.with_suffix(".html").read_text()).text


def test_the_lot_lists_every_image_in_order_of_doubt(written: Path) -> None:
    content, page = facts(written), Read((written / "index.html").read_text())
    margins = [part["margin"] for part in content["parts"]]
    assert len(margins) == 3 and margins == sorted(margins)
    assert content["missing"] == [f"skipped {HOSTILE}: broken", "left out: 3 files"]
    assert all(line in page.text for line in content["missing"])
    assert sum(each["count"] for each in content["counts"]) == 3
    links = [a["href"] or "" for tag, a in page.elements if tag == "a" and a.get("class") == "name"]
    assert [part["page"] for part in content["parts"]] == links
    for link in links:
        part = written / os.fsdecode(unquote(link).encode())
        assert part.is_file()
        back = next(a["href"] or "" for tag, a in Read(part.read_text()).elements if tag == "a")
        assert (part.parent / back).resolve() == (written / "index.html").resolve()


def test_pages_of_others_are_not_overwritten(written: Path, tmp_path: Path) -> None:
    file = ImageFile(Path("a.png"), "a.png", "a.png")
    Lot.check(written, [file])
    (tmp_path / "index.html").write_text("<!doctype html>mine")
    with pytest.raises(LightdetError, match=r"index\.html: not made by `lightdet explain`"):
        Lot.check(tmp_path, [file])
    (tmp_path / "index.html").unlink()
    (tmp_path / "parts").symlink_to(written)
    with pytest.raises(LightdetError, match="leads out of"):
        Lot.check(tmp_path, [file])


def test_a_large_lot_keeps_pictures_of_those_in_doubt(
    training: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lot_module, "MOST_THUMBNAILS", 2)
    predictor, images = training
    lot = Lot(tmp_path, Context("run", predictor, None, None))
    for item in images.items[:7]:
        path = item.record.path
        explained = explain(predictor, Original(path), build_methods(["input_gradient"]))
        lot.add(ImageFile(path, path.name, path.name), explained)
    lot.finish([], [])
    content, page = facts(tmp_path), Read((tmp_path / "index.html").read_text())
    assert len(content["parts"]) == 7 and "The 2 parts most in doubt have pictures" in page.text
    names = [unquote(a["href"] or "") for tag, a in page.elements if a.get("class") == "shots"]
    assert names == [f"parts/{part['name']}.html" for part in content["parts"][:2]]
    assert sum(tag == "img" for tag, _ in page.elements) == 4


def test_a_page_of_a_box_and_of_a_part_without_any(tmp_path: Path) -> None:
    """Boxes have a second guess and a close-up; without a box the page says which score was the best."""
    predictor = Predictor(yolo(), CLASSES[:3], 64, 0.0001, 1.0, threshold_from="as given")
    methods, context = build_methods(["layer_cam"]), Context("run", predictor, None, None)
    path = tmp_path / "a.png"
    Image.fromarray(image_of(0)).save(path)
    found = explain(predictor, Original(path), methods, 1)
    predictor.threshold = 1.0
    nothing = explain(predictor, Original(path), methods, 1)
    lot = Lot(tmp_path, context)
    lot.add(ImageFile(path, "found.png", "found.png"), found)
    lot.add(ImageFile(path, "nothing.png", "nothing.png"), nothing)
    lot.finish([], [])
    with_box = json.loads((tmp_path / "parts/found.png.json").read_text())
    (subject,) = with_box["subjects"]
    assert with_box["verdict"] == "rejected" and with_box["decision"]["sentence"].endswith(">= 0.00, as given")
    assert subject["box_xyxy"] == pytest.approx(found.result.boxes[0].tolist(), abs=1e-3)
    assert subject["second"]["class"] in CLASSES and subject["second"]["class"] != subject["class"]
    without = json.loads((tmp_path / "parts/nothing.png.json").read_text())
    best = with_box["score"]
    assert without["verdict"] == "accepted" and without["subjects"] == [] and without["class"] == ""
    assert without["decision"]["sentence"] == f"no box has a score >= 1.00, as given; the best one has {best:.2f}"
    assert without["margin"] == pytest.approx(1 - best, abs=1e-4)
    assert facts(tmp_path)["summary"] == "1 rejected, 1 accepted"


def test_a_lot_in_the_folder_of_a_larger_one_names_the_pages_it_does_not_count(training: Any, tmp_path: Path) -> None:
    predictor, images = training
    methods = build_methods(["layer_cam"])
    files = [ImageFile(item.record.path, f"{n}.png", f"{n}.png") for n, item in enumerate(images.items[:3])]
    for count in (3, 1):
        lot = Lot(tmp_path, Context("run", predictor, None, None))
        for file in files[:count]:
            lot.add(file, explain(predictor, Original(file.path), methods, 1))
        lot.finish([], [])
        notes = [note for note in facts(tmp_path)["notes"] if "earlier lot" in note]
        assert notes == (
            [] if count == 3 else ["2 of the pages in parts/ are of an earlier lot, and not counted here."]
        )
