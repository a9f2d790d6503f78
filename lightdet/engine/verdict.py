"""`lightdet predict --verdict`: pass or fail for each image, and the lot of them in numbers."""

from dataclasses import dataclass
from typing import Any

from lightdet.core.errors import LightdetError
from lightdet.engine.result import Result
from lightdet.metric.exact_interval import interval
from lightdet.runtime.verdict import FAIL, PASS, Verdict


@dataclass(slots=True)
class Lot:
    """The verdicts of a set of images, counted."""

    rule: str  # by which a part is rejected, in words
    failed: int = 0
    passed: int = 0

    def judge(self, result: Result) -> dict[str, Any]:
        """What predictions.json says of an image, as `Verdict.to_dict` gives it; it does not count it.

        Raises LightdetError for a model that knows no good parts.
        """
        decision = result.decision()
        if decision.rejected is None:
            raise LightdetError(
                "--verdict: this classifier knows no good parts, so it can pass none; train it with images of good ones"
            )
        if decision.rule != "threshold":  # of a classifier
            self.rule = decision.rule
        boxes = tuple(range(len(result.names))) if hasattr(result, "boxes") else None
        return Verdict(not decision.rejected, decision.sentence, boxes).to_dict()

    def count(self, verdict: str) -> None:
        """Adds an image that was judged."""
        self.failed += verdict == FAIL
        self.passed += verdict == PASS

    @property
    def images(self) -> int:
        """How many were judged."""
        return self.passed + self.failed

    def as_json(self) -> dict[str, Any]:
        """images, failed, failed_share with its exact interval of 95 %, and the rule."""
        share = self.failed / self.images if self.images else None
        both = list(interval(self.failed, self.images)) if self.images else None
        counts = {"images": self.images, "failed": self.failed}
        return {**counts, "failed_share": share, "interval_95": both, "rule": self.rule}

    def as_text(self) -> str:
        """One line, such as "verdict: 2 of 40 fail, 5 % [95 %: 0.611, 16.9]"."""
        if not self.images:
            return "verdict: no image was judged"
        low, high = interval(self.failed, self.images)
        share = f"{100 * self.failed / self.images:.3g} % [95 %: {100 * low:.3g}, {100 * high:.3g}]"
        return f"verdict: {self.failed} of {self.images} fail, {share}; {self.rule}"
