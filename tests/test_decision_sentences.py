"""What decided about a part, in words: a probability, a cost, a threshold, several classes; by hand."""

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from test_cam import classifier, yolo

from lightdet.core.types import Classification, Detections, Letterbox
from lightdet.engine.classification_result import ClassificationResult
from lightdet.engine.detection_result import DetectionResult
from lightdet.engine.multi_label_result import MultiLabelResult
from lightdet.engine.result import ResultSettings
from lightdet.explain.part_pictures import around
from lightdet.runtime.sources import Original


@pytest.mark.parametrize(
    ("decision", "costs", "sentence", "name", "margin", "rejected"),
    [
        ("probable", None, "most probable: 0.70 against 0.20 for good", "bar", 0.5, True),
        # deciding for good costs 8 where the part is a bar: .7 x 8 + .1 = 5.7; for bar .3; for disc .9
        ("cheapest", {"bar": {"good": 8}}, "least expected cost: 0.30 against 0.90 for disc", "bar", 0.6, True),
        # rejecting a good part costs 20: bar .1 + .2 x 20 = 4.1, disc 4.7, good .8
        ("cheapest", {"good": 20}, "least expected cost: 0.80 against 4.10 for bar", "good", 3.3, False),
    ],
)
def test_the_rule_that_decided_by_hand(
    decision: str, costs: Any, sentence: str, name: str, margin: float, rejected: bool
) -> None:
    model = deepcopy(classifier())  # which other tests share
    model.decision, model.costs = decision, costs
    settings = ResultSettings(("bar", "disc", "good"), 0.5, 0.5, model)
    values = Classification(torch.tensor([0.7, 0.1, 0.2]))
    letterbox = Letterbox(1.0, 1.0, 0.0, 0.0, 8, 8)
    result = ClassificationResult(values, Original(None, None, np.zeros((8, 8, 3), np.uint8)), letterbox, settings)
    found = result.decision()
    assert (found.sentence, found.name, found.rejected) == (sentence, name, rejected)
    assert found.margin == pytest.approx(margin) and bool(found.costs) == bool(costs)
    assert found.second is not None and found.second[0] == ("good" if name == "bar" else "bar")


@pytest.mark.parametrize(
    ("threshold", "sentence", "name", "margin", "rejected"),
    [
        (0.5, "bar 0.90, disc 0.60 >= 0.50, as given", "bar", 0.1, True),
        (0.95, "no class has a probability >= 0.95, as given; bar has 0.90", "", 0.05, False),
    ],
)
def test_several_classes_of_an_image_by_hand(
    threshold: float, sentence: str, name: str, margin: float, rejected: bool
) -> None:
    settings = ResultSettings(("disc", "bar", "hole"), threshold, 0.5)
    values = Classification(torch.tensor([0.6, 0.9, 0.1]))
    black = Original(None, None, np.zeros((8, 8, 3), np.uint8))
    found = MultiLabelResult(values, black, Letterbox(1.0, 1.0, 0.0, 0.0, 8, 8), settings).decision()
    assert (found.sentence, found.name, found.rejected) == (sentence, name, rejected)
    assert found.margin == pytest.approx(margin)
    assert found.second == (("disc", pytest.approx(0.6)) if rejected else ("bar", pytest.approx(0.9)))


def test_a_detector_guesses_by_overlap_and_score(monkeypatch: pytest.MonkeyPatch) -> None:
    model = yolo()
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 10, 20], [40, 40, 50, 50]]])
    scores = torch.tensor([[[0.6, 0.1, 0.0], [0.0, 0.5, 0.1], [0.9, 0.9, 0.9]]])
    monkeypatch.setattr(model, "scored_boxes", lambda images: (boxes, scores))
    (box,) = DetectionResult(
        Detections(boxes[0, :1], scores[0, :1, 0], torch.tensor([0])),
        Original(None, None, np.zeros((64, 64, 3), np.uint8)),
        Letterbox(1.0, 1.0, 0.0, 0.0, 64, 64),
        ResultSettings(("a", "b", "c"), 0.1, 0.5, model),
    ).subjects(1)
    torch.testing.assert_close(model.guesses(torch.zeros(1, 3, 64, 64), box), torch.tensor([0.6, 0.25, 0.05]))


def test_a_close_up_stays_inside_the_image() -> None:
    image = np.arange(100 * 200 * 3).reshape(100, 200, 3)
    cut, inside = around(image, (180.0, 0.0, 200.0, 30.0))
    assert cut.shape[:2] == (75, 75) and (cut[0, -1] == image[0, -1]).all()
    assert inside == (55, 0, 75, 30)
    assert around(image, (0.0, 0.0, 200.0, 100.0))[0].shape[:2] == (100, 200)
