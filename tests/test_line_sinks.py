"""What `predict` writes at a line: every format says the same, readers of our own read it, and memory does not grow."""

import csv
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from time import sleep
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from test_line_sources import film, run
from test_predict import BOX_ORIGINAL, CLASSES, Fixed, Loaded, Stub, save
from torch import Tensor

import lightdet.engine.predictor
from lightdet.cli.main import main
from lightdet.core.errors import LightdetError
from lightdet.core.outside import Signalled, end_on_signals
from lightdet.core.types import Detections
from lightdet.data.reader.label_studio import LabelStudio
from lightdet.data.reader.yolo import Yolo
from lightdet.engine.predictor import Predictor
from lightdet.runtime.pipeline import in_order


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`lightdet predict` with a detector that answers at once."""
    monkeypatch.setattr(lightdet.engine.predictor, "load_run", lambda *_, **__: Loaded(Fixed(), CLASSES, 64))
    monkeypatch.setattr(lightdet.engine.predictor, "folded", lambda detector, _: detector)
    (tmp_path / "config.yaml").touch()
    return lambda *words: main(["predict", str(tmp_path), *map(str, words)])


def test_written_boxes_are_read_back_by_our_readers(tmp_path: Path, command: Any) -> None:
    for name in ("x/a.png", "b.png"):
        save(tmp_path / "in" / name)
    out = tmp_path / "out"
    assert command(tmp_path / "in", "--out", out, "--write", "csv,yolo,label_studio", "--no-pictures", "--verdict") == 3
    assert not (out / "pictures").exists()
    (out / "yolo/images").symlink_to(tmp_path / "in")
    records = Yolo(str(out / "yolo"), follow_links=True).read()["train"]
    assert len(records) == 2
    tasks = json.loads((out / "predictions.label_studio.json").read_text())
    for task in tasks:  # as a person does who accepts them
        task["annotations"] = task.pop("predictions")
    (tmp_path / "studio").mkdir()
    (tmp_path / "studio/tasks.json").write_text(json.dumps(tasks))
    (tmp_path / "studio/images").symlink_to(tmp_path / "in")
    studio = LabelStudio(str(tmp_path / "studio"), classes=list(CLASSES), val_share=0.5, follow_links=True).read()
    for record in [*records, *(each for split in studio.values() for each in split)]:
        assert record.box_labels.tolist() == [1, 0]
        assert record.boxes_xyxy[0].tolist() == pytest.approx(BOX_ORIGINAL, abs=0.01)
    with open(out / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["class"], row["verdict"]) for row in rows] == [("scratch", "fail"), ("dent", "fail")] * 2
    assert [float(rows[0][side]) for side in ("left", "top", "right", "bottom")] == pytest.approx(
        BOX_ORIGINAL, abs=0.01
    )


def test_an_image_without_a_box_has_a_line_and_an_empty_label_file(tmp_path: Path, monkeypatch: Any) -> None:
    from lightdet.engine.sink import yolo
    from lightdet.engine.sink.csv import write

    entry = {"id": 1, "file": "in/a.png", "name": "a.png", "height": 9, "width": 9, "boxes": []}
    write(tmp_path, [entry], CLASSES)
    assert (tmp_path / "predictions.csv").read_text().splitlines()[1].startswith("1,in/a.png,,,,9,9,,,")
    yolo.write(tmp_path, [entry], CLASSES)
    assert (tmp_path / "yolo/labels/a.txt").read_text() == ""
    with pytest.raises(LightdetError, match=r"a\.bmp and a\.png would both have the labels a\.txt"):
        yolo.write(tmp_path, [entry, entry | {"name": "a.bmp"}], CLASSES)


def test_a_format_that_is_not_there_is_one_line(
    tmp_path: Path, command: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "in/a.png")
    assert command(tmp_path / "in", "--out", tmp_path / "out", "--write", "cvs") == 2
    assert "--write cvs: one or several of coco, csv, label_studio, yolo" in capsys.readouterr().err
    assert command(tmp_path / "in", "--out", "-", "--write", "csv") == 2
    assert "prints the JSON lines alone" in capsys.readouterr().err


def test_lines_on_standard_output_and_no_file(
    tmp_path: Path, command: Any, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "in/a.png")
    (tmp_path / "in/b.png").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    assert command("in", "--out", "-") == 1
    told = capfd.readouterr()
    first, second = map(json.loads, told.out.splitlines())
    assert first["boxes"][0]["class"] == "scratch" and "empty" in second["reason"]
    assert "1 image, boxes with score" in told.err and not (tmp_path / "predictions").exists()


def test_a_video_with_boxes_has_every_frame(tmp_path: Path) -> None:
    summary = run([str(film(tmp_path / "a.mp4"))], tmp_path / "out", video=True)
    assert summary.whole
    capture = cv2.VideoCapture(str(tmp_path / "out/predictions.mp4"))
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1])
    capture.release()
    assert len(frames) == 12
    assert np.ptp(frames[0].astype(int), axis=2).max() > 40, "a box in colour on grey"


def test_results_come_as_a_stream(tmp_path: Path) -> None:
    predictor = Predictor(Fixed(), CLASSES, 64, 0.5)  # type: ignore[arg-type]
    frames = [result.frame.number for result in predictor.stream(film(tmp_path / "a.mp4", 4))]
    assert frames == [0, 1, 2, 3]
    save(tmp_path / "in/b.png")
    (tmp_path / "in/a.png").write_bytes(b"")
    failed: list[tuple[str, str]] = []
    results = predictor.stream(tmp_path / "in", failed=lambda *what: failed.append(what))
    assert [result.path.name for result in results] == ["b.png"]
    ((name, reason),) = failed
    assert name.endswith("a.png") and reason.startswith("the file is empty")
    with pytest.raises(LightdetError, match="the file is empty"):
        list(predictor.stream([tmp_path / "in"]))


def test_order_is_kept_and_the_source_is_not_read_ahead() -> None:
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(50):
            taken.append(number)
            yield number

    def work(number: int) -> int:
        sleep(0.004 if number % 3 == 0 else 0)
        return number

    ahead = []
    for result in in_order(numbers(), work, 3, 2):
        ahead.append(len(taken) - result)
    assert taken == list(range(50)) and max(ahead) <= 6


def test_an_error_is_raised_in_its_place_and_ends_the_work() -> None:
    def work(number: int) -> int:
        if number == 3:
            raise KeyboardInterrupt
        return number

    seen = []
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        for result in in_order(iter(range(10**9)), work, 2, 2):
            seen.append(result)
    assert seen == [0, 1, 2] and threading.active_count() <= before + 1

    def broken() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(in_order(broken(), work, 2, 2))


def test_one_image_that_breaks_the_model_stays_alone(tmp_path: Path) -> None:
    class Picky(Stub):
        def predict(self, images: Tensor) -> list[Detections]:
            score = float("nan") if images.mean() > 0.6 else 0.9
            return [Detections(torch.tensor([[1.0, 20, 9, 30]]), torch.tensor([score]), torch.tensor([0]))]

    for name, level in (("a", 10), ("b", 250), ("c", 10)):
        Image.fromarray(np.full((64, 64, 3), level, np.uint8)).save(tmp_path / f"{name}.png")
    found, failed = [], []
    predictor = Predictor(Picky(), CLASSES, 64, 0.5)  # type: ignore[arg-type]
    for result in predictor.stream(tmp_path, failed=lambda name, reason: failed.append(reason)):
        found.append(result.path.name)
    assert found == ["a.png", "c.png"] and "NaN" in failed[0]


def test_sigterm_ends_a_watch_and_leaves_what_was_predicted(tmp_path: Path, command: Any) -> None:
    save(tmp_path / "in/a.png")
    before = signal.getsignal(signal.SIGTERM)
    end_on_signals()
    threading.Timer(1.5, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
    try:
        assert command(tmp_path / "in", "--out", tmp_path / "out", "--watch") == 143
    finally:
        signal.signal(signal.SIGTERM, before)
        Signalled.last = None
    written = json.loads((tmp_path / "out/predictions.json").read_text())
    assert written["complete"] is False and len(written["images"]) == 1
