"""The baselines are those of the paper: Huang 2024, Table 3, by their number of parameters."""

import pytest
import torch
from test_models import composed

from lightdet.engine.load import build_model

PRINTED = {  # M
    "yolov5s": 7.26,
    "yolov5m": 21.26,
    "yolov3": 62.38,
    "ssd": 24.69,
    "faster_rcnn": 42.52,
    "yolox_s": 8.89,
    "proposed": 1.56,
}


def millions(preset: str) -> float:
    with torch.device("meta"):
        detector = build_model(composed(f"model={preset}"), 6)
    return sum(parameter.numel() for parameter in detector.parameters()) / 1e6


@pytest.mark.parametrize("preset", PRINTED)
def test_parameters_are_within_three_percent_of_the_printed_ones(preset: str) -> None:
    assert abs(PRINTED[preset] / millions(preset) - 1) < 0.03


def test_yolov4_has_the_parameters_of_the_published_model() -> None:
    """Table 3 prints 53.21 for both its parameters and its FLOPs, so that number is no count; 64 M is published."""
    assert millions("yolov4") == pytest.approx(64, rel=0.03)
