"""Test-time flips: a model that is shown each image turned over as well, and says what all views together say."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from lightdet.core.errors import LightdetError
from lightdet.core.types import Classification, Detections, Target
from lightdet.metric.contract import Metric
from lightdet.model.contract import Model
from lightdet.ops.flips import HORIZONTAL, VERTICAL

NMS_IOU = 0.6  # of a detector that does not tell its own
AXIS = {HORIZONTAL: -1, VERTICAL: -2}  # of images (B, C, H, W)


class Flipped(Model):
    """Boxes of all views pass one non-maximum suppression per class, with the model's own IoU; probabilities of classes
    are averaged. All else is that of the model, which runs once for the image and once for each flip.

    `flips`: names of `lightdet.ops.flips`. Raises LightdetError, when it predicts, for predictions of another kind.
    """

    def __init__(self, model: Model, flips: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self.flips, self.runtime = tuple(flips), model.runtime
        self.task, self.annotation, self.result = model.task, model.annotation, model.result

    def __getattr__(self, name: str) -> Any:
        """What is not here is the model's."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("model"), name)

    def losses(self, images: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        raise LightdetError("flips are for use; train the model itself")

    def metric(self, classes: Sequence[str]) -> Metric:
        return self.model.metric(classes)

    def predict(self, images: Tensor) -> list[Any]:
        views = [self.model.predict(images)]
        for flip in self.flips:
            turned = self.model.predict(images.flip(AXIS[flip]))
            views.append([_turned_back(each, flip, images.shape[-2], images.shape[-1]) for each in turned])
        return [self._merged(each) for each in zip(*views, strict=True)]

    def _merged(self, views: Sequence[Any]) -> Any:
        if isinstance(views[0], Classification):
            return Classification(torch.stack([view.probabilities for view in views]).mean(dim=0))
        boxes, scores, labels = (
            torch.cat([getattr(view, name) for view in views]) for name in ("boxes_xyxy", "scores", "labels")
        )
        kept = batched_nms(boxes.float(), scores.float(), labels, getattr(self.model, "nms_iou", NMS_IOU))
        kept = kept[: getattr(self.model, "max_detections", len(kept))]
        return Detections(boxes[kept], scores[kept], labels[kept])


def flipped(model: Model, flips: Sequence[str]) -> Model:
    """The model with these flips; itself without any."""
    return Flipped(model, flips).eval() if flips else model


def _turned_back(prediction: Any, flip: str, height: int, width: int) -> Any:
    """A prediction for a flipped image of that size, px -> the same for the image."""
    if isinstance(prediction, Classification):
        return prediction
    if not isinstance(prediction, Detections):
        raise LightdetError(f"flips: {type(prediction).__name__} cannot be turned back; leave --flips out")
    left, top, right, bottom = prediction.boxes_xyxy.unbind(dim=-1)
    if flip == HORIZONTAL:
        left, right = width - right, width - left
    else:
        top, bottom = height - bottom, height - top
    return Detections(torch.stack((left, top, right, bottom), dim=-1), prediction.scores, prediction.labels)
