"""Adapts torchvision's detectors to the `Detector` contract. All differences are handled here:

- torchvision's class 0 is the background, so lightdet's class 0 is its class 1: `ground_truth_dicts` and
  `without_background`.
- torchvision's forward resizes and normalises the images. `as_image_list` only normalises them, so the backbone
  receives the images at the size of the input. torchvision's resizing is also set to the input size, for callers of the
  torchvision model itself.
- torchvision's forward returns losses in train mode and detections in eval mode. Here its parts are called one by one,
  and a part whose result depends on the mode is switched to the required one during the call.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import WeightsEnum
from torchvision.models.detection.image_list import ImageList

from lightdet.core.errors import LightdetError
from lightdet.core.types import Target, TrainingStats
from lightdet.model.detector import DenseDetector
from lightdet.nn.mode import in_mode
from lightdet.nn.pretrained import fetches


class TorchvisionNetwork(nn.Module, ABC):
    """images (B, 3, H, W) RGB 0..1 -> raw tensors, without targets, in the same way in train and in eval mode.

    `model` is the torchvision detector whose parts are called; no parameter lives anywhere else.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    @abstractmethod
    def forward(self, images: Tensor) -> list[Tensor]: ...

    @abstractmethod
    def losses(self, images: Tensor, ground_truth: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """torchvision's named loss terms. `ground_truth`: as returned by `ground_truth_dicts`."""

    @abstractmethod
    def decode(self, raw: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Raw tensors -> boxes_xyxy (B, N, 4) in input px, scores (B, N, num_classes) in 0..1, no background."""

    def as_image_list(self, images: Tensor) -> ImageList:
        """The batch as torchvision's parts expect it: normalised, not resized."""
        height, width = images.shape[-2:]
        return ImageList(self.normalised(images), [(height, width)] * len(images))

    def normalised(self, images: Tensor) -> Tensor:
        """The batch alone; that an image list counts its images would freeze their number in an exported graph."""
        normalised: Tensor = self.model.transform.normalize(images)
        return normalised


class TorchvisionDetector(DenseDetector):
    """A torchvision network behind the detector contract.

    `detect` runs in eval mode whatever mode the detector is in, so that it never changes BatchNorm's statistics;
    `losses` does not change the mode of BatchNorm. Boxes are selected by `decode.select`, as in all detectors here; it
    differs from torchvision's only where very many boxes pass the score threshold (at most 3000 per image here, 400 per
    class in torchvision's SSD).
    """

    network: TorchvisionNetwork

    def __init__(
        self,
        network: TorchvisionNetwork,
        score_threshold: float = 0.001,
        nms_iou: float = 0.6,
        max_detections: int = 100,
    ) -> None:
        super().__init__(score_threshold, nms_iou, max_detections)
        self.network = network

    def losses(self, images: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        return self.network.losses(images, ground_truth_dicts(targets))

    def scored_boxes(self, images: Tensor) -> tuple[Tensor, Tensor]:
        with in_mode(False, self.network):
            return self.decoded(self.network(images))

    def decoded(self, raw: Any) -> tuple[Tensor, Tensor]:
        return self.network.decode(raw)

    def layers(self) -> tuple[str, ...]:
        return ("model.backbone",)

    def prepare(self, stats: TrainingStats) -> str:
        return "anchors as published"


def ground_truth_dicts(targets: Sequence[Target]) -> list[dict[str, Tensor]]:
    """Targets as torchvision's losses expect them: labels from 1, boxes in input px."""
    return [{"boxes": target.boxes_xyxy, "labels": target.labels + 1} for target in targets]


def without_background(logits: Tensor) -> Tensor:
    """torchvision's class logits (..., C + 1) -> the probabilities of the classes without background (..., C)."""
    return logits.float().softmax(dim=-1)[..., 1:]


def load_pretrained(backbone: nn.Module, weights: WeightsEnum, prefix: str = "") -> None:
    """Fill a backbone with ImageNet weights; `prefix` is what its names begin with in torchvision's file.

    Does nothing where other weights are loaded afterwards. Raises LightdetError when they cannot be fetched.
    """
    if not fetches():
        return
    try:
        fetched = weights.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:  # no network, no cache, or a broken file in the cache
        raise LightdetError(
            f"model.network.pretrained_backbone=true: {type(weights).__name__}.{weights.name} is neither cached nor "
            f"reachable ({type(error).__name__}); go online once, or train from scratch with "
            "model.network.pretrained_backbone=false"
        ) from error
    counters = {name: torch.zeros_like(value) for name, value in backbone.state_dict().items() if value.ndim == 0}
    found = {name: fetched[prefix + name] for name in backbone.state_dict() if prefix + name in fetched}
    backbone.load_state_dict(counters | found)  # old files do not count BatchNorm's batches
