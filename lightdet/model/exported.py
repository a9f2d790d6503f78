"""Models whose network is an exported file: measured, drawn and used as the trained ones."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lightdet.core.errors import LightdetError
from lightdet.core.types import Target
from lightdet.model.contract import Model
from lightdet.model.detector import DenseDetector

BOXES, SCORES, LOGITS = "boxes", "scores", "logits"  # outputs of a file in front of any selection
Outputs = Callable[[np.ndarray, Sequence[str]], Sequence[np.ndarray]]  # images (B, H, W, C) uint8, names of outputs


class FileNetwork(nn.Module):
    """images (B, C, H, W) 0..1 -> the named outputs of a file. `one_image`: the file takes one at a time."""

    def __init__(self, outputs: Outputs, names: Sequence[str], channels: int, one_image: bool) -> None:
        super().__init__()
        self.outputs = outputs
        self.names = tuple(names)
        self.in_channels = channels
        self.one_image = one_image

    def forward(self, images: Tensor) -> list[Tensor]:
        pixels = as_pixels(images)
        pieces = [pixels[at : at + 1] for at in range(len(pixels))] if self.one_image else [pixels]
        found = [self.outputs(piece, self.names) for piece in pieces]
        return [torch.from_numpy(np.concatenate(parts)).to(images.device) for parts in zip(*found, strict=True)]


class ExportedDetector(DenseDetector):
    """The scored boxes of a file, selected as those of any detector."""

    network: FileNetwork
    takes_pixels = True

    def __init__(self, network: FileNetwork, score_threshold: float, nms_iou: float, max_detections: int) -> None:
        super().__init__(score_threshold, nms_iou, max_detections)
        self.network = network

    def scored_boxes(self, images: Tensor) -> tuple[Tensor, Tensor]:
        boxes, scores = self.network(images)
        return boxes, scores

    def losses(self, images: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        raise LightdetError("an exported file cannot be trained; train the run that it comes from")


class _Logits(nn.Module):
    """images -> the logits of a file."""

    def __init__(self, network: FileNetwork) -> None:
        super().__init__()
        self.network = network
        self.in_channels = network.in_channels

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)[0]


def through_file(model: Model, outputs: Outputs, channels: int, one_image: bool) -> Model:
    """The same model with the network of a file in place of its own; `model` stays as it is."""
    if isinstance(model, DenseDetector):
        network = FileNetwork(outputs, (BOXES, SCORES), channels, one_image)
        return ExportedDetector(network, model.score_threshold, model.nms_iou, model.max_detections).eval()
    twin: Any = copy.copy(model)
    twin._modules = dict(model._modules)
    twin.network = _Logits(FileNetwork(outputs, (LOGITS,), channels, one_image))
    return twin


def as_pixels(images: Tensor) -> np.ndarray:
    """(B, C, H, W) uint8, or float32 in 0..1 as loaders make it of uint8 -> (B, H, W, C) uint8, the same values."""
    pixels = images if images.dtype == torch.uint8 else (images * 255).round().to(torch.uint8)
    return np.ascontiguousarray(pixels.permute(0, 2, 3, 1).cpu().numpy())
