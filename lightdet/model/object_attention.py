"""Classification by bilinear pooling that learns to look at the object, after Hu and Wang 2020.

IEEE Transactions on Industrial Electronics 67(12), 10922, 10.1109/TIE.2019.2962437. Our reading: of the paper its
abstract is openly available. Differs: the object is not cut out and computed again, but its places of the same map are
pooled alone, so that a training step is no dearer; and boxes, where the data has any, say where the object is.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lightdet.core.errors import LightdetError
from lightdet.core.types import Target
from lightdet.model.classifier import Classifier, ClassifierNetwork
from lightdet.nn.bilinear import BilinearPooling

OBJECTS = ("boxes", "map", "none")
BRIGHT = 0.5  # of the greatest value of an image's map: places above it are the object


class ObjectAttentionNetwork(ClassifierNetwork):
    """images (B, in_channels, H, W) -> logits (B, num_classes) of a `ClassifierNetwork` with a `BilinearPooling`."""

    pooling: BilinearPooling

    def bi_cam(self, images: Tensor, label: int | Tensor) -> Tensor:
        """images (B, in_channels, H, W) -> (B, h, w): what each place of the map adds to the logit of `label`, one for
        all images or (B,). The sum over the places, with the linear layer's bias, is the logit in eval mode.

        Bi-CAM of the same paper: f(p)^T W f(p) / P, with W scaled as the normalisation scales the pooled values. Raises
        LightdetError where a fitted readout answers in place of that linear layer.
        """
        if self.readout is not None and self.readout.fitted:
            raise LightdetError(
                f"bi_cam explains a linear layer, and this network answers by {type(self.readout).__name__}; take rise"
            )
        labels = torch.as_tensor(label, device=images.device).expand(len(images))
        return self.evidence(self.pooling.reduce(self.features(images)), labels)

    def evidence(self, reduced: Tensor, labels: Tensor) -> Tensor:
        """`bi_cam` from the reduced map (B, width, h, w); labels (B,)."""
        return self.pooling.places(reduced, self.linear.weight[labels])

    def judged(self, reduced: Tensor, weights: Tensor | None = None) -> Tensor:
        """Reduced map (B, width, h, w) -> logits, where its places count as much as `weights` (B, h, w) says."""
        return self.linear(self.dropout(self.pooling.pool(reduced, weights)))


class ObjectAttention(Classifier):
    """A classifier whose loss is the mean of that of the whole image and that of its object; predictions see the image.

    `objects`: where the object is. "boxes": in the target's boxes of the image's class, a place counting by the share
    of it that they cover, and in an image without one as with "map": where Bi-CAM of the true class is above half its
    maximum. "none": the whole image alone, which is plain bilinear pooling. Raises LightdetError for another word, and
    for a network without bilinear pooling.
    """

    network: ObjectAttentionNetwork

    def __init__(self, *args: Any, objects: str = "boxes", **settings: Any) -> None:
        super().__init__(*args, **settings)
        if objects not in OBJECTS:
            raise LightdetError(f"model.objects={objects}: one of {', '.join(OBJECTS)}")
        if not isinstance(self.network.pooling, BilinearPooling) or len(self.network.finer):
            raise LightdetError(
                "model=object_attention: its model.network.pooling must be bilinear, and of the last map alone; leave "
                "pooling= out"
            )
        self.objects = objects

    def losses(self, images: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        if self.objects == "none":
            return super().losses(images, targets)
        network = self.network
        labels = torch.tensor([target.class_label for target in targets], device=images.device)
        reduced = network.pooling.reduce(network.features(images))
        whole = self.criterion(network.judged(reduced), labels)
        part = self.criterion(network.judged(reduced, self.object_places(reduced, labels, targets, images)), labels)
        return {"class": whole / 2, "object": part / 2}

    @torch.no_grad()
    def object_places(self, reduced: Tensor, labels: Tensor, targets: Sequence[Target], images: Tensor) -> Tensor:
        """(B, h, w) in 0..1: how much of each place of the reduced map belongs to the object of its image."""
        evidence = self.network.evidence(reduced, labels)
        places = (evidence > BRIGHT * evidence.amax(dim=(1, 2), keepdim=True)).to(evidence.dtype)
        if self.objects == "boxes":
            for image, target in enumerate(targets):
                boxes = target.boxes_xyxy[target.labels == target.class_label]
                if len(boxes):
                    places[image] = covered(boxes, places.shape[1:], images.shape[2:])
        return places


def covered(boxes_xyxy: Tensor, cells: Sequence[int], size: Sequence[int]) -> Tensor:
    """boxes_xyxy (N, 4) in px of an image of `size` (height, width), N > 0 -> (h, w) in 0..1: the share of each cell
    that the box which covers most of it covers. `cells` (h, w) divide the image evenly."""
    high, wide = (
        _overlaps(boxes_xyxy[:, axis], boxes_xyxy[:, axis + 2], cells[1 - axis], size[1 - axis]) for axis in (1, 0)
    )
    return (high[:, :, None] * wide[:, None, :]).amax(dim=0)


def _overlaps(first: Tensor, last: Tensor, cells: int, length: int) -> Tensor:
    """Intervals (N,) to (N,) in px of a side of `length` -> (N, cells): the share of each cell inside."""
    edges = torch.linspace(0, length, cells + 1, device=first.device, dtype=first.dtype)
    inside = torch.minimum(last[:, None], edges[1:]) - torch.maximum(first[:, None], edges[:-1])
    return inside.clamp(min=0) * cells / length
