"""The threshold that `lightdet threshold` froze in a run, and the promise that it gives. No torch, hydra or yaml here.

It lies in RUN/threshold/threshold.json under "promise", and exported models carry the same section.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json, sha256_of
from lightdet.core.shown import shown
from lightdet.runs.views import KEY as VIEWS
from lightdet.runs.views import Views, to_views

FOLDER, FILE = "threshold", "threshold.json"
KEY = "promise"
NO_PROMISE = "no promise"  # begins the sentence of a threshold that was chosen by cost
LONGEST = 500  # characters of the sentence


@dataclass(frozen=True, slots=True)
class Promise:
    """A part is rejected where its score reaches `threshold`, or that of any class its own in `thresholds`.

    The score of a class is that of the best box, or its probability. good: the class of sound parts of a classifier,
    whose score is the probability of all other classes together; None: a detector, or several classes per image.
    thresholds: by label, None for `good`; None: one for all. views: how the images were shown to the network.
    """

    sentence: str  # what is promised
    threshold: float
    thresholds: tuple[float | None, ...] | None = None
    good: str | None = None
    views: Views = field(default_factory=Views)

    def require(self, views: Views) -> None:
        """Raises LightdetError where images are shown otherwise than those that gave the threshold."""
        if views != self.views:
            raise LightdetError(
                f"the threshold of lightdet threshold holds for {self.views}, and not for {views}: "
                "show images as there, run lightdet threshold again, or give --threshold"
            )

    @property
    def said(self) -> str:
        """Where the threshold comes from, in words."""
        what = "the choice" if self.sentence.startswith(NO_PROMISE) else "the promise"
        return f"{what} of lightdet threshold: {self.sentence}"

    def as_json(self) -> dict[str, Any]:
        """The section that `to_promise` reads."""
        return asdict(self)

    def least(self, num_classes: int) -> list[float]:
        """The threshold of each class."""
        own = self.thresholds or (self.threshold,) * num_classes
        return [1.0 if value is None else value for value in own]

    def rejects(self, overall: float, by_class: Sequence[float]) -> bool:
        """Whether a part with this score, and with these of its classes by label, is rejected."""
        if self.thresholds is None:
            return overall >= self.threshold
        pairs = zip(by_class, self.thresholds, strict=True)
        return any(least is not None and score >= least for score, least in pairs)


def to_promise(content: Any, classes: Sequence[str], place: str) -> Promise | None:
    """A section of a file, checked; None for none. Raises LightdetError, which begins with `place`, for a wrong one."""
    if content is None:
        return None
    try:
        own = content["thresholds"]
        promise = Promise(
            str(content["sentence"])[:LONGEST],
            _share(content["threshold"]),
            None if own is None else tuple(None if value is None else _share(value) for value in own),
            content["good"],
            to_views(content.get(VIEWS)),
        )
        if promise.thresholds is not None and len(promise.thresholds) != len(classes):
            raise ValueError("not a threshold for each class")
        if promise.good is not None and promise.good not in classes:
            raise ValueError("good is no class")
        return promise
    except (KeyError, TypeError, ValueError) as error:
        reason = shown(f"{type(error).__name__}: {error}"[:200])
        raise LightdetError(f"{place}: its promise is damaged ({reason}); run `lightdet threshold` again") from None


def read_promise(run: Path, weights: Path, classes: Sequence[str]) -> Promise | None:
    """What is frozen in a run for a file of weights; None where nothing is, or, which is told, for other weights."""
    file = run / FOLDER / FILE
    content: Mapping[str, Any] = read_json(file)
    if not content:
        return None
    promise = to_promise(content.get(KEY), classes, str(file))
    if promise is not None and content.get("weights_sha256") != sha256_of(weights):
        told = f"{file}: its promise is that of other weights than {weights.name}, and is not used"
        print(f"lightdet: {shown(told)}; run `lightdet threshold` again", file=sys.stderr)
        return None
    return promise


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{value} is no number from 0 to 1")
    return float(value)
