"""Letterboxed images kept in memory, up to a stated bound, shared by all worker processes."""

import mmap
from typing import Any

import numpy as np

from lightdet.ops.grid import ImageSize, height_width

MEGABYTE = 1_000_000  # bytes


class ImageCache:
    """Memory for the first images of a list: as many as fit into `limit_bytes`; the others are not kept.

    The memory is an anonymous shared mapping: pages are taken only when an image is stored, and workers forked from
    this process read and fill the same memory, so that the bound holds for all of them together. Which images are
    kept depends on their index alone and two processes store the same bytes, so no lock is needed.
    A worker that is spawned instead of forked starts without a cache.
    """

    def __init__(self, count: int, image_size: ImageSize, limit_bytes: int, channels: int = 3) -> None:
        height, width = height_width(image_size)
        self.image_bytes = height * width * channels
        self.places = min(count, max(0, limit_bytes) // self.image_bytes)
        self._images = shared_zeros((self.places, height, width, channels))
        self._filled = shared_zeros((self.places,))

    @property
    def reserved_bytes(self) -> int:
        """The memory of all images that can be kept."""
        return self.places * self.image_bytes

    @property
    def stored(self) -> int:
        """Number of images in the cache."""
        return int(np.count_nonzero(self._filled))

    def get(self, index: int) -> np.ndarray | None:
        """The image (H, W, channels) uint8, read-only, or None when it is not kept (yet)."""
        if index >= self.places or not self._filled[index]:
            return None
        image: np.ndarray = self._images[index]
        image.flags.writeable = False
        return image

    def put(self, index: int, image: np.ndarray) -> None:
        """Keeps a copy of the image if its index is among those kept."""
        if index < self.places:
            self._images[index] = image
            self._filled[index] = 1

    def __getstate__(self) -> dict[str, Any]:
        """Without the memory: it cannot be sent to a spawned process."""
        nothing = np.zeros((0,), dtype=np.uint8)
        return {"image_bytes": self.image_bytes, "places": 0, "_images": nothing, "_filled": nothing}


def shared_zeros(shape: tuple[int, ...], dtype: type[np.generic] = np.uint8) -> np.ndarray:
    """Zeros in memory that forked processes share (not in /dev/shm, which containers keep small)."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if size == 0:
        return np.zeros(shape, dtype=dtype)
    return np.frombuffer(mmap.mmap(-1, size), dtype=dtype).reshape(shape)
