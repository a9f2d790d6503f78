"""Pictures come last and cost nothing: names that libraries would interpret, pictures that fail, interruptions."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from lightdet.core.annotation import Boxes
from lightdet.core.files import staged, write_text
from lightdet.core.types import Detections, Target
from lightdet.data.record import Record
from lightdet.draw import detection_files
from lightdet.draw.attempt import drawn, save_figure
from lightdet.draw.palette import literal
from lightdet.draw.pictures import write_samples
from lightdet.engine.evaluate import report_on
from lightdet.metric.detection import DetectionMetric
from lightdet.ops.letterbox import letterbox_image

NAMES = ("a$b$c", r"$\frac{", "_hidden_", "9 % {x}", "\U0001f600 缺陷", "קו", "two\nlines \x1b[31m\x00", "half \ud800")
BOX = [10.0, 10.0, 40.0, 40.0]


def examined(folder: Path) -> tuple[DetectionMetric, list[Record]]:
    """A metric that has seen an image per class, each with its box found, and the records of the images."""
    metric, records = DetectionMetric(NAMES), []
    pixels = np.full((60, 80, 3), 120, np.uint8)
    _, letterbox = letterbox_image(pixels, 96)
    for label in range(len(NAMES)):
        path = folder / f"{label}.png"
        Image.fromarray(pixels).save(path)
        box, labels = torch.tensor([BOX]), torch.tensor([label])
        records.append(Record(path.name, path, Boxes(np.array([BOX], np.float32), np.array([label]))))
        metric.add(Detections(box, torch.tensor([0.9]), labels), Target(box, labels, path.name, letterbox))
    return metric, records


def test_no_name_of_a_class_costs_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metric, records = examined(tmp_path)
    report = report_on(metric, records, tmp_path / "out")
    assert set(report["per_class"]) == set(NAMES)
    files = {"detections.json", "pr_curve.png", "confusion.png", "pictures"}
    assert files <= {path.name for path in (tmp_path / "out").iterdir()}
    assert len(list((tmp_path / "out/pictures").iterdir())) == len(NAMES) + 1, "and the overview"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_in_the_legend_as_it_is_written(name: str, tmp_path: Path) -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], label=literal(name))
    legend = axes.legend()
    save_figure(figure, tmp_path / "figure.png")
    (text,) = legend.get_texts()
    seen, formula = text._preprocess_math(text.get_text())  # type: ignore[attr-defined]
    assert formula is False
    assert seen.strip() == re.sub(r"[\n\x1b\x00\ud800]", " ", name).strip()


def test_a_picture_that_fails_is_one_line_and_all_others_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    metric, records = examined(tmp_path)
    out = tmp_path / "out"

    def fail(*_: object) -> None:
        assert {path.name for path in out.iterdir()} >= {"metrics.txt", "detections.json"}, "numbers come first"
        raise ValueError("no\nfont")

    monkeypatch.setattr(DetectionMetric, "text", lambda *_: "numbers")
    monkeypatch.setattr(detection_files, "plot_confusion", fail)
    records[3].path.unlink()
    assert report_on(metric, records, out)["samples"]
    confusion, pictures = capsys.readouterr().err.splitlines()
    assert confusion == "lightdet: the confusion matrix could not be drawn: ValueError: no font"
    assert pictures.startswith(f"lightdet: the pictures could not be drawn: 1 of {len(NAMES)}, such as: ")
    assert (out / "pr_curve.png").stat().st_size and not (out / "confusion.png").exists()
    assert len(list((out / "pictures").iterdir())) == len(NAMES)


def test_a_figure_that_fails_leaves_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def wrong() -> Path:
        figure = Figure()
        figure.text(0, 0, r"$\frac{$")
        return save_figure(figure, tmp_path / "wrong.png")

    figures = {"wrong": wrong, "right": lambda: save_figure(Figure(), tmp_path / "right.png")}
    assert drawn(figures) == {"right": tmp_path / "right.png"}
    assert capsys.readouterr().err.startswith("lightdet: wrong could not be drawn: ValueError: ")
    assert [path.name for path in tmp_path.iterdir()] == ["right.png"], "nothing half-written"


def test_earlier_pictures_stand_until_the_new_ones_are_there(tmp_path: Path) -> None:
    metric, records = examined(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    (earlier := out / "000-missed9-false9-old.png").touch()
    samples = [detection_files.compare(*image) for image in metric.images]

    def interrupted(image_id: str) -> np.ndarray:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_samples(out, samples, interrupted, NAMES, 0.5)
    assert earlier.exists()
    write_samples(out, samples, lambda _: np.zeros((60, 80, 3), np.uint8), NAMES, 0.5)
    assert not earlier.exists() and len(list(out.iterdir())) == len(records) + 1


def test_what_stood_before_stands_until_the_new_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "evaluate-val"
    for number in (1, 2):
        with staged(folder) as new:
            write_text(new / "metrics.json", str(number))
            assert number == 1 or (folder / "metrics.json").read_text() == "1"
    with pytest.raises(KeyboardInterrupt), staged(folder) as new:
        write_text(new / "metrics.json", "3")
        raise KeyboardInterrupt
    (folder / ".new-999999999.tmp").mkdir()  # of a process that was killed
    (folder / f".new-{os.getppid()}.tmp").mkdir()  # of one that is at work
    with staged(folder):
        pass
    assert (folder / "metrics.json").read_text() == "2"
    assert {path.name for path in folder.iterdir()} == {"metrics.json", f".new-{os.getppid()}.tmp"}
