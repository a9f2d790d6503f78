"""Heat maps and numbers of explanations in a report, and the images that are explained for it."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from reports import QUICK, build, lines
from study_factory import add_job, boxes

from lightdet.core.errors import LightdetError
from lightdet.core.files import write_json, write_text
from lightdet.explain.worst import worst_first
from lightdet.metric.detections_file import write_detections
from lightdet.metric.match_record import ImageBoxes
from lightdet.report.explained import explain_missing, heat_maps
from lightdet.report.rows import read_study
from lightdet.runs.folder import RunFolder


def measured(mean: float, trivial: bool) -> dict[str, Any]:
    """A method of an explain.json."""
    score = {"mean": mean, "low": 0.84, "high": 0.99, "verdict": "" if trivial else "better"}
    checks = {"stability": 0.9, "sanity_last": 0.28, "sanity_half": 0.5, "sanity_all": None}
    scores = {"pointing": score}
    return {"trivial": trivial, "milliseconds": 8.04, "scores": scores, "checks": checks, "per_class": {}}


MEASURED = {
    "titles": {"pointing": "pointing"},
    "methods": {"layer_cam": measured(0.94, False), "edges": measured(0.5, True)},
}


HUGE = {"titles": MEASURED["titles"], "methods": {"layer_cam": measured(10**400, False)}}


def listed(picture: str = "pictures/val/1.png", score: float = 0.5) -> str:
    """An explanations.json of one image."""
    said = [{"class": "dent", "score": score, "method": "layer_cam"}]
    return json.dumps({"images": [{"file": "1.png", "picture": picture, "explanations": said}]})


def explained(folder: RunFolder, count: int = 8) -> None:
    """What `lightdet explain RUN` leaves in a run: here pictures of one colour."""
    images = []
    for index in range(count):
        name = f"pictures/val/{index}.png"
        (folder.explain / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (90, 60), (index * 20, 0, 90)).save(folder.explain / name)
        said = [{"class": "dent", "score": 0.5 + index / 100, "method": "layer_cam"}] if index else []
        images.append({"file": f"/data/val/{index}.png", "picture": name, "explanations": said})
    write_json(folder.explain / "explanations.json", {"made_by": "lightdet explain", "images": images})


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two rows, the first with heat maps and numbers."""
    folder = add_job(tmp_path / "two", {"attention": "cbam"}, made=boxes(0.9, 1))
    add_job(tmp_path / "two", {"attention": "none"}, made=boxes(0.5, 2))
    explained(folder)
    write_json(folder.explain / "explain.json", MEASURED)
    return tmp_path / "two"


def test_a_report_shows_heat_maps_and_numbers_of_its_runs(study: Path) -> None:
    page, markdown, troubles = build(study)
    assert troubles == ()
    runs = page.details()["runs"]
    maps = {run: [each for each in content["pictures"] if each["kind"] == "explained"] for run, content in runs.items()}
    assert [len(each) for each in maps.values()] == [6, 0], "at most six, none of what has no explanation"
    first = next(iter(maps.values()))[0]
    assert first["title"] == "1.png: why dent 0.51, layer_cam" and first["src"].startswith("data:image/jpeg;base64,")
    assert "Explanations: the methods measured" in page.text["h2"] and "## Explanations" in markdown
    assert "![heat map](examples/explained-1.jpg)" in markdown
    assert (study / "report/examples/explained-1.jpg").is_file()
    table = lines(study, "explanations")
    assert [(line["row"], line["method"], line["pointing"], line["ms"]) for line in table] == [
        ("1", "layer_cam", "0.94", "8.0"),
        ("1", "edges", "0.5", "8.0"),
    ]
    assert re.search(r"0\.94 \\?\[0\.84, 0\.99", markdown), "with its interval"
    assert [line["beats the trivial maps in"] for line in table] == ["pointing", "a trivial map"]
    assert table[0]["sanity last / half / all"] == "0.28 / 0.50 / -"


def test_a_report_without_explanations_says_nothing_of_them(tmp_path: Path) -> None:
    add_job(tmp_path / "one", {"attention": "cbam"})
    page, markdown, _ = build(tmp_path / "one")
    assert "Explanations: the methods" not in page.text["h2"] and "## Explanations" not in markdown


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("explanations.json", '{"images": [{"explanations": 3}]}', "not as `lightdet explain` writes it"),
        ("explanations.json", "{", "not readable as JSON"),
        ("explain.json", '{"titles": {}, "methods": {"a": 3}}', "not as `lightdet explain --measure` writes it"),
        ("explanations.json", listed(picture="a" * 5000), "not as `lightdet explain` writes it"),
        ("explanations.json", listed(score=10**400), "not as `lightdet explain` writes it"),
        ("explanations.json", listed(score=float("nan")), "not as `lightdet explain` writes it"),
        ("explain.json", "[]", "an object is expected"),
        ("explain.json", json.dumps(HUGE), "not as `lightdet explain --measure` writes it"),
    ],
)
def test_damaged_explanations_are_a_line_of_the_report(study: Path, name: str, content: str, said: str) -> None:
    folder = next(study.glob("attention-cbam/s0"))
    write_text(folder / "explain" / name, content)
    _, _, troubles = build(study)
    assert len(troubles) == 1 and said in troubles[0]


def test_pictures_outside_of_the_run_are_not_shown(study: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    Image.new("RGB", (20, 20), (255, 0, 0)).save(secret)
    folder = RunFolder(next(study.glob("attention-cbam/s0")))
    report = json.loads((folder.explain / "explanations.json").read_text())
    for image, name in zip(report["images"][1:], (str(secret), "../../../../secret.png"), strict=False):
        image["picture"] = name
    write_json(folder.explain / "explanations.json", report)
    assert heat_maps(folder)[0][0] == secret
    page, _, troubles = build(study)
    shown = [each for run in page.details()["runs"].values() for each in run["pictures"] if each["kind"] == "explained"]
    assert len(shown) == 4 and sum("leads out of its run" in line for line in troubles) == 2


def test_what_cannot_be_explained_is_a_line(study: Path) -> None:
    """These runs have no model; the row with explanations is left alone."""
    (line,) = explain_missing(read_study(study))
    assert "attention-none" in line and "not explained:" in line and "\n" not in line


def test_the_report_imports_no_torch(study: Path) -> None:
    code = (
        "import sys; from lightdet.report.command import run; "
        f"run([{str(study)!r}, '--sizes', 'none', '--resamples', '100']); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert QUICK.sizes == ()


def boxes_of(*rows: list[float]) -> np.ndarray:
    return np.array(rows, float).reshape(len(rows), -1)


def test_the_worst_images_of_a_detector_by_hand(tmp_path: Path) -> None:
    """Misses count before false alarms; what is below the threshold counts nothing."""
    truth = boxes_of([0, 0, 10, 10, 0], [20, 20, 30, 30, 1])
    right = [[0, 0, 10, 10, 0.9, 0], [20, 20, 30, 30, 0.8, 1]]
    images = {
        "perfect": boxes_of(*right),
        "alarm": boxes_of(*right, [50, 50, 60, 60, 0.6, 0]),
        "surer alarm": boxes_of([50, 50, 60, 60, 0.95, 0], *right),
        "one missed": boxes_of(right[0]),
        "of another class": boxes_of(right[0], [20, 20, 30, 30, 0.8, 0]),
        "both missed": boxes_of([0, 0, 10, 10, 0.2, 0], [20, 20, 30, 30, 0.1, 1]),
    }
    write_detections(
        tmp_path / "detections.json", ("a", "b"), list(images), [ImageBoxes(b, truth) for b in images.values()]
    )
    ranked = worst_first(tmp_path, 0.3)
    assert ranked == ["both missed", "of another class", "one missed", "surer alarm", "alarm", "perfect"]
    assert worst_first(tmp_path, 0.05)[0] == "of another class"


def test_the_worst_images_of_a_classifier_by_hand(tmp_path: Path) -> None:
    made: list[tuple[str, int, list[float]]] = [
        ("sure", 0, [0.9, 0.1]),
        ("doubtful", 0, [0.6, 0.4]),
        ("wrong", 1, [0.7, 0.3]),
        ("surely wrong", 0, [0.05, 0.95]),
    ]
    images: list[Any] = [{"id": name, "label": label, "probabilities": p} for name, label, p in made]
    write_json(tmp_path / "probabilities.json", {"classes": ["a", "b"], "images": images})
    assert worst_first(tmp_path, 0.5) == ["surely wrong", "wrong", "doubtful", "sure"]
    shown = {"sure": [0], "doubtful": [0], "wrong": [0, 1], "surely wrong": []}
    images = [{"id": name, "labels": shown[name], "probabilities": p} for name, _, p in made]
    write_json(tmp_path / "probabilities.json", {"classes": ["a", "b"], "images": images})
    assert worst_first(tmp_path, 0.5) == ["surely wrong", "wrong", "doubtful", "sure"], "false .95, missed .7, then .4"
    write_json(tmp_path / "probabilities.json", {"images": [{"id": "x"}]})
    with pytest.raises(LightdetError, match="evaluate the run again"):
        worst_first(tmp_path, 0.5)
    assert worst_first(tmp_path / "nothing", 0.5) == []
