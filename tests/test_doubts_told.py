"""What a reader leaves out is printed by a training and by an evaluation, also where the data cannot be trained on."""

from pathlib import Path

import pytest
from small_run import SMALL_RUN
from tiny_datasets import write_coco, write_photo, write_yolo

from lightdet.cli.main import BAD_INPUT, main

TINY = tuple(word for word in SMALL_RUN if not word.startswith("data.reader."))


def test_training_and_evaluation_tell_what_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_yolo(tmp_path / "data")
    write_photo(tmp_path / "data" / "images" / "train" / "@eaDir" / "a.png")
    (tmp_path / "data" / "images" / "val" / "x.heic").write_bytes(b"?")
    words = ["data=yolo", f"data.reader.root={tmp_path / 'data'}", "image_size=64", f"runs_dir={tmp_path / 'runs'}"]
    assert main(["train", *TINY, *words, "study=one", "augment=none"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("data       left out: 1 images that no person made") == 1
    assert printed.count("data       left out: 1 .heic files") == 1
    (run,) = (path.parent for path in (tmp_path / "runs" / "one").rglob("results.json"))
    assert main(["evaluate", str(run), "device=cpu"]) == 0
    told = capsys.readouterr().err
    assert told.count("lightdet: data: left out: 1 images that no person made") == 1
    assert told.count("lightdet: data: left out: 1 .heic files") == 1


def test_what_is_left_out_is_told_before_nothing_is_left_to_train_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_coco(tmp_path / "data")
    for name in ("train", "val"):
        path = tmp_path / "data" / f"{name}.json"
        path.write_text(path.read_text().replace('"segmentation"', '"iscrowd": 1, "segmentation"'))
    keys = ("train=train.json", "val=val.json", "train_images=photos", "val_images=photos")
    words = [f"data.reader.{key}" for key in keys]
    words += ["data=coco", f"data.reader.root={tmp_path / 'data'}", "image_size=64", f"runs_dir={tmp_path / 'runs'}"]
    assert main(["train", *TINY, *words, "study=one", "augment=none"]) == BAD_INPUT
    told = capsys.readouterr()
    assert "left out: 6 regions of many objects ('iscrowd': 1)" in told.out and "crowd=teach" in told.out
    assert "no boxes" in told.err
