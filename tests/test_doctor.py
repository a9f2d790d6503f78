"""What the doctor must notice, in datasets that have exactly that fault, and in the real ones."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from tiny_datasets import BOX, Settings, voc_object, voc_xml, write_photo, write_voc

from lightdet.core.annotation import Boxes
from lightdet.core.errors import LightdetError
from lightdet.data.reader.voc import Voc
from lightdet.data.record import Record, with_bits
from lightdet.doctor.command import run_doctor
from lightdet.doctor.examine import examine, quick_check
from lightdet.doctor.findings import Examination
from lightdet.doctor.image_checks import find_near_copies, look_at_images
from lightdet.doctor.report import as_dict, as_text
from lightdet.ops.anchors import reachable
from lightdet.ops.grid import check_image_size

NEU_DET = ("crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches")


def config_of(settings: Settings, folder: Path, image_size: int = 64) -> DictConfig:
    return OmegaConf.create({"data": {"reader": settings}, "image_size": image_size, "runs_dir": str(folder / "runs")})


def examined(settings: Settings, image_size: int = 64) -> Examination:
    return examine(instantiate(settings), image_size)


def topics(examination: Examination) -> dict[str, str]:
    return {finding.topic: finding.level for finding in examination.findings}


def annotate(root: Path, stem: str, objects: str) -> None:
    (root / "ANNOTATIONS" / f"{stem}.xml").write_text(voc_xml(objects))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return write_voc(tmp_path / "data")


def test_a_sound_dataset(settings: Settings) -> None:
    examination = examined(settings)
    facts = as_dict(examination)
    assert examination.findings == () and examination.exit_code == 0
    assert facts["splits"]["train"] == {
        "images": 4,
        "images_without_boxes": 0,
        "boxes": 4,
        "boxes_per_class": {"scratch": 2, "dent": 2},
    }
    # boxes of 16 x 12 px in photos of 32 x 24 px, seen at 64 px: 32 x 24
    assert facts["box_sizes"]["dent"] == {
        "boxes": 3,
        "median_width": 32.0,
        "median_height": 24.0,
        "shortest_side": 24.0,
        "below_stride_8": 0,
        "below_stride_16": 0,
        "below_stride_32": 3,
        "unlearnable": 0,
    }
    assert json.loads(json.dumps(facts)) == facts


def test_report_is_printed_and_written_whole(settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert run_doctor(config_of(settings, tmp_path)) == 0
    told = capsys.readouterr().out
    assert "scratch" in told and "best possible recall 100.0%" in told and "no complaints" in told
    folder = tmp_path / "runs" / "doctor" / "voc-data"
    assert sorted(path.name for path in folder.iterdir()) == ["report.json", "report.png"]
    assert json.loads((folder / "report.json").read_text())["exit_code"] == 0
    assert Image.open(folder / "report.png").size[0] == 1500
    assert run_doctor(config_of(settings, tmp_path), as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((folder / "report.json").read_text())


def test_a_truncated_photo_is_an_error_and_the_report_still_comes(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = tmp_path / "data" / "IMAGES" / "a.png"
    Image.open(path).save(path.with_suffix(".jpg"))
    path.unlink()
    path.with_suffix(".jpg").write_bytes(path.with_suffix(".jpg").read_bytes()[:-40])
    assert run_doctor(config_of(settings, tmp_path)) == 2
    lines = [line for line in capsys.readouterr().out.splitlines() if "a.jpg" in line]
    assert len(lines) == 1 and "broken image" in lines[0]
    assert (tmp_path / "runs" / "doctor" / "voc-data" / "report.png").is_file()


def test_boxes_that_are_lost_at_this_input_size(settings: Settings, tmp_path: Path) -> None:
    annotate(tmp_path / "data", "a", voc_object() + voc_object(box=(4, 6, 5, 20)))  # 1 px wide
    assert "unlearnable boxes" not in topics(examined(settings, 64))  # 2 px in the input
    examination = examined(settings, 32)
    (finding,) = (each for each in examination.findings if each.topic == "unlearnable boxes")
    assert examination.exit_code == 1
    assert "scratch: 1 of 4 boxes" in finding.message and "image_size=64" in finding.message
    assert finding.images == ("IMAGES/a.png",)


def test_copies_within_a_split_and_across(settings: Settings, tmp_path: Path) -> None:
    images = tmp_path / "data" / "IMAGES"
    Image.open(images / "a.png").save(images / "b.bmp")  # the same pixels in another format
    (images / "b.png").unlink()
    assert topics(examined(settings)) == {"duplicate images": "warning"}
    (images / "f.png").write_bytes((images / "a.png").read_bytes())
    (finding,) = examined(settings).findings
    assert finding.topic == "leak" and set(finding.images) == {"IMAGES/a.png", "IMAGES/b.bmp", "IMAGES/f.png"}


def test_a_photo_listed_in_two_splits(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "data" / "val.txt").write_text("e\nf\na\n")
    examination = examined(settings)
    assert [(f.topic, f.images) for f in examination.findings] == [("leak", ("IMAGES/a.png",))]
    assert any("two splits" in line for line in quick_check(examination.splits, examination.classes, 64))


def test_photos_that_are_not_scaled_alike(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    for path in sorted((tmp_path / "data" / "IMAGES").iterdir()):
        values = random.integers(500, 4001, (24, 32), dtype=np.uint16)
        values[0, 0] = 4096 if path.stem == "b" else 4000
        Image.fromarray(values).save(path)
    (finding,) = examined(settings).findings
    assert (finding.topic, finding.level, finding.images) == ("bit depth", "warning", ("IMAGES/b.png",))
    assert "5 images" in finding.message and "data.bits=8|10|12|14|16" in finding.message
    assert quick_check(instantiate(settings).read(), ("scratch", "dent"), 64) == [f"bit depth: {finding.message}"]

    (finding,) = examine(instantiate(settings), 64, bits=12).findings
    assert finding.images == ("IMAGES/b.png",) and "1 image with values above 4095, up to 4096" in finding.message
    told = with_bits(instantiate(settings).read(), 12)
    assert quick_check(told, ("scratch", "dent"), 64) == [f"bit depth: {finding.message}"]
    assert quick_check(with_bits(told, 14), ("scratch", "dent"), 64) == []

    config = config_of(settings, tmp_path)
    for bits, exit_code in ((None, 1), (14, 0), (13, 2)):
        config.data.bits = bits
        assert run_doctor(config) == exit_code
    assert "data.bits=13: one of null, 8, 10, 12, 14, 16" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("most", "bits", "deep_only", "level", "advice"),
    [
        (255, None, True, "warning", "data.bits=8"),
        (255, 12, True, "warning", "data.bits=8"),
        (255, None, False, "warning", "beside 3 images of 8 bits; data.bits=8"),
        (1000, None, True, "note", "data.bits=10"),
        (1000, None, False, "warning", "4 times darker than as 10, beside 3 images of 8 bits; data.bits=10"),
        (16000, None, True, "note", "data.bits=14"),
    ],
)
def test_photos_that_do_not_use_their_range(
    most: int, bits: int | None, deep_only: bool, level: str, advice: str, settings: Settings, tmp_path: Path
) -> None:
    for path in sorted((tmp_path / "data" / "IMAGES").iterdir())[:: 1 if deep_only else 2]:
        values = np.random.default_rng(ord(path.stem)).integers(0, most, (24, 32), dtype=np.uint16)
        values[0, 0] = most
        Image.fromarray(values).save(path)
    (finding,) = examine(instantiate(settings), 64, bits=bits).findings
    assert (finding.topic, finding.level) == ("bit depth", level) and advice in finding.message
    assert f"no value above {most}" in finding.message
    quick = quick_check(with_bits(instantiate(settings).read(), bits), ("scratch", "dent"), 64)
    assert quick == ([f"bit depth: {finding.message}"] if level == "warning" else [])
    enough = int(advice.rpartition("=")[2])
    assert not examine(instantiate(settings), 64, bits=enough).findings


def test_blank_photos(settings: Settings, tmp_path: Path) -> None:
    Image.new("L", (32, 24), 90).save(tmp_path / "data" / "IMAGES" / "c.png")
    assert topics(examined(settings)) == {"blank image": "warning"}


def test_duplicate_boxes_and_label_conflicts(settings: Settings, tmp_path: Path) -> None:
    x1, y1, x2, y2 = BOX
    annotate(tmp_path / "data", "a", voc_object() * 2)
    annotate(tmp_path / "data", "b", voc_object("dent") + voc_object("scratch", (x1, y1, x2 + 0.2, y2)))
    annotate(tmp_path / "data", "c", voc_object() + voc_object("dent", (x1, y1, x2 + 4, y2)))  # IoU 0.8: two things
    found = {finding.topic: finding for finding in examined(settings).findings}
    assert set(found) == {"duplicate boxes", "label conflict"}
    assert found["duplicate boxes"].images == ("IMAGES/a.png",)
    assert found["label conflict"].images == ("IMAGES/b.png",)
    assert "dent / scratch" in found["label conflict"].message


def test_classes_without_boxes(settings: Settings) -> None:
    examination = examined({**settings, "classes": ["scratch", "dent", "rust"]})
    told = [finding.message for finding in examination.findings]
    assert len(told) == 2 and all(message.startswith("rust: no box in") for message in told)
    assert len(quick_check(examination.splits, examination.classes, 64)) == 2
    assert "rust" in as_text(examination)


def test_anchors_that_do_not_fit(settings: Settings) -> None:
    fits = reachable(np.array([[10.0, 10], [39, 10], [41, 10], [2, 10]]), np.array([[10.0, 10]]))
    assert fits.tolist() == [True, True, False, False]  # each side stretched by less than 4
    examination = examine(instantiate(settings), 64, anchors=[[[200, 200]], [[300, 300]]])
    assert examination.recall == 0.0 and examination.exit_code == 0
    assert topics(examination) == {"anchors": "note"}
    assert as_dict(examination)["anchors"]["per_class"] == {"scratch": 0.0, "dent": 0.0}


def record(name: str, labels: list[int]) -> Record:
    return Record(name, Path(name), Boxes(np.tile(np.float32([[4, 6, 20, 18]]), (len(labels), 1)), np.int64(labels)))


@pytest.mark.parametrize(
    ("splits", "reason"),
    [
        ({"train": [], "val": [record("a", [0])]}, "no images in 'train'"),
        ({"train": [record("a", [0])]}, "no images in 'val'"),
        ({"train": [record("a", [])], "val": [record("b", [0])]}, "no boxes in any of the 1 images of 'train'"),
        ({"train": [record("a", [0])], "val": [record("b", [])]}, "no boxes in any of the 1 images of 'val'"),
    ],
)
def test_quick_check_refuses_what_cannot_be_trained_on(splits: dict[str, list[Record]], reason: str) -> None:
    with pytest.raises(LightdetError) as caught:
        quick_check(splits, ("scratch",), 64)
    assert reason in str(caught.value) and "\n" not in str(caught.value)


def test_quick_check_tells_of_lost_boxes_without_decoding(settings: Settings, tmp_path: Path) -> None:
    records = instantiate(settings).read()
    assert quick_check(records, ("scratch", "dent"), 64) == []
    path = records["train"][0].path
    path.write_bytes(path.read_bytes()[:60])  # a header without pixels
    thin = replace(records["train"][0], annotation=Boxes(np.float32([[4, 6, 20, 6.5]]), records["train"][0].labels))
    (line,) = quick_check({**records, "train": [thin, *records["train"][1:]]}, ("scratch", "dent"), 64)
    assert line.startswith("unlearnable boxes: scratch: 1 of 2 boxes")


def test_odd_class_names_and_many_classes_are_drawn(tmp_path: Path) -> None:
    settings = write_voc(tmp_path / "data")
    names = ["$x_", "dent", "划痕", "a name that is much too long for any chart", *(f"class {n}" for n in range(40))]
    annotate(tmp_path / "data", "a", voc_object("$x_"))
    for stem in "bcdef":
        annotate(tmp_path / "data", stem, voc_object("划痕"))
    write_photo(tmp_path / "data" / "IMAGES" / "b.png", seed=9)
    assert run_doctor(config_of({**settings, "classes": names}, tmp_path)) == 1
    assert (tmp_path / "runs" / "doctor" / "voc-data" / "report.png").stat().st_size > 10_000


def test_neu_det(real_data: Path) -> None:
    examination = examine(Voc(str(real_data / "neu-det"), NEU_DET), 224)
    found = {finding.topic: set(finding.images) for finding in examination.findings}
    assert found == {
        "duplicate boxes": {"IMAGES/inclusion_62.jpg", "IMAGES/patches_198.jpg"},
        "duplicate images": {"IMAGES/patches_101.jpg", "IMAGES/patches_105.jpg"},
    }
    assert examination.exit_code == 1
    assert examination.recall > 0.98


def test_near_copies_of_neu_det(real_data: Path) -> None:
    """Shifted and turned images that its authors took for different ones; no two of one texture besides."""
    records = [record for some in Voc(str(real_data / "neu-det"), NEU_DET).read().values() for record in some]
    splits = {"train": records, "val": records}
    near, not_compared = find_near_copies(splits, look_at_images(splits))
    pairs = {tuple(sorted((pair.first.path.stem, pair.second.path.stem))) for pair in near}
    assert not_compared == 0 and pairs == {
        ("inclusion_151", "inclusion_162"),
        ("patches_2", "patches_5"),
        ("pitted_surface_171", "pitted_surface_292"),
        ("scratches_221", "scratches_243"),
        ("scratches_232", "scratches_247"),
        ("scratches_27", "scratches_295"),
    }


def test_an_input_that_no_training_takes(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert run_doctor(config_of(write_voc(tmp_path), tmp_path, image_size=200)) == 2
    assert "image_size=200: must be a multiple of 32; the nearest is 192" in capsys.readouterr().err
    with pytest.raises(LightdetError, match="image_size=abc: give a whole number"):
        check_image_size("abc")  # type: ignore[arg-type]
