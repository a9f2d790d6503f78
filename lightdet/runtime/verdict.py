"""Pass or fail for one image, by the threshold or the costs that a contract carries. No torch here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lightdet.runtime.contract import ExportContract

PASS, FAIL = "pass", "fail"
# where the threshold of a run without a promise comes from: of a detector, of a classifier of several labels
OWN_THRESHOLD, AS_MEASURED = "the best F1 on the validation images", "as on the validation images"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the part of one image passes, why in a sentence, and of a detector the positions in `boxes` of those that
    decided, the best first; None of a classifier."""

    passed: bool
    because: str
    deciding_boxes: tuple[int, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; as predictions.json has it: verdict, because, deciding_boxes."""
        boxes = {} if self.deciding_boxes is None else {"deciding_boxes": list(self.deciding_boxes)}
        return {"verdict": PASS if self.passed else FAIL, "because": self.because, **boxes}


def of_boxes(scores: Sequence[float], contract: ExportContract) -> Verdict:
    """Of the boxes that reach their thresholds, best first: a part with one is rejected."""
    promise = contract.promise
    least = min(contract.thresholds) if promise is None else promise.threshold
    rule = f"{least:.2f}, {OWN_THRESHOLD if promise is None else promise.said}"
    if len(scores):
        return Verdict(False, f"score {float(scores[0]):.2f} >= {rule}", tuple(range(len(scores))))
    return Verdict(True, f"no box has a score >= {rule}", ())


def of_classes(probabilities: Mapping[str, float], names: Sequence[str], contract: ExportContract) -> Verdict:
    """Of the classes that reach their thresholds, and all probabilities, both the most probable first: a part with a
    class is rejected."""
    promise = contract.promise
    least = min(contract.thresholds) if promise is None else promise.threshold
    rule = f"{least:.2f}, {AS_MEASURED if promise is None else promise.said}"
    if names:
        return Verdict(False, f"{', '.join(f'{name} {probabilities[name]:.2f}' for name in names)} >= {rule}")
    best, value = next(iter(probabilities.items()))
    return Verdict(True, f"no class has a probability >= {rule}; {best} has {value:.2f}")


def of_class(name: str, probabilities: Mapping[str, float], cost: float, contract: ExportContract) -> Verdict | None:
    """Of a decided class, its expected `cost` and all probabilities: a part is rejected where its class is not that of
    sound parts or, with a promise, where the probability of a defect reaches it. None: no class is that of sound parts.
    """
    good, promise = contract.good, contract.promise
    if good not in probabilities:
        return None
    if promise is None:
        how = f"least expected cost: {cost:.2f}" if contract.by_cost else f"most probable: {probabilities[name]:.2f}"
        return Verdict(name == good, f"{how} for {name}")
    bad = sum(value for each, value in probabilities.items() if each != good)
    rejected = promise.rejects(bad, [probabilities[each] for each in contract.classes])
    return Verdict(not rejected, f"P(not {good}) {bad:.3g} against {promise.threshold:.3g}, {promise.said}")
