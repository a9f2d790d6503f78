"""Ground truth in an image of 64 px that fills its input, for tests of losses and assigners."""

import torch

from lightdet.core.types import Letterbox, Target

PLACED = Letterbox(1.0, 1.0, 0.0, 0.0, 64, 64)


def target(boxes: list[list[float]], labels: list[int]) -> Target:
    """`boxes`: xyxy, input px."""
    corners = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return Target(corners, torch.tensor(labels, dtype=torch.int64), "a.png", PLACED)
