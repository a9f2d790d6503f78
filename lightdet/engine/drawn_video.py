"""A video of frames with their boxes."""

from pathlib import Path

import cv2
import numpy as np

from lightdet.core.errors import LightdetError
from lightdet.runtime.video import quiet

RATE = 25.0  # frames per second, where the source does not say its own


class DrawnVideo:
    """Frames become an MP4 (MPEG-4) of the size of the first one; others are scaled to that."""

    def __init__(self, path: Path, fps: float | None) -> None:
        self.path = path
        self.fps = fps or RATE
        self._size = 0, 0  # px, width and height
        self._writer: cv2.VideoWriter | None = None

    def add(self, drawn: np.ndarray) -> None:
        """A frame (H, W, 3) uint8 RGB. Raises LightdetError where no video can be written."""
        if self._writer is None:
            height, width = drawn.shape[:2]
            quiet()
            self._size = width - width % 2, height - height % 2
            code = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self.path), cv2.CAP_FFMPEG, code, self.fps, self._size)
            if not self._writer.isOpened():
                raise LightdetError(f"{self.path}: OpenCV cannot write this video; leave --video out")
        if drawn.shape[1::-1] != self._size:
            drawn = cv2.resize(drawn, self._size, interpolation=cv2.INTER_AREA)
        self._writer.write(cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """A video that is not closed cannot be played."""
        if self._writer is not None:
            self._writer.release()
