"""What the results of classifiers share, whether an image has one class or several."""

from typing import ClassVar

import numpy as np
from PIL import Image

from lightdet.core.errors import LightdetError
from lightdet.core.types import Classification, Letterbox
from lightdet.draw.judged_images import captioned
from lightdet.engine.result import Result, ResultSettings
from lightdet.runtime.sources import Original


class ProbabilitiesResult(Result):
    """probabilities: of every class by name, 0..1, the greatest first."""

    unit: ClassVar[str] = "classes"
    prediction: Classification

    def __init__(
        self, prediction: Classification, original: Original, letterbox: Letterbox, settings: ResultSettings
    ) -> None:
        """Raises LightdetError for probabilities that are not finite."""
        super().__init__(prediction, original, letterbox, settings)
        self._values: np.ndarray = prediction.probabilities.double().cpu().numpy()  # by label
        if not np.isfinite(self._values).all():
            raise LightdetError(f"{original.name}: the classifier gave a probability that is NaN or infinite")
        self._ranked: list[int] = np.argsort(-self._values, kind="stable").tolist()
        self.probabilities: dict[str, float] = {
            settings.classes[label]: float(self._values[label]) for label in self._ranked
        }

    def plot(self) -> Image.Image:
        """The image under its class or classes and what else is probable."""
        return Image.fromarray(captioned(self.image, self.describe(), alarming=False))
