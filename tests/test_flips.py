"""Test-time flips: what a model sees only in a mirror is found, at its place, and each object once."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightdet.core.errors import LightdetError
from lightdet.core.types import Classification, Detections
from lightdet.metric.contract import Metric
from lightdet.model.contract import Model
from lightdet.model.detector import Detector
from lightdet.model.flipped import Flipped, flipped
from lightdet.ops.flips import HORIZONTAL, VERTICAL, flips_named


class LeftTop(Detector):
    """Sees bright pixels in the left upper quarter alone, each as a box; its score is its level."""

    nms_iou = 0.5

    def losses(self, images: Tensor, targets: Sequence[Any]) -> dict[str, Tensor]:
        return {}

    def detect(self, images: Tensor) -> list[Detections]:
        found = []
        for image in images:
            height, width = image.shape[-2:]
            rows, columns = torch.nonzero(image[0, : height // 2, : width // 2], as_tuple=True)
            corners = torch.stack((columns, rows), dim=1).float()
            scores = image[0, rows, columns]
            found.append(Detections(torch.cat((corners, corners + 1), dim=1), scores, torch.zeros(len(rows)).long()))
        return found


class Mean(Model):
    """The share of light in the left half, as the probability of the first of two classes."""

    task, good = "classification", "sound"

    def losses(self, images: Tensor, targets: Sequence[Any]) -> dict[str, Tensor]:
        return {}

    def predict(self, images: Tensor) -> list[Classification]:
        left = images[:, 0, :, : images.shape[-1] // 2].sum(dim=(1, 2)) / images[:, 0].sum(dim=(1, 2))
        return [Classification(torch.stack((each, 1 - each))) for each in left]

    def metric(self, classes: Sequence[str]) -> Metric:
        raise NotImplementedError


def lit(*points: tuple[int, int, float]) -> Tensor:
    """(1, 1, 31, 41), dark but for the points (x, y, level)."""
    image = torch.zeros(1, 1, 31, 41)
    for x, y, level in points:
        image[0, 0, y, x] = level
    return image


@pytest.mark.parametrize(
    ("word", "seen"),
    [
        (None, [(3, 5)]),
        ("horizontal", [(3, 5), (38, 6)]),
        ("vertical", [(3, 5), (4, 28)]),
        ("both", [(3, 5), (38, 6), (4, 28)]),
    ],
)
def test_boxes_of_a_mirrored_image_lie_where_they_are_in_it(word: str | None, seen: list[tuple[int, int]]) -> None:
    image = lit((3, 5, 0.9), (38, 6, 0.8), (4, 28, 0.7), (39, 29, 0.6))
    (found,) = flipped(LeftTop(), flips_named(word)).predict(image)
    assert found.boxes_xyxy.tolist() == [[x, y, x + 1, y + 1] for x, y in seen]
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)


def test_what_several_views_show_is_one_box_and_classes_stay_apart() -> None:
    class Always(LeftTop):
        def detect(self, images: Tensor) -> list[Detections]:
            boxes = torch.tensor([[10.0, 10, 31, 21], [10, 10, 31, 21]])  # symmetric in 41 x 31 px
            return [Detections(boxes, torch.tensor([0.9, 0.8]), torch.tensor([0, 1])) for _ in images]

    (found,) = Flipped(Always(), (HORIZONTAL, VERTICAL)).predict(lit())
    assert found.labels.tolist() == [0, 1] and found.scores.tolist() == pytest.approx([0.9, 0.8])


def test_probabilities_are_averaged_and_the_rest_is_the_models() -> None:
    model = Flipped(Mean(), (HORIZONTAL,))
    (found,) = model.predict(lit((3, 5, 0.9), (3, 8, 0.6), (38, 6, 0.5)))
    assert found.probabilities.tolist() == pytest.approx([0.5, 0.5])
    assert (model.task, model.good, model.result) == ("classification", "sound", Mean.result)
    assert flipped(model.model, ()) is model.model
    with pytest.raises(AttributeError, match="nothing"):
        _ = model.nothing


def test_what_cannot_be_turned_back_is_refused() -> None:
    class Number(Mean):
        def predict(self, images: Tensor) -> list[Any]:
            return [1.0 for _ in images]

    with pytest.raises(LightdetError, match="float cannot be turned back"):
        Flipped(Number(), (VERTICAL,)).predict(lit())
    with pytest.raises(LightdetError, match="flips=left: one of horizontal, vertical, both"):
        flips_named("left")
    assert isinstance(Flipped(LeftTop(), (VERTICAL,)), nn.Module)
