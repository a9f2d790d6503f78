"""A window of each image instead of the whole: large images are learnt from at their own scale, for less."""

import numpy as np

from lightdet.core.errors import LightdetError
from lightdet.data.augment.sample import Sample, Source, cut_boxes, part
from lightdet.ops.grid import COARSEST


class Window:
    """A window at a random place, without scaling; validation and use see whole images.

    `share`: sides of the window as a share (0..1] of the image's sides, rounded to multiples of the coarsest stride.
    A network of convolutions does not mind that it is used at another size than it is trained at.
    `min_visible`, `min_side` (px): which boxes stay, see `cut_boxes`. Raises LightdetError for another share.
    """

    def __init__(self, share: float = 0.5, min_visible: float = 0.2, min_side: float = 2.0) -> None:
        if not 0 < share <= 1:
            raise LightdetError(f"augment.window.share={share}: give a share of the side, above 0, at most 1")
        self.share = share
        self.min_visible = min_visible
        self.min_side = min_side

    def over(self, source: Source, generator: np.random.Generator) -> Source:
        """`source`, seen through windows whose places `generator` draws."""
        return _Windowed(self, source, generator)

    def side(self, side: int) -> int:
        """Side of the windows, px, along a side of `side` px of the images."""
        return min(side, max(COARSEST, round(side * self.share / COARSEST) * COARSEST))

    def cut(self, sample: Sample, generator: np.random.Generator) -> Sample:
        """The part of a sample in a window: an image (H, W, C) gets smaller, and boxes are in the window's px."""
        height, width = sample.image.shape[:2]
        window_height, window_width = self.side(height), self.side(width)
        left = int(generator.integers(width - window_width + 1))
        top = int(generator.integers(height - window_height + 1))
        return cut_boxes(part(sample, left, top, window_width, window_height), self.min_visible, self.min_side)


class _Windowed:
    """A source of windows."""

    def __init__(self, window: Window, source: Source, generator: np.random.Generator) -> None:
        self.window = window
        self.source = source
        self.generator = generator

    def __len__(self) -> int:
        return len(self.source)

    def sample(self, index: int) -> Sample:
        return self.window.cut(self.source.sample(index), self.generator)
