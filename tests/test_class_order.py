"""A dataset with the classes of a model in another order."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from lightdet.core.annotation import Boxes, ClassLabel, Mask
from lightdet.core.errors import LightdetError
from lightdet.data.class_order import InOrder
from lightdet.data.record import Record


def test_labels_of_another_order_are_those_of_the_model() -> None:
    boxes = Boxes(np.zeros((2, 4), np.float32), np.array([0, 2]), np.zeros((1, 4), np.float32), np.array([1]))
    records = [Record("a", Path("a"), boxes), Record("b", Path("b"), ClassLabel(2)), Record("c", Path("c"), None)]
    reader = SimpleNamespace(classes=("dent", "hole", "stain"), doubts=("one",), read=lambda: {"val": records})
    ordered = InOrder(reader, ("stain", "dent", "hole"))
    first, second, third = ordered.read()["val"]
    assert first.labels.tolist() == [1, 0] and first.annotation.crowd_labels.tolist() == [2]  # type: ignore[union-attr]
    assert second.labels.tolist() == [0] and third.annotation is None and ordered.doubts == ("one",)
    records[:] = [Record("d", Path("d"), Mask(Path("d.png")))]
    with pytest.raises(LightdetError, match="masks of classes in another order"):
        ordered.read()
