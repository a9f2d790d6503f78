"""Types shared by data and models; the only module that both import.

Every box is `xyxy` in continuous pixels, x to the right and y down: the box of the single pixel (0, 0) is [0, 0, 1, 1].
"""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from lightdet.core.letterbox import Letterbox as Letterbox


@dataclass(slots=True)
class Target:
    """The ground truth of one image, of the kind that its record has."""

    boxes_xyxy: Tensor  # (N, 4) float32, input px; N = 0 without objects, and where the annotation has no boxes
    labels: Tensor  # (N,) int64, 0..C-1: of the boxes
    image_id: str  # unique within the dataset: the image's path relative to the data root, with "/" between folders
    letterbox: Letterbox
    domain: str = ""  # where the image comes from: a line, a camera, a product; "" where the reader does not know it
    class_label: int | None = None  # of the whole image, 0..C-1
    label_set: tuple[int, ...] | None = None  # all classes of the whole image, 0..C-1
    mask: Tensor | None = None  # (H, W) uint8, input px: 0 = background, k + 1 = class k
    crowd_xyxy: Tensor = field(default_factory=lambda: torch.zeros(0, 4))  # (K, 4) float32, see Boxes
    crowd_labels: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))  # (K,) int64, 0..C-1

    def to(self, device: torch.device | str) -> "Target":
        """The same target with its tensors on a device."""
        mask = None if self.mask is None else self.mask.to(device)
        return replace(
            self,
            boxes_xyxy=self.boxes_xyxy.to(device),
            labels=self.labels.to(device),
            mask=mask,
            crowd_xyxy=self.crowd_xyxy.to(device),
            crowd_labels=self.crowd_labels.to(device),
        )


@dataclass(slots=True)
class Batch:
    images: Tensor  # (B, C, H, W), C = 3 for RGB: uint8 as a loader gives them, float32 in 0..1 on a device
    targets: list[Target] = field(default_factory=list)  # B of them

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on a device, with its images as models take them."""
        return Batch(self.images_on(device), [target.to(device) for target in self.targets])

    def images_on(self, device: torch.device | str) -> Tensor:
        """(B, C, H, W) float32 in 0..1. uint8 images are sent to the device first, a quarter of the bytes."""
        images = self.images.to(device, non_blocking=True)
        if images.dtype != torch.uint8:
            return images
        # In two steps: 1.7 times as fast as uint8.div(255). By a tensor: CUDA multiplies by 1/255 where it is a number.
        return images.float().div_(torch.full((), 255.0, device=images.device))


@dataclass(frozen=True, slots=True)
class TrainingStats:
    """Statistics of the training set that a model gets before its first step."""

    box_sizes: Tensor  # (N, 2) float32, input px: width and height of every box
    class_counts: Tensor  # (C,) int64: boxes of each class, or images where an image has a class
    classes: tuple[str, ...] = ()  # their names


@dataclass(slots=True)
class Detections:
    """The predicted boxes of one image, best first."""

    boxes_xyxy: Tensor  # (N, 4) float32, px; the frame is the one of the image given to `detect`
    scores: Tensor  # (N,) float32 in 0..1, descending
    labels: Tensor  # (N,) int64, 0..C-1

    @staticmethod
    def none(device: torch.device | str = "cpu") -> "Detections":
        """No predicted box."""
        return Detections(
            torch.zeros(0, 4, device=device),
            torch.zeros(0, device=device),
            torch.zeros(0, dtype=torch.int64, device=device),
        )


@dataclass(slots=True)
class Classification:
    """The predicted classes of one image."""

    probabilities: Tensor  # (C,) float32 in 0..1; they sum to 1 where an image has one class


@dataclass(frozen=True, slots=True)
class Subject:
    """What an explanation explains: a class of the whole image, or one box of a class."""

    label: int  # 0..C-1
    score: float  # 0..1: the probability of the class, or the score of the box
    box_xyxy: tuple[float, float, float, float] | None = None  # input px; None: the class of the whole image
