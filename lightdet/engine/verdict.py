"""`lightdet predict --verdict`: pass or fail for each image, and the lot of them in numbers."""

from dataclasses import dataclass, field
from typing import Any

from lightdet.core.errors import LightdetError
from lightdet.engine.result import Result
from lightdet.metric.exact_interval import interval

PASS, FAIL = "pass", "fail"


@dataclass(slots=True)
class Lot:
    """The verdicts of a set of images, counted."""

    rule: str  # by which a part is rejected, in words
    failed: list[str] = field(default_factory=list)  # files
    passed: int = 0

    def judge(self, result: Result) -> dict[str, Any]:
        """What predictions.json says of an image: verdict, because (a sentence), and for a detector deciding_boxes, the
        positions in `boxes` of those that reach the threshold, the best first.

        Raises LightdetError for a model that knows no good parts.
        """
        decision = result.decision()
        if decision.rejected is None:
            raise LightdetError(
                "--verdict: this classifier knows no good parts, so it can pass none; train it with images of good ones"
            )
        if decision.rule != "threshold":  # of a classifier
            self.rule = decision.rule
        if decision.rejected:
            self.failed.append(str(result.path))
        else:
            self.passed += 1
        boxes = {"deciding_boxes": list(range(len(result.names)))} if hasattr(result, "boxes") else {}
        return {"verdict": FAIL if decision.rejected else PASS, "because": decision.sentence, **boxes}

    @property
    def images(self) -> int:
        """How many were judged."""
        return self.passed + len(self.failed)

    def as_json(self) -> dict[str, Any]:
        """images, failed, failed_share with its exact interval of 95 %, and the rule."""
        share = len(self.failed) / self.images if self.images else None
        both = list(interval(len(self.failed), self.images)) if self.images else None
        counts = {"images": self.images, "failed": len(self.failed)}
        return {**counts, "failed_share": share, "interval_95": both, "rule": self.rule}

    def as_text(self) -> str:
        """One line, such as "verdict: 2 of 40 fail, 5 % [95 %: 0.611, 16.9]"."""
        if not self.images:
            return "verdict: no image was judged"
        low, high = interval(len(self.failed), self.images)
        share = f"{100 * len(self.failed) / self.images:.3g} % [95 %: {100 * low:.3g}, {100 * high:.3g}]"
        return f"verdict: {len(self.failed)} of {self.images} fail, {share}; {self.rule}"
