"""Placing an image into the input without distortion. No torch here."""

import cv2
import numpy as np

from lightdet.core.letterbox import Letterbox
from lightdet.ops.grid import ImageSize, height_width

PADDING_GREY = 114  # the grey level of the border, 0..255


def input_scale(original_height: int, original_width: int, image_size: ImageSize) -> float:
    """Input px per original px with which an image just fits into the input."""
    height, width = height_width(image_size)
    return min(height / original_height, width / original_width)


def place(original_height: int, original_width: int, image_size: ImageSize) -> Letterbox:
    """Where an image of that size (px) lies in the input: as large as fits, and centred."""
    height, width = _scaled_size(original_height, original_width, image_size)
    input_height, input_width = height_width(image_size)
    return Letterbox(
        scale_x=width / original_width,
        scale_y=height / original_height,
        left=float((input_width - width) // 2),
        top=float((input_height - height) // 2),
        original_height=original_height,
        original_width=original_width,
    )


def letterbox_image(image: np.ndarray, image_size: ImageSize) -> tuple[np.ndarray, Letterbox]:
    """Scale an image (H, W, C) uint8 so that it just fits into `image_size` px, and pad it to that size with grey."""
    height, width = image.shape[:2]
    smooth = cv2.INTER_AREA if input_scale(height, width, image_size) < 1 else cv2.INTER_LINEAR
    return _scaled_and_padded(image, image_size, smooth, PADDING_GREY), place(height, width, image_size)


def letterbox_mask(mask: np.ndarray, image_size: ImageSize) -> np.ndarray:
    """(H, W) uint8 -> input size: placed as `letterbox_image` places its image, by nearest neighbours, padded by 0."""
    return _scaled_and_padded(mask, image_size, cv2.INTER_NEAREST_EXACT, 0)


def _scaled_and_padded(image: np.ndarray, image_size: ImageSize, interpolation: int, padding: int) -> np.ndarray:
    height, width = _scaled_size(image.shape[0], image.shape[1], image_size)
    if (height, width) != image.shape[:2]:
        image = resized(image, height, width, interpolation)
    input_height, input_width = height_width(image_size)
    if (height, width) != (input_height, input_width):
        canvas = np.full((input_height, input_width, *image.shape[2:]), padding, dtype=np.uint8)
        top, left = (input_height - height) // 2, (input_width - width) // 2
        canvas[top : top + height, left : left + width] = image
        image = canvas
    return image


def _scaled_size(original_height: int, original_width: int, image_size: ImageSize) -> tuple[int, int]:
    scale = input_scale(original_height, original_width, image_size)
    return max(1, round(original_height * scale)), max(1, round(original_width * scale))


def resized(image: np.ndarray, height: int, width: int, interpolation: int) -> np.ndarray:
    """(H, W) or (H, W, C) -> the same with other sides (px); OpenCV alone drops a single channel."""
    return cv2.resize(image, (width, height), interpolation=interpolation).reshape(height, width, *image.shape[2:])


def image_region(placed: Letterbox) -> tuple[slice, slice]:
    """The rows and columns of the input (px) that the image fills; grey border is around them."""
    height, width = round(placed.original_height * placed.scale_y), round(placed.original_width * placed.scale_x)
    top, left = int(placed.top), int(placed.left)
    return slice(top, top + height), slice(left, left + width)


def map_to_original(values: np.ndarray, placed: Letterbox) -> np.ndarray:
    """A map (H, W) float32 in input px -> (original height, original width), without the grey border."""
    region = np.ascontiguousarray(values[image_region(placed)])
    return resized(region, placed.original_height, placed.original_width, cv2.INTER_LINEAR)
