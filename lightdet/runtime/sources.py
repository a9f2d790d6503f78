"""Images to predict on: files, folders, globs, arrays and PIL images."""

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lightdet.core.errors import LightdetError
from lightdet.core.shown import shown
from lightdet.data.image import UNREADABLE, as_rgb, read_image, to_array, to_eight_bits
from lightdet.runtime.found import Found

ImageLike = str | os.PathLike[str] | np.ndarray | Image.Image
SINGLE = (str, os.PathLike, np.ndarray, Image.Image)
KINDS = "is no image: give a path, a numpy array, a PIL image, or a list of them"
PIXELS = "give uint8 or uint16 pixels of shape (H, W) or (H, W, 3), RGB"


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a frame comes from."""

    source: str  # a video file, camera:0, or an address without its password
    number: int  # from 0, damaged and dropped frames included
    seconds: float | None = None  # from the start of a video file
    time: str | None = None  # at which a camera gave it, ISO 8601 in UTC


class Original:
    """One image in original px. The pixels of a file are read when they are first needed."""

    def __init__(
        self,
        path: Path | None,
        bits: int | None = None,
        pixels: np.ndarray | None = None,
        frame: Frame | None = None,
    ) -> None:
        """`path` None: the image is `pixels`, (H, W, 3) uint8 RGB, perhaps a `frame`. `bits` as in `read_image`."""
        self.path = path
        self.bits = bits
        self.frame = frame
        self._pixels = pixels

    @property
    def name(self) -> str:
        """For messages."""
        if self.frame is not None:
            return f"{self.frame.source}: frame {self.frame.number}"
        return "array" if self.path is None else str(self.path)

    @property
    def place(self) -> dict[str, Any]:
        """JSON-ready: file, and of a frame frame and seconds or time; file is None for an array or PIL image."""
        return place(self.path, self.frame)

    @property
    def pixels(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB. Raises LightdetError for a file that is not readable."""
        if self._pixels is None:
            assert self.path is not None
            self._pixels = read_image(self.path, self.bits)
        return self._pixels

    def release(self) -> None:
        """Drop the pixels of a file; they are read again when needed."""
        if self.path is not None:
            self._pixels = None


def place(path: Path | None, frame: Frame | None) -> dict[str, Any]:
    """`Original.place` of an image."""
    if frame is None:
        return {"file": None if path is None else str(path)}
    facts = {"seconds": frame.seconds, "time": frame.time}
    known = {name: value for name, value in facts.items() if value is not None}
    return {"file": frame.source, "frame": frame.number, **known}


def originals(images: ImageLike | Iterable[ImageLike], bits: int | None = None) -> Iterator[Original]:
    """The images in the order given; a folder or glob gives its images, sorted by path.

    `bits` are those of the camera, for pixels of more than 8 bits (`read_image`). What a folder holds besides is
    counted on stderr. Raises LightdetError for a path without an image and for values that are no image.
    """
    if not isinstance(images, SINGLE) and not isinstance(images, Iterable):
        raise LightdetError(
            f"{type(images).__name__} is no image: give a path, an array, a PIL image, or a list of them"
        )
    for item in [images] if isinstance(images, SINGLE) else images:
        if isinstance(item, str | os.PathLike):
            found = Found()
            found.search(os.fspath(item))
            for line in found.left_out.lines():
                print(f"lightdet: {shown(line)}", file=sys.stderr)
            yield from (Original(path, bits) for path in found.files)
        elif isinstance(item, Image.Image):
            yield Original(None, bits, pil_pixels(item, bits))
        elif isinstance(item, np.ndarray):
            yield Original(None, bits, array_pixels(item, bits))
        else:
            raise LightdetError(f"{type(item).__name__} {KINDS}")


def array_pixels(values: np.ndarray, bits: int | None = None) -> np.ndarray:
    """(H, W) grey or (H, W, 3) RGB, uint8 or uint16 -> a copy as (H, W, 3) uint8 RGB; `bits` as in `read_image`.

    Raises LightdetError for any other shape or type.
    """
    whole = values.dtype.kind == "u" and values.dtype.itemsize in (1, 2)
    shaped = values.ndim == 2 or (values.ndim == 3 and values.shape[2] == 3)
    if not whole or not shaped or not values.size:
        shape = " x ".join(map(str, values.shape)) or "a single value"
        raise LightdetError(f"array of {values.dtype}, {shape}: {PIXELS}")
    return _as_rgb(to_eight_bits(values, bits))


def pil_pixels(image: Image.Image, bits: int | None = None) -> np.ndarray:
    """A PIL image of any mode but floating point -> (H, W, 3) uint8 RGB; `bits` as in `read_image`.

    Its pixels are taken as they are: apply `PIL.ImageOps.exif_transpose` first where a file has an orientation.
    Raises LightdetError for floating-point pixels and for an image that cannot be decoded.
    """
    name = getattr(image, "filename", "") or f"PIL image of mode {image.mode}"
    try:
        return _as_rgb(to_eight_bits(to_array(image, name), bits))
    except UNREADABLE as error:
        raise LightdetError(f"{name}: broken image ({' '.join(str(error).split())}); replace it") from error


def _as_rgb(pixels: np.ndarray) -> np.ndarray:
    """A contiguous copy, (H, W, 3): a camera may reuse its buffer."""
    return as_rgb(np.array(pixels, order="C"))
