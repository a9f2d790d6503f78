"""What the page tells of a row when it is opened, as plain values for its script."""

import math
from collections.abc import Sequence
from typing import Any

from lightdet.report.comparison import Comparison
from lightdet.report.gallery import Gallery
from lightdet.report.rows import MEANS, LoadedJob, Points, Row
from lightdet.report.tables import difference_text
from lightdet.runs.jobs import inside

PER_CLASS = {
    "AP50": "ap50",
    "AP75": "ap75",
    "AP50-95": "ap50_95",
    "precision": "precision",
    "recall": "recall",
    "F1": "f1",
    "boxes": "truths",
}
POINT = ("threshold", "escape_rate", "overkill_rate")
MOST_POINTS = 120  # of a curve


def details(rows: Sequence[Row], comparisons: dict[int, Comparison], gallery: Gallery) -> dict[str, Any]:
    """`rows`: number -> label, options, jobs; `runs`: folder -> numbers, curves, pictures, shared by the jobs."""
    told: dict[str, Any] = {"rows": {}, "runs": {}, "perClass": list(PER_CLASS)}
    for row in rows:
        jobs = []
        for job in row.jobs:
            key = job.run or job.name
            if key not in told["runs"]:
                told["runs"][key] = _run(job, gallery)
            jobs.append({"seed": job.seed, "status": job.status(), "run": key, "done": job.done})
        options = {**row.options, **row.choices}
        told["rows"][str(row.number)] = {
            "label": row.label,
            "options": {key: value for key, value in options.items() if key != "seed"},
            "compared": compared(comparisons[row.number]),
            "jobs": jobs,
        }
    return told


def compared(found: Comparison) -> list[str]:
    """The differences to the baseline as lines, or the reason why there are none."""
    if not found.differences:
        return [f"difference to the baseline: {found.reason}"]
    seeds = f"seeds {', '.join(found.seeds)}" if len(found.seeds) > 1 else f"seed {found.seeds[0]}"
    return [
        f"{name} minus baseline: {difference_text(found.differences[key])} ({seeds}, {found.images} images)"
        for name, key in MEANS.items()
    ]


def _run(job: LoadedJob, gallery: Gallery) -> dict[str, Any]:
    per_class = {
        name: [inside(job.results, "metrics", "per_class", name, key) for key in PER_CLASS.values()]
        for name in job.classes()
    }
    point = inside(job.results, "metrics", "operating_point")
    return {
        "classes": {name: [_plain(value) for value in values] for name, values in per_class.items()},
        "point": {key: value for key in POINT if (value := _plain(inside(point, key))) is not None},
        "bestEpoch": _plain(inside(job.results, "best_epoch")),
        "curves": {name: _thin(points) for name, points in job.curves.items()},
        "traceback": job.traceback,
        "notes": job.notes,
        "pictures": gallery.of(job),
    }


def _plain(value: Any) -> float | int | None:
    """A finite number, or nothing."""
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def _thin(points: Points) -> list[list[float]]:
    """Epochs and values with four digits; of a long curve every k-th point and the last."""
    epochs, values = points
    step = -(-len(epochs) // MOST_POINTS)
    kept = sorted({*range(0, len(epochs), step), len(epochs) - 1})
    return [[epochs[k] for k in kept], [round(values[k], 4) for k in kept]]
