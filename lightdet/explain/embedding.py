"""Where a model places an image, or one box of it, among others: vectors of length 1 that a cosine compares."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torchvision.ops import roi_align

from lightdet.core.annotation import Boxes
from lightdet.core.errors import LightdetError
from lightdet.model.contract import Model


def compares_boxes(model: Model) -> bool:
    """Whether the model's vectors are those of boxes: a detector's; of all others, those of whole images."""
    return model.annotation is Boxes


@torch.inference_mode()
def image_vectors(model: Model, images: Tensor) -> Tensor:
    """images (B, C, H, W) 0..1 -> (B, D) float32: `Model.embed`, scaled to length 1."""
    return F.normalize(model.embed(images).float(), dim=1)


@torch.inference_mode()
def box_vectors(model: Model, images: Tensor, boxes_xyxy: Sequence[Tensor]) -> Tensor:
    """images (B, C, H, W) 0..1 and for each its boxes (N, 4) in input px -> (sum of N, D) float32 of length 1.

    Each feature map in front of the predictor is averaged over the box; the averages of all scales, each scaled to
    length 1 so that none outweighs the others, stand behind one another. Raises LightdetError for a model whose
    `layers` have no feature map.
    """
    height, width = images.shape[-2:]
    parts = []
    for features in _last_maps(model, images):
        rows, columns = features.shape[-2:]
        scale = features.new_tensor([columns / width, rows / height] * 2)
        placed = [boxes.to(features) * scale for boxes in boxes_xyxy]
        parts.append(F.normalize(roi_align(features, placed, output_size=1, aligned=True).flatten(1), dim=1))
    return F.normalize(torch.cat(parts, dim=1), dim=1)


def _last_maps(model: Model, images: Tensor) -> list[Tensor]:
    """The feature maps of the last of the model's `layers` that has any, float32."""
    maps = model.maps(images)
    for layer in reversed(model.layers()):
        found = [output.float() for name, output in maps.items() if f"{name}.".startswith(f"{layer}.")]
        found = [output for output in found if output.ndim == 4]
        if found:
            return found
    raise LightdetError(f"{type(model).__name__} has no layer with a feature map; implement its `layers`")
