"""Placing a photo into a square input without bending it, and coming back."""

import cv2
import numpy as np
from torch import Tensor

from lightdet.core.types import Letterbox
from lightdet.ops.boxes import clip

PADDING_GREY = 114  # the grey level of the border, 0..255


def place(photo_height: int, photo_width: int, image_size: int) -> Letterbox:
    """Where a photo of that size (px) comes to lie: its longer side is `image_size` px, and it stands in the middle."""
    height, width = _scaled_size(photo_height, photo_width, image_size)
    top, left = (image_size - height) // 2, (image_size - width) // 2
    return Letterbox(width / photo_width, height / photo_height, float(left), float(top), photo_height, photo_width)


def letterbox_image(photo: np.ndarray, image_size: int) -> tuple[np.ndarray, Letterbox]:
    """Scale a photo (H, W, 3) uint8 so that its longer side is `image_size` px, and pad it to a square with grey."""
    photo_height, photo_width = photo.shape[:2]
    placed = place(photo_height, photo_width, image_size)
    height, width = _scaled_size(photo_height, photo_width, image_size)
    if (height, width) != (photo_height, photo_width):
        interpolation = cv2.INTER_AREA if image_size < max(photo_height, photo_width) else cv2.INTER_LINEAR
        photo = cv2.resize(photo, (width, height), interpolation=interpolation)
    if (height, width) != (image_size, image_size):
        canvas = np.full((image_size, image_size, 3), PADDING_GREY, dtype=np.uint8)
        top, left = int(placed.top), int(placed.left)
        canvas[top : top + height, left : left + width] = photo
        photo = canvas
    return photo, placed


def _scaled_size(photo_height: int, photo_width: int, image_size: int) -> tuple[int, int]:
    scale = image_size / max(photo_height, photo_width)
    return max(1, round(photo_height * scale)), max(1, round(photo_width * scale))


def boxes_to_input(boxes_xyxy: Tensor, placed: Letterbox) -> Tensor:
    """(N, 4), px: photo frame -> input frame."""
    scale, shift = _map(boxes_xyxy, placed)
    return boxes_xyxy * scale + shift


def boxes_to_photo(boxes_xyxy: Tensor, placed: Letterbox) -> Tensor:
    """(N, 4), px: input frame -> photo frame, cut at the photo's border."""
    scale, shift = _map(boxes_xyxy, placed)
    return clip((boxes_xyxy - shift) / scale, placed.photo_height, placed.photo_width)


def _map(boxes_xyxy: Tensor, placed: Letterbox) -> tuple[Tensor, Tensor]:
    """Scale and shift of the four coordinates, photo frame -> input frame."""
    scale = boxes_xyxy.new_tensor([placed.scale_x, placed.scale_y] * 2)
    return scale, boxes_xyxy.new_tensor([placed.left, placed.top] * 2)
