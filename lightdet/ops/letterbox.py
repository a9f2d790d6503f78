"""Placing an image into a square input without distortion, and mapping boxes back."""

import cv2
import numpy as np
from torch import Tensor

from lightdet.core.types import Letterbox
from lightdet.ops.boxes import clip

PADDING_GREY = 114  # the grey level of the border, 0..255


def place(original_height: int, original_width: int, image_size: int) -> Letterbox:
    """Where an image of that size (px) lies in the input: its longer side is `image_size` px, and it is centred."""
    height, width = _scaled_size(original_height, original_width, image_size)
    top, left = (image_size - height) // 2, (image_size - width) // 2
    return Letterbox(
        scale_x=width / original_width,
        scale_y=height / original_height,
        left=float(left),
        top=float(top),
        original_height=original_height,
        original_width=original_width,
    )


def letterbox_image(image: np.ndarray, image_size: int) -> tuple[np.ndarray, Letterbox]:
    """Scale an image (H, W, C) uint8 so that its longer side is `image_size` px, and pad it to a square with grey."""
    original_height, original_width = image.shape[:2]
    placed = place(original_height, original_width, image_size)
    smooth = cv2.INTER_AREA if image_size < max(original_height, original_width) else cv2.INTER_LINEAR
    return _scaled_and_padded(image, image_size, smooth, PADDING_GREY), placed


def letterbox_mask(mask: np.ndarray, image_size: int) -> np.ndarray:
    """(H, W) uint8 -> (S, S): placed as `letterbox_image` places its image, by nearest neighbours, padded with 0."""
    return _scaled_and_padded(mask, image_size, cv2.INTER_NEAREST_EXACT, 0)


def _scaled_and_padded(image: np.ndarray, image_size: int, interpolation: int, padding: int) -> np.ndarray:
    original_height, original_width = image.shape[:2]
    height, width = _scaled_size(original_height, original_width, image_size)
    if (height, width) != (original_height, original_width):
        image = resized(image, height, width, interpolation)
    if (height, width) != (image_size, image_size):
        canvas = np.full((image_size, image_size, *image.shape[2:]), padding, dtype=np.uint8)
        top, left = (image_size - height) // 2, (image_size - width) // 2
        canvas[top : top + height, left : left + width] = image
        image = canvas
    return image


def _scaled_size(original_height: int, original_width: int, image_size: int) -> tuple[int, int]:
    scale = image_size / max(original_height, original_width)
    return max(1, round(original_height * scale)), max(1, round(original_width * scale))


def resized(image: np.ndarray, height: int, width: int, interpolation: int) -> np.ndarray:
    """(H, W) or (H, W, C) -> the same with other sides (px); OpenCV alone drops a single channel."""
    return cv2.resize(image, (width, height), interpolation=interpolation).reshape(height, width, *image.shape[2:])


def boxes_to_input(boxes_xyxy: Tensor, placed: Letterbox) -> Tensor:
    """(N, 4), px: original px -> input px."""
    scale, shift = _map(boxes_xyxy, placed)
    return boxes_xyxy * scale + shift


def boxes_to_original(boxes_xyxy: Tensor, placed: Letterbox) -> Tensor:
    """(N, 4), px: input px -> original px, cut at the image's border."""
    scale, shift = _map(boxes_xyxy, placed)
    return clip((boxes_xyxy - shift) / scale, placed.original_height, placed.original_width)


def _map(boxes_xyxy: Tensor, placed: Letterbox) -> tuple[Tensor, Tensor]:
    """Scale and shift of the four coordinates, original px -> input px."""
    scale = boxes_xyxy.new_tensor([placed.scale_x, placed.scale_y] * 2)
    return scale, boxes_xyxy.new_tensor([placed.left, placed.top] * 2)
