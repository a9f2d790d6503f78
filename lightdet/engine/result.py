"""The prediction for one image in the Python API; each task extends it with its kind of prediction."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from lightdet.core.errors import LightdetError
from lightdet.core.files import plain
from lightdet.core.types import Letterbox, Subject
from lightdet.engine.decision import Decision
from lightdet.runs.promise import Promise
from lightdet.runtime.sources import Frame, Original


@dataclass(frozen=True, slots=True)
class ResultSettings:
    """The settings with which a prediction becomes a result."""

    classes: tuple[str, ...]  # names by label
    threshold: float  # least score that is reported
    overlap: float  # IoU above which two boxes, of any class, are one
    model: Any = None  # that predicted, for what a result of its task asks of it
    threshold_from: str = "as given"  # where the threshold comes from, in words
    promise: Promise | None = None  # the threshold that `lightdet threshold` froze, where it is the one above


class Result:
    """One image and the prediction for it. A model names its result class in `result`; this class is for any task.

    names: the class of everything that is reported, best first.
    """

    unit: ClassVar[str] = "predictions"  # what `names` counts
    thresholded: ClassVar[bool] = True  # whether what is reported reaches the threshold
    own_threshold: ClassVar[str] = "the best F1 on the validation images"  # where that of a run comes from, in words
    formats: ClassVar[
        tuple[str, ...]
    ] = ()  # in which `lightdet predict` always writes, modules of lightdet.engine.sink
    names: Sequence[str] = ()

    def __init__(self, prediction: Any, original: Original, letterbox: Letterbox, settings: ResultSettings) -> None:
        """`prediction` is the model's for the image placed by `letterbox`, in input px where it has coordinates."""
        self.prediction = prediction
        self.height, self.width = original.pixels.shape[:2]  # original px
        self.letterbox = letterbox  # how the image lies in the model's input
        self._original = original

    @property
    def path(self) -> Path | None:
        """The image's file; None for an array or a PIL image."""
        return self._original.path

    @property
    def frame(self) -> Frame | None:
        """Which frame of which video or camera; None for an image."""
        return self._original.frame

    @property
    def image(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB, original px; read again from the file where there is one."""
        return self._original.pixels

    def plot(self) -> Image.Image:
        """The image with the predictions drawn on it; a small one is enlarged."""
        return Image.fromarray(self.image)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: an entry under "images" of predictions.json, without its id and picture."""
        return {**self._original.place, "height": self.height, "width": self.width, **self.content()}

    def content(self) -> dict[str, Any]:
        """The task's part of `to_dict`."""
        return {"prediction": plain(self.prediction)}

    def decision(self) -> Decision:
        """What the result decides for its image. Raises LightdetError for a task that decides nothing."""
        raise LightdetError(f"a {type(self).__name__} decides nothing about a part: implement its `decision`")

    def subjects(self, most: int) -> list[Subject]:
        """What an explanation can explain of this result, the most important first, at most so many.

        Raises LightdetError for a task that has no such thing.
        """
        raise LightdetError(f"a {type(self).__name__} has nothing that can be explained: implement its `subjects`")

    def describe(self) -> str:
        """The predictions in a few words."""
        return str(self.prediction)

    def __repr__(self) -> str:
        return f"<{self._original.name}, {self.width} x {self.height} px: {self.describe()}>"

    def _repr_png_(self) -> bytes:
        """The picture that a notebook shows."""
        buffer = io.BytesIO()
        self.plot().save(buffer, "PNG")
        return buffer.getvalue()
