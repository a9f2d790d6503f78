"""Image files of odd sizes and kinds, made of the images of a dataset: what an exported file meets in use."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from lightdet.data.image import read_image
from lightdet.data.record import Record

SCALES = ((1.0, 1.0), (0.61, 1.37), (1.83, 1.83), (2.57, 0.9), (0.33, 0.5), (3.1, 2.9))  # of height and width


def odd_images(records: Sequence[Record], folder: Path, most: int) -> Iterator[Path]:
    """Writes up to `most` images into `folder` and yields their paths: other sizes, grey, JPEG, 16 bits per channel."""
    for index, record in enumerate(records[:most]):
        pixels = read_image(record.path, record.bits)
        height, width = (
            max(8, round(side * scale)) for side, scale in zip(pixels.shape[:2], SCALES[index % 6], strict=True)
        )
        scaled = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
        kind = index % 4
        path = folder / f"{index:03d}{'.jpg' if kind == 2 else '.png'}"
        if kind == 1:
            scaled = cv2.cvtColor(scaled, cv2.COLOR_RGB2GRAY)
        elif kind == 3:
            scaled = cv2.cvtColor(scaled, cv2.COLOR_RGB2GRAY).astype(np.uint16) * 257
        else:
            scaled = np.ascontiguousarray(scaled[..., ::-1])
        cv2.imwrite(str(path), scaled)
        yield path
