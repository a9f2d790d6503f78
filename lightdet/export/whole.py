"""The module that every format is made from: images -> what the model computes of them before any selection."""

from typing import Any

import torch
from torch import Tensor, nn

from lightdet.core.errors import LightdetError
from lightdet.model.classifier import ImageClassifier
from lightdet.model.contract import Model
from lightdet.model.detector import DenseDetector
from lightdet.nn.inputs import in_channels
from lightdet.ops.grid import ImageSize, height_width


class Whole(nn.Module):
    """images (B, H, W, channels) uint8 -> boxes (B, N, 4) xyxy in input px and scores (B, N, C) of a detector,
    probabilities (B, C) and logits (B, C) of a classifier.

    Raises LightdetError for a model that has no such form.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        if not isinstance(model, DenseDetector | ImageClassifier):
            raise LightdetError(
                f"{type(model).__name__} has no exported form yet: classifiers have one, and detectors of scored boxes"
            )
        self.model = model.eval()

    def forward(self, images: Tensor) -> Any:
        return self.of_pixels(images.permute(0, 3, 1, 2).float())

    def of_pixels(self, pixels: Tensor) -> Any:
        """pixels (B, channels, H, W) float32, 0..255."""
        if isinstance(self.model, DenseDetector):
            return self.model.scored_boxes(pixels / 255)
        assert isinstance(self.model, ImageClassifier)
        logits = self.model.network(pixels / 255).float()
        return self.model.probabilities(logits), logits


class OfPixels(nn.Module):
    """The same of (B, channels, H, W) float32, 0..255, for runtimes that know neither bytes nor that order."""

    def __init__(self, whole: Whole) -> None:
        super().__init__()
        self.whole = whole

    def forward(self, pixels: Tensor) -> Any:
        return self.whole.of_pixels(pixels)


def takes_one_image(model: Model) -> bool:
    """Whether the exported network takes one image at a time."""
    return bool(getattr(model.network, "one_image", False))


def example(model: Model, image_size: ImageSize, batch: int | None = None) -> Tensor:
    """Images (batch, H, W, channels) uint8 of noise. batch None: two, so that no number of images is frozen unseen, or
    one where the network takes no more."""
    count = batch or (1 if takes_one_image(model) else 2)
    shape = (count, *height_width(image_size), in_channels(model.network))
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
