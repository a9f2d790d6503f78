"""What the doctor says of the labels of whole images that a classifier would be trained on."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lightdet.cli.main as cli
from lightdet.core.annotation import Boxes
from lightdet.core.errors import LightdetError
from lightdet.data.record import Record
from lightdet.doctor.label_checks import NO_LABEL, Labelling, label_images

CLASSES = ("scratch", "dent")


def record(name: str, labels: list[int]) -> Record:
    return Record(
        name, Path(name), Boxes(np.tile(np.float32([1, 1, 9, 9]), (len(labels), 1)), np.array(labels, np.int64))
    )


SPLITS = {
    "train": [record("a", [0, 1, 1]), record("b", [0]), record("c", []), record("d", [1, 1])],
    "val": [record("e", [0]), record("f", [])],
}


@pytest.mark.parametrize(
    ("rule", "train", "val"),
    [
        ("first", {"scratch": 2, "dent": 1, "good": 1}, {"scratch": 1, "dent": 0, "good": 1}),
        ("majority", {"scratch": 1, "dent": 2, "good": 1}, {"scratch": 1, "dent": 0, "good": 1}),
        ("any_defect", {"good": 1, "defect": 3}, {"good": 1, "defect": 1}),
        ("all", {"scratch": 2, "dent": 2, NO_LABEL: 1}, {"scratch": 1, "dent": 0, NO_LABEL: 1}),
    ],
)
def test_images_are_counted_by_the_rule_of_the_training(rule: str, train: dict, val: dict) -> None:
    counts, findings = label_images(SPLITS, CLASSES, Labelling(rule))
    assert counts == {"train": train, "val": val}
    told = {finding.topic: finding for finding in findings}
    assert ("class without images" in told) == (rule != "any_defect"), "dent is not in val"
    assert ("labels" in told) == (rule in ("first", "majority"))
    if rule == "first":
        assert told["labels"].images == ("a",) and "1 image with boxes of several classes" in told["labels"].message


def test_images_that_training_leaves_out_are_not_counted() -> None:
    splits = {"train": [record(f"{k}", [0]) for k in range(30)] + [record(f"x{k}", [1]) for k in range(30)]}
    counts, findings = label_images({**splits, "val": splits["train"]}, CLASSES, Labelling("first", {"dent": 1}))
    assert counts["train"] == {"scratch": 30, "dent": 1} and counts["val"] == {"scratch": 30, "dent": 30}
    told = {finding.topic: finding.message for finding in findings}
    assert told["imbalance"] == "scratch has 30 images, dent 1; expect a low recall there"
    assert "class shares" not in told, "the person chose that share"
    with pytest.raises(LightdetError, match="rust"):
        label_images(splits, CLASSES, Labelling("first", {"rust": 1}))


def test_the_command_counts_the_labels_of_a_classifier(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    shades = np.random.default_rng(0)
    for split, images in (("train", 3), ("val", 2)):
        for name in ("good", "dent"):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            for index in range(images):
                pixels = shades.integers(0, 255, (24, 24, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / "data" / split / name / f"{index}.png")
    words = ["doctor", "model=light_classifier", "data=folder", f"data.reader.root={tmp_path / 'data'}"]
    words += ["image_size=32", f"runs_dir={tmp_path}"]
    assert cli.main(words) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["dent", "3", "2"] in lines and ["good", "3", "2"] in lines
    (tmp_path / "data/val/rust").mkdir()
    (tmp_path / "data/val/good/1.png").rename(tmp_path / "data/val/rust/1.png")
    assert cli.main(["doctor", *words[2:]]) == 1, "data without boxes are those of a classifier, whatever the model"
    said = capsys.readouterr().out
    assert "rust: no image in 'train': the classifier cannot learn it" in said and "box" not in said
    (tmp_path / "data/val/rust/1.png").unlink()
    (tmp_path / "data/val/rust").rmdir()
    assert cli.main([*words, "labels=several", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["splits"]["train"]["images_per_label"] == {"dent": 3, NO_LABEL: 3}
