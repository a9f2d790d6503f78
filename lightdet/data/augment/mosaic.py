"""Four images in one (Bochkovskiy et al. 2020, YOLOv4, arXiv 2004.10934, section 3.4).

Differs: drawn straight at the input size, one scale for the four, and each tile shows a random window of its image
instead of always the corner that meets the others.
"""

import cv2
import numpy as np

from lightdet.core.errors import LightdetError
from lightdet.data.augment.sample import Sample, Source, cut_boxes, part
from lightdet.ops.letterbox import PADDING_GREY, resized


class Mosaic:
    """Four images around a random meeting point, at the size of one.

    `probability` of a mosaic for an image; `closing_epochs`: the last epochs of a training go without; `scale`: range
    of the four images' size in the mosaic; `centre`: range of the meeting point, as a share of the image's sides;
    `min_visible`, `min_side` (px): which boxes stay, see `cut_boxes`.
    """

    def __init__(
        self,
        probability: float = 1.0,
        closing_epochs: int = 10,
        scale: tuple[float, float] = (0.5, 1.0),
        centre: tuple[float, float] = (0.3, 0.7),
        min_visible: float = 0.2,
        min_side: float = 2.0,
    ) -> None:
        if not 0 < scale[0] <= scale[1]:
            raise LightdetError(f"augment.mosaic.scale={list(scale)}: give two positive numbers, the smaller first")
        if not 0 < centre[0] <= centre[1] < 1:
            raise LightdetError(f"augment.mosaic.centre={list(centre)}: give two shares between 0 and 1, smaller first")
        self.probability = probability
        self.closing_epochs = closing_epochs
        self.scale = (scale[0], scale[1])
        self.centre = (centre[0], centre[1])
        self.min_visible = min_visible
        self.min_side = min_side

    def __call__(self, source: Source, index: int, generator: np.random.Generator, epochs_left: int) -> Sample | None:
        """The mosaic that image `index` starts, or None when this image stays alone."""
        if epochs_left <= self.closing_epochs or generator.random() >= self.probability:
            return None
        indices = [index, *generator.integers(len(source), size=3).tolist()]
        samples = [source.sample(each) for each in indices]
        height, width = samples[0].image.shape[:2]
        scale = generator.uniform(self.scale[0], self.scale[1])
        scaled = max(1, round(height * scale)), max(1, round(width * scale))
        share_x, share_y = generator.uniform(self.centre[0], self.centre[1], size=2)
        meet_x, meet_y = round(width * share_x), round(height * share_y)
        canvas = np.full(samples[0].image.shape, PADDING_GREY, dtype=np.uint8)
        corners = [
            (0, 0, meet_x, meet_y),
            (meet_x, 0, width, meet_y),
            (0, meet_y, meet_x, height),
            (meet_x, meet_y, width, height),
        ]
        placed = [
            self._place(canvas, sample, corner, (meet_x, meet_y), scaled, generator)
            for sample, corner in zip(samples, corners, strict=True)
        ]
        return Sample(
            canvas,
            np.concatenate([sample.boxes_xyxy for sample in placed]),
            np.concatenate([sample.labels for sample in placed]),
        )

    def _place(
        self,
        canvas: np.ndarray,
        sample: Sample,
        tile: tuple[int, int, int, int],
        meeting_point: tuple[int, int],
        scaled: tuple[int, int],
        generator: np.random.Generator,
    ) -> Sample:
        """Draw a window of `sample` into the tile (left, top, right, bottom; px) and return its boxes there.

        `scaled`: height and width, px, to which the sample is brought first. An image smaller than the tile touches the
        meeting point and leaves the rest of the tile grey.
        """
        scaled_height, scaled_width = scaled
        from_x, left, width = _window(tile[0], tile[2], meeting_point[0], scaled_width, generator)
        from_y, top, height = _window(tile[1], tile[3], meeting_point[1], scaled_height, generator)
        image = resized(sample.image, scaled_height, scaled_width, cv2.INTER_LINEAR)
        factors = scaled_width / sample.image.shape[1], scaled_height / sample.image.shape[0]
        boxes = sample.boxes_xyxy * np.asarray([*factors, *factors], dtype=np.float32)
        window = part(Sample(image, boxes, sample.labels), from_x, from_y, width, height)
        canvas[top : top + height, left : left + width] = window.image
        inside = cut_boxes(window, self.min_visible, self.min_side)
        inside.boxes_xyxy = inside.boxes_xyxy + np.asarray([left, top, left, top], dtype=np.float32)
        return inside


def _window(start: int, end: int, meeting: int, length: int, generator: np.random.Generator) -> tuple[int, int, int]:
    """Along one axis: where the window starts in the scaled image, where in the canvas, and its length (all px)."""
    space = end - start
    if length >= space:
        return int(generator.integers(length - space + 1)), start, space
    return 0, start if start == meeting else end - length, length
