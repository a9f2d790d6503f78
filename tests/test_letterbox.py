"""A box stays on what it marks when its photo is scaled and padded, however long and narrow the photo is."""

import numpy as np
import pytest
import torch

from lightdet.ops.frames import boxes_to_input, boxes_to_original
from lightdet.ops.letterbox import letterbox_image

INPUT = 640  # px


@pytest.mark.parametrize(
    ("height", "width"), [(140, 4000), (4000, 140), (150, 1000), (1000, 150), (37, 500), (600, 600)]
)
def test_boxes_follow_the_pixels(height: int, width: int) -> None:
    photo = np.zeros((height, width, 3), np.uint8)
    box = torch.tensor([[0.25 * width, 0.5 * height, 0.75 * width, height]]).round()
    left, top, right, bottom = (int(value) for value in box[0])
    photo[top:bottom, left:right] = 255
    image, placed = letterbox_image(photo, INPUT)
    mapped = boxes_to_input(box, placed)
    bright = image[:, :, 0].astype(np.float64) / 255
    bright[bright == 114 / 255] = 0  # the border
    extents = torch.tensor([bright.max(axis=0).sum(), bright.max(axis=1).sum()])  # a pixel half covered counts half
    assert torch.allclose((mapped[0, 2:] - mapped[0, :2]).double(), extents, atol=0.1)
    lower_edge = (INPUT + placed.scale_y * height) / 2
    assert mapped[0, 3] == pytest.approx(lower_edge, abs=0.5), "the photo's edge is the edge of its pixels"
    assert torch.allclose(boxes_to_original(mapped, placed), box, atol=1e-2)
