"""YOLOv3's box loss: by hand, and why it is not one of the overlap."""

import math

import pytest
import torch

from lightdet.loss.box.giou import Giou
from lightdet.loss.box.squared_offsets import SquaredOffsets

TRUTH = torch.tensor([[10.0, 20, 30, 60]])  # 20 x 40 around (20, 40)


def test_by_hand() -> None:
    predicted = torch.tensor([[10.0, 20, 30, 60], [15, 20, 35, 60], [0, 30, 40, 50]])
    expected = [0.0, (5 / 20) ** 2, math.log(2) ** 2 + math.log(1 / 2) ** 2]
    assert SquaredOffsets()(predicted, TRUTH.expand(3, 4)).tolist() == pytest.approx(expected, abs=1e-6)


def test_it_does_not_depend_on_the_scale() -> None:
    predicted = torch.tensor([[12.0, 18, 41, 50]])
    assert SquaredOffsets()(predicted * 7, TRUTH * 7).item() == pytest.approx(SquaredOffsets()(predicted, TRUTH).item())


def test_a_box_that_shrank_to_nothing_is_still_pulled_back() -> None:
    """Where an exponential predictor's box is e^-8 of its anchor, GIoU hardly knows a direction."""

    def slope(loss: SquaredOffsets | Giou) -> float:
        logit = torch.tensor(-8.0, requires_grad=True)
        half = logit.exp() * torch.tensor([10.0, 20.0])
        centre = torch.tensor([20.0, 40.0])
        loss(torch.cat((centre - half, centre + half))[None], TRUTH).sum().backward()
        assert logit.grad is not None
        return float(logit.grad)

    assert slope(SquaredOffsets()) == pytest.approx(2 * 2 * -8, rel=0.01)  # of (t - t*)^2, twice
    assert abs(slope(Giou())) < 1e-5
