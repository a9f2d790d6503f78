"""`lightdet threshold`: chooses a run's threshold on held-out images, writes the curve, and freezes it in the run."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightdet.core.files import now, sha256_of, write_json
from lightdet.draw.attempt import attempt
from lightdet.draw.threshold_curve import plot_curve, write_curve
from lightdet.metric.escape_curve import Share
from lightdet.metric.exact_interval import upper_bound
from lightdet.metric.image_scores import ImageScores
from lightdet.metric.promised import IMAGE, Asked, Chosen, choose, missed_share, per_class_lines, rejected, right_boxes
from lightdet.runs.folder import BEST, RunFolder
from lightdet.runs.promise import FILE, FOLDER, KEY, Promise
from lightdet.runs.views import Views

FORMAT = "lightdet threshold"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was chosen, and what it does to the images."""

    chosen: Chosen
    folder: Path
    escapes: Share
    overkill: Share
    missed_boxes: float | None  # mean share of an image's boxes; None: no boxes, or thresholds per class
    lines: tuple[str, ...]  # of each class

    @property
    def kept(self) -> bool:
        """Whether the images give what was asked."""
        return not self.chosen.missing


def choose_threshold(
    run: Path, scores: ImageScores, asked: Asked, origin: Mapping[str, Any], views: Views | None = None
) -> Outcome:
    """Writes RUN/threshold/: curve.png and curve.csv, and threshold.json where the images give what was asked.

    `origin`: where the scores come from, for the file; `views`: how the images were shown; None: whole. Raises
    LightdetError as `choose` does.
    """
    chosen = choose(scores, asked)
    folder = run / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    write_curve(scores, folder / "curve.csv")
    wanted = asked.escape if asked.prices is None and asked.level == IMAGE else None
    title = f"Escapes and overkill of {len(scores.image_ids)} images"
    attempt("the curve", lambda: plot_curve(scores, chosen.threshold, wanted, title, folder / "curve.png"))
    outcome = _outcome(scores, chosen, folder)
    if outcome.kept:
        write_json(folder / FILE, _content(run, scores, asked, outcome, origin, views or Views()))
    return outcome


def _outcome(scores: ImageScores, chosen: Chosen, folder: Path) -> Outcome:
    away, bad = rejected(scores, chosen), scores.defective
    missed = None
    if scores.boxes.any() and chosen.thresholds is None and not chosen.missing:
        missed = missed_share(*right_boxes(scores), chosen.threshold)
    return Outcome(
        chosen,
        folder,
        Share(int((bad & ~away).sum()), int(bad.sum())),
        Share(int((~bad & away).sum()), int((~bad).sum())),
        missed,
        tuple(per_class_lines(scores, chosen)) if chosen.thresholds else (),
    )


def _content(
    run: Path, scores: ImageScores, asked: Asked, outcome: Outcome, origin: Mapping[str, Any], views: Views
) -> dict[str, Any]:
    chosen = outcome.chosen
    own = None
    if chosen.thresholds is not None:
        own = tuple(float(value) if np.isfinite(value) else None for value in chosen.thresholds)
    promise = Promise(chosen.sentence, chosen.threshold, own, scores.good, views)
    return {
        "format": FORMAT,
        KEY: promise.as_json(),
        "weights_sha256": sha256_of(RunFolder(run).checkpoints / BEST),
        "asked": asdict(asked),
        "images": {"from": dict(origin), "all": len(scores.image_ids)},
        "escapes": outcome.escapes.as_json(),
        "overkill": outcome.overkill.as_json(),
        "missed_boxes": outcome.missed_boxes,
        "cost": None if chosen.cost is None else asdict(chosen.cost),
        "made": now(),
    }


def as_text(outcome: Outcome, asked: Asked, before: float | None) -> str:
    """The outcome in a few lines. before: the threshold that the run had."""
    chosen = outcome.chosen
    lines = [f"promise    {chosen.sentence}"]
    if chosen.thresholds is None:
        was = "" if before is None else f" (best F1: {before:.4g})"
        lines.append(f"threshold  {chosen.threshold:.4g}{was}")
    else:
        lines += [f"threshold  {line}" for line in outcome.lines]
    if chosen.cost is not None:
        cost, both = chosen.cost, (*chosen.cost.cost_interval, *chosen.cost.threshold_interval)
        lines[-1] += f" [resamples: {both[2]:.4g}, {both[3]:.4g}]"
        lines.append(
            f"cost       {cost.cost:.4g} per part [{both[0]:.4g}, {both[1]:.4g}]; {cost.elsewhere:.4g} without "
            "the optimism of choosing and measuring on the same images"
        )
    bound = upper_bound(outcome.escapes.count, outcome.escapes.of, asked.confidence)
    lines.append(
        f"escapes    defective images: {outcome.escapes}, at most {100 * bound:.3g} % ({asked.confidence:.4g})"
    )
    lines.append(f"overkill   good images: {outcome.overkill}")
    if outcome.missed_boxes is not None:
        lines.append(f"boxes      {100 * outcome.missed_boxes:.3g} % of an image's boxes are missed, in the mean")
    return "\n".join([*lines, "in brackets: exact intervals of 95 %" if chosen.cost is None else ""]).rstrip()
