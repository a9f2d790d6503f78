"""A training on fewer images of a class: how many, which ones, and what is said of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from painted_data import PaintedReader

from lightdet.config.compose import compose_config
from lightdet.config.settings import check_settings
from lightdet.core.annotation import Boxes, ClassLabel
from lightdet.core.errors import LightdetError
from lightdet.data.module import ImageData
from lightdet.data.per_class import PerClass, cut_per_class
from lightdet.data.record import Record
from lightdet.runs.fingerprint import fingerprint

CLASSES = ("scratch", "dent", "spot")
LABELLED = [Record(f"{n}.png", Path(f"{n}.png"), ClassLabel(0 if n < 20 else 1 if n < 30 else 2)) for n in range(33)]


def counts(records: list[Record]) -> list[int]:
    return np.bincount([record.labels.item() for record in records], minlength=3).tolist()


@pytest.mark.parametrize(
    ("per_class", "left"),
    [
        (2, [2, 2, 2]),
        (5, [5, 5, 3]),
        (0.1, [2, 1, 1]),
        ({"dent": 4}, [20, 4, 3]),
        ({"scratch": 0.5, "spot": 1}, [10, 10, 1]),
    ],
)
def test_each_class_keeps_as_many_images_as_asked_for(per_class: PerClass, left: list[int]) -> None:
    kept, told = cut_per_class(LABELLED, CLASSES, per_class)
    assert counts(kept) == left and [one for one in LABELLED if one in kept] == kept
    assert told[0] == (
        f"data.per_class keeps {sum(left)} of 33 training images: scratch {left[0]}, dent {left[1]}, spot {left[2]}"
    )
    fewer = ("data.per_class: spot has 3 training images of the 5 asked for; all are taken",)
    assert told[1:] == (fewer if per_class == 5 else ())


def test_which_images_depends_on_seed_and_names_alone() -> None:
    kept, _ = cut_per_class(LABELLED, CLASSES, 3)
    again, _ = cut_per_class(LABELLED[::-1], CLASSES, 3)
    other, _ = cut_per_class(LABELLED, CLASSES, 3, seed=1)
    more, _ = cut_per_class(LABELLED, CLASSES, 7)
    names = [{one.image_id for one in some} for some in (kept, again, other, more)]
    assert names[0] == names[1] != names[2] and names[0] < names[3]


def boxed(name: str, *labels: int) -> Record:
    return Record(
        name, Path(name), Boxes(np.tile(np.float32([0, 0, 4, 4]), (len(labels), 1)), np.array(labels, np.int64))
    )


def test_an_image_counts_for_each_class_in_it() -> None:
    both = [boxed(f"b{n}", 0, 1, 1) for n in range(4)]
    records = [*both, *(boxed(f"s{n}", 0) for n in range(9)), *(boxed(f"g{n}") for n in range(6))]
    kept, told = cut_per_class(records, CLASSES, 3)
    shown = [set(record.labels.tolist()) for record in kept]
    assert sum(1 in each for each in shown) == 3, "of the rarer class 3 of the 4 images"
    assert sum(0 in each for each in shown) == 3, "the same images give 3 of the other class"
    assert shown.count(set()) == 3 and len(kept) == 6
    assert told[1:] == ("data.per_class: spot has 0 training images of the 3 asked for; all are taken",)
    kept, told = cut_per_class(records, CLASSES, {"scratch": 2, "good": 1})
    assert len([one for one in kept if one in both]) == 4, "dent is not named and keeps all"
    assert len(kept) == 5
    assert told[1:] == ("data.per_class: scratch keeps 4 images where 2 were asked for, with other classes",)


def test_a_class_called_good_is_not_that_of_images_without_objects() -> None:
    records = [*(boxed(f"o{n}", 0) for n in range(4)), *(boxed(f"e{n}") for n in range(5))]
    assert len(cut_per_class(records, ("good",), {"good": 1})[0]) == 1 + 5
    assert len(cut_per_class(records, ("good",), 2)[0]) == 2 + 2


def make(root: Path, seed: int = 0, per_class: PerClass = 2) -> ImageData:
    return ImageData(PaintedReader(root, 20, 10), None, 32, 4, 0, 1, seed, 3, label="first", per_class=per_class)


def test_training_is_cut_and_validation_is_not(tmp_path: Path) -> None:
    data = make(tmp_path)
    data.setup()
    assert data.classes == ("scratch", "patch", "good")
    assert data.training_stats().class_counts.tolist() == [2, 2, 2]
    assert len(data.records["val"]) == 10 and len(data.loader("train").dataset) == 6
    assert data.told[0].endswith("6 of 20 training images: scratch 2, patch 2, good 2")
    other = make(tmp_path, seed=5)
    other.setup()
    assert other.records["train"] == data.records["train"], "the seed of a training changes no image"
    assert make(tmp_path, per_class=None).told == ()


@pytest.mark.parametrize("per_class", ["0", "-1", "1.0", "1.5", "true", "many", "{scratch:0}"])
def test_no_amount_is_refused_before_anything_is_built(per_class: str) -> None:
    with pytest.raises(LightdetError, match=r"data\.per_class.*: give a whole number, 1 or more, or a share between"):
        check_settings(compose_config(["data=neu_det", f"data.per_class={per_class}"]))


def test_a_class_that_a_command_line_makes_a_number_is_cut() -> None:
    records = [Record(f"{k}", Path(f"{k}"), ClassLabel(k % 2)) for k in range(8)]
    per_class: Any = {10: 1}
    kept, _ = cut_per_class(records, ("9", "10"), per_class)
    assert sorted(record.labels.item() for record in kept) == [0, 0, 0, 0, 1]


def test_an_unknown_class_is_refused() -> None:
    with pytest.raises(LightdetError, match=r"data\.per_class\.scrach: no such class; there are scratch, dent, spot"):
        cut_per_class(LABELLED, CLASSES, {"scrach": 3})


def test_the_draw_counts_in_the_fingerprint_where_there_is_one() -> None:
    words = ["data=neu_det", "model=light_classifier"]
    marks = [
        fingerprint(compose_config([*words, *more]))
        for more in (
            [],
            ["data.per_class=null"],
            ["data.per_class=5"],
            ["data.per_class=5", "data.per_class_seed=1"],
            ["data.per_class={inclusion:5}"],
        )
    ]
    assert marks[0] == marks[1] and len(set(marks)) == 4
