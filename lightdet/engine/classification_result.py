"""The result of a classifier for one image."""

from typing import Any, ClassVar

from lightdet.core.types import Classification, Letterbox, Subject
from lightdet.engine.decision import Decision
from lightdet.engine.probabilities_result import ProbabilitiesResult
from lightdet.engine.result import ResultSettings
from lightdet.metric.costs import cheapest, cost_matrix
from lightdet.runs.promise import Promise
from lightdet.runtime.sources import Original


class ClassificationResult(ProbabilitiesResult):
    """The class of one image.

    name: of the decided class, with its `probability` 0..1 and `cost`, the expected cost of the decision (without costs
    the probability that it is wrong). probabilities: of every class by name, the most probable first. The threshold of
    the settings is not used: a class is decided, not accepted.
    """

    thresholded: ClassVar[bool] = False

    def __init__(
        self, prediction: Classification, original: Original, letterbox: Letterbox, settings: ResultSettings
    ) -> None:
        """Raises LightdetError for probabilities that are not finite."""
        super().__init__(prediction, original, letterbox, settings)
        values = self._values
        costs = cost_matrix(settings.model.costs, settings.classes)
        self.by_cost = settings.model.decision == "cheapest"
        self.label = int(cheapest(values[None], costs)[0]) if self.by_cost else self._ranked[0]
        self.costs: dict[str, float] = dict(zip(settings.classes, (values @ costs).tolist(), strict=True))
        self.good: str = settings.model.good
        self.priced = bool(settings.model.costs)  # otherwise every mistake costs 1
        self.cost = self.costs[settings.classes[self.label]]
        self.name = settings.classes[self.label]
        self.probability = float(values[self.label])
        self.names = [self.name]
        self._promise = settings.promise

    def content(self) -> dict[str, Any]:
        """class, label, probability, expected_cost, and all probabilities by class name, the greatest first."""
        return {
            "class": self.name,
            "label": self.label,
            "probability": round(self.probability, 5),
            "expected_cost": round(self.cost, 5),
            "probabilities": {name: round(value, 5) for name, value in self.probabilities.items()},
        }

    def decision(self) -> Decision:
        """The most probable class, or the one of the least expected cost, and what comes next by the same rule.

        A part is rejected where its class is another than the model's `good`, if the data has that class; with a
        threshold of `lightdet threshold`, where the probability that it is not good reaches that.
        """
        others = [name for name in self.probabilities if name != self.name]
        second = (others[0], self.probabilities[others[0]]) if others else None
        costs = dict(sorted(self.costs.items(), key=lambda pair: (pair[1], pair[0] != self.name)))
        rejected = self.name != self.good if self.good in self.probabilities else None
        if self.by_cost:
            rule, value, ranked = "least expected cost", self.cost, costs
        else:
            rule, value, ranked = "most probable", self.probability, self.probabilities
        against = next(((name, ranked[name]) for name in ranked if name != self.name), None)
        margin = abs(value - against[1]) if against else 1.0
        shown = costs if self.by_cost or self.priced else {}
        if self._promise is not None and self.good in self.probabilities:
            return self._promised(self._promise, second, shown)
        sentence = f"{rule}: {value:.2f}" + (f" against {against[1]:.2f} for {against[0]}" if against else "")
        return Decision(rule, sentence, self.name, self.label, self.probability, margin, rejected, second, costs=shown)

    def _promised(self, promise: Promise, second: tuple[str, float] | None, costs: dict[str, float]) -> Decision:
        """Rejected or not by the promise's threshold, whatever class is named."""
        bad = sum(value for name, value in self.probabilities.items() if name != self.good)
        rejected = promise.rejects(bad, self._values.tolist())
        least = promise.threshold
        where = "" if promise.thresholds is None else " (the least of the classes')"
        sentence = f"P(not {self.good}) {bad:.3g} against {least:.3g}{where}, {promise.said}"
        margin = abs(bad - least)
        return Decision(
            "threshold", sentence, self.name, self.label, self.probability, margin, rejected, second, least, costs
        )

    def subjects(self, most: int) -> list[Subject]:
        """The decided class, then the other ones, the most probable first."""
        labels = [self.label, *(label for label in self._ranked if label != self.label)]
        return [Subject(label, float(self.prediction.probabilities[label])) for label in labels[:most]]

    def describe(self) -> str:
        """Such as "scratch 0.91, dent 0.06, good 0.03": the decision, then what else is probable."""
        others = [name for name in self.probabilities if name != self.name]
        return ", ".join(f"{name} {self.probabilities[name]:.2f}" for name in (self.name, *others[:2]))
