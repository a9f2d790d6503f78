"""Anchor predictor of the YOLOv3-v5 lineage: one 1x1 convolution per grid, decoded as YOLOv5 does.

centre = (2 sigmoid(t_xy) - 0.5 + cell) * stride, size = (2 sigmoid(t_wh))^2 * anchor, all in input pixels.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lightdet.core.errors import LightdetError
from lightdet.nn.contracts import Predictor
from lightdet.ops.anchors import Anchors, default_anchors
from lightdet.ops.boxes import cxcywh_to_xyxy
from lightdet.ops.cells import cell_indices

PRIOR_OBJECTS = 8  # objects an untrained grid expects in a 640 px image
PRIOR_CLASS = 0.6  # share of the class probability an untrained cell spreads over the classes


class Anchor(Predictor):
    """[(B, C_i, H_i, W_i)] -> raw maps [(B, A * (5 + num_classes), H_i, W_i)].

    Per anchor: x, y, w, h, objectness, classes.

    `anchors_wh` (grids, A, 2), px of the input frame, is a buffer, saved with the weights. `reach`: how far beyond
    the border of its cell a centre can come, in cells, on every grid.
    """

    anchors_wh: Tensor
    reach: float = 0.5

    def __init__(
        self, channels: Sequence[int], strides: Sequence[int], num_classes: int, anchors: Anchors | None = None
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.strides = tuple(strides)
        anchors = default_anchors(self.strides) if anchors is None else anchors
        if len(anchors) != len(self.strides):
            raise LightdetError(
                f"model.network.predictor.anchors: those of {len(anchors)} grids, and the network has "
                f"{len(self.strides)} (strides {', '.join(map(str, self.strides))} px); give some for each"
            )
        self.register_buffer("anchors_wh", torch.tensor(anchors, dtype=torch.float32))
        self.outputs = 5 + num_classes
        anchors_per_cell = self.anchors_wh.shape[1]
        convs = [nn.Conv2d(c, anchors_per_cell * self.outputs, 1) for c in channels]
        for conv, stride in zip(convs, self.strides, strict=True):
            self._start_from_priors(conv, stride)
        self.convs = nn.ModuleList(convs)

    def _start_from_priors(self, conv: nn.Conv2d, stride: int) -> None:
        with torch.no_grad():
            assert conv.bias is not None
            bias = conv.bias.view(-1, self.outputs)
            bias[:, 4] += math.log(PRIOR_OBJECTS / (640 / stride) ** 2)
            bias[:, 5:] += math.log(PRIOR_CLASS / (self.num_classes - 0.99))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        return [conv(feature) for conv, feature in zip(self.convs, features, strict=True)]

    def flatten(self, raw: Tensor) -> Tensor:
        """(B, A * outputs, H, W) -> (B, A, H, W, outputs), float32."""
        batch, _, height, width = raw.shape
        return raw.view(batch, -1, self.outputs, height, width).permute(0, 1, 3, 4, 2).float()

    def decode(self, raw_maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Raw maps -> boxes_xyxy (B, N, 4) in input px, scores (B, N, num_classes) = objectness x class.

        With one class the score is the objectness alone: the class output is not trained then.
        """
        boxes, scores = [], []
        for level, (raw, anchors) in enumerate(zip(raw_maps, self.anchors_wh, strict=True)):
            cells = cell_indices(raw.shape[-2], raw.shape[-1], raw.device)
            active = self.activate(self.flatten(raw))
            box = self.boxes(active[..., :4], cells, anchors[:, None, None], level)
            boxes.append(cxcywh_to_xyxy(box).flatten(1, 3))
            objectness, classes = active[..., 4:5], active[..., 5:]
            scores.append((objectness * classes if self.num_classes > 1 else objectness).flatten(1, 3))
        return torch.cat(boxes, dim=1), torch.cat(scores, dim=1)

    def activate(self, raw: Tensor) -> Tensor:
        """Raw outputs (..., 4 or more), x, y, w, h first -> the same after their activations; probabilities from 4."""
        return raw.sigmoid()

    def boxes(self, active: Tensor, cells: Tensor, anchors_wh: Tensor, level: int) -> Tensor:
        """Activated outputs (..., 4) of a grid, cells (..., 2), anchors (..., 2) px -> boxes_cxcywh (..., 4) px."""
        centre = (2 * active[..., :2] - 0.5 + cells) * self.strides[level]
        size = (2 * active[..., 2:]) ** 2 * anchors_wh
        return torch.cat((centre, size), dim=-1)
