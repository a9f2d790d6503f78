"""A split that this package draws is fair, repeatable and leaves no split empty."""

from pathlib import Path

import numpy as np
import pytest

from lightdet.core.annotation import Boxes
from lightdet.core.errors import LightdetError
from lightdet.data.record import Record
from lightdet.data.split import split


def records_of(labels: list[list[int]]) -> list[Record]:
    return [
        Record(
            f"{i:03}.png", Path(f"{i:03}.png"), Boxes(np.zeros((len(some), 4), np.float32), np.array(some, np.int64))
        )
        for i, some in enumerate(labels)
    ]


def test_split_keeps_every_class_and_the_photos_without_defects_in_proportion() -> None:
    records = records_of([[0]] * 100 + [[1, 1]] * 20 + [[0, 2]] * 10 + [[]] * 50 + [[3]] * 2)
    train, val = split(records, 0.2, seed=0, num_classes=4)
    assert len(train) + len(val) == len(records) and not {r.image_id for r in train} & {r.image_id for r in val}
    shown = [sum(label in r.labels for r in val) for label in range(4)]
    assert shown == [22, 4, 2, 1]
    assert sum(not len(r.labels) for r in val) == 10


def test_split_depends_on_the_seed_and_not_on_the_order() -> None:
    records = records_of([[i % 3] for i in range(60)])
    val = [r.image_id for r in split(records, 0.25, 7, 3)[1]]
    assert val == [r.image_id for r in split(records[::-1], 0.25, 7, 3)[1]]
    assert val != [r.image_id for r in split(records, 0.25, 8, 3)[1]]


@pytest.mark.parametrize("labels", [[[0], [1]], [[], []], [[0], [0]], [[0, 1, 2], [2]]])
def test_split_leaves_nothing_empty(labels: list[list[int]]) -> None:
    train, val = split(records_of(labels), 0.1, 0, 3)
    assert len(train) == len(val) == 1


def test_split_refuses_what_cannot_be_split() -> None:
    with pytest.raises(LightdetError, match="val_share=1"):
        split(records_of([[0], [0]]), 1.0, 0, 1)
    with pytest.raises(LightdetError, match="val_share=abc"):
        split(records_of([[0], [0]]), "abc", 0, 1)  # type: ignore[arg-type]  # as a command line may have it
    with pytest.raises(LightdetError, match="1 labelled image"):
        split(records_of([[0]]), 0.5, 0, 1)
