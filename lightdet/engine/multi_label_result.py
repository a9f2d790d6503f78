"""The result for one image of a classifier that gives it several classes."""

from typing import Any, ClassVar

from lightdet.core.types import Classification, Letterbox, Subject
from lightdet.engine.decision import Decision
from lightdet.engine.probabilities_result import ProbabilitiesResult
from lightdet.engine.result import ResultSettings
from lightdet.runtime.sources import Original

OTHERS = 2  # classes below the threshold that are named in words


class MultiLabelResult(ProbabilitiesResult):
    """The classes of one image: those whose probability reaches the threshold of the settings, the most probable first.

    names, labels: of these classes; none where the image shows no class. probabilities: of every class by name, 0..1,
    the greatest first; each is a yes or a no of its own, so that they do not sum to 1.
    """

    own_threshold: ClassVar[str] = "as on the validation images"

    def __init__(
        self, prediction: Classification, original: Original, letterbox: Letterbox, settings: ResultSettings
    ) -> None:
        """Raises LightdetError for probabilities that are not finite."""
        super().__init__(prediction, original, letterbox, settings)
        values = self._values
        least = [settings.threshold] * len(values)
        if settings.promise is not None:
            least = settings.promise.least(len(values))
        self.labels: list[int] = [label for label in self._ranked if values[label] >= least[label]]
        self._threshold, self._threshold_from = settings.threshold, settings.threshold_from
        self.names: list[str] = [settings.classes[label] for label in self.labels]

    def __len__(self) -> int:
        return len(self.names)

    def content(self) -> dict[str, Any]:
        """classes, the most probable first, their labels, and all probabilities by class name, the greatest first."""
        return {
            "classes": self.names,
            "labels": self.labels,
            "probabilities": {name: round(value, 5) for name, value in self.probabilities.items()},
        }

    def decision(self) -> Decision:
        """Each class against the threshold: a part with a class is rejected.

        The margin is that of the class nearest to the threshold.
        """
        names = list(self.probabilities)
        rule = f"{self._threshold:.2f}, {self._threshold_from}"
        found = ", ".join(f"{name} {self.probabilities[name]:.2f}" for name in self.names)
        best = f"{names[0]} has {self.probabilities[names[0]]:.2f}"
        sentence = f"{found} >= {rule}" if found else f"no class has a probability >= {rule}; {best}"
        margin = min(abs(value - self._threshold) for value in self.probabilities.values())
        following = [name for name in names if name not in self.names[:1]]
        second = (following[0], self.probabilities[following[0]]) if following else None
        name, label = (self.names[0], self.labels[0]) if self.names else ("", None)
        score = self.probabilities[names[0]]
        return Decision("threshold", sentence, name, label, score, margin, bool(self.names), second, self._threshold)

    def subjects(self, most: int) -> list[Subject]:
        """All classes, the most probable first."""
        return [Subject(label, float(self.prediction.probabilities[label])) for label in self._ranked[:most]]

    def describe(self) -> str:
        """Such as "scratch 0.91 + dent 0.60 (spot 0.06, rust 0.01)": the classes, then what else is probable."""
        found = " + ".join(f"{name} {self.probabilities[name]:.2f}" for name in self.names) or "no class"
        others = [f"{name} {value:.2f}" for name, value in self.probabilities.items() if name not in self.names]
        return f"{found} ({', '.join(others[:OTHERS])})" if others else found
