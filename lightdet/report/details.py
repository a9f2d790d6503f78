"""The content of an opened row of the page, as plain values for its script."""

from collections.abc import Sequence
from typing import Any

from lightdet.report.comparison import Comparison
from lightdet.report.gallery import Gallery
from lightdet.report.inspection import PLACES
from lightdet.report.rows import LOSS, LoadedJob, Points, Row, whole
from lightdet.report.tables import difference_text
from lightdet.runs.jobs import finite, inside

POINT = ("threshold", "escape_rate", "overkill_rate")
MOST_POINTS = 120  # of a curve


def details(rows: Sequence[Row], comparisons: dict[int, Comparison], gallery: Gallery) -> dict[str, Any]:
    """`rows`: number -> label, options, jobs; `runs`: folder -> numbers, curves, pictures, shared by the jobs;
    `perClass`: titles of the numbers that a run has of each class."""
    keys = _class_keys(rows)
    titles = {score.key: score.title for score in rows[0].scores if score.per_class}
    shown: dict[str, Any] = {"rows": {}, "runs": {}, "loss": LOSS}
    shown["perClass"] = [titles.get(key, key.replace("_", " ")) for key in keys]
    for row in rows:
        jobs = []
        for job in row.jobs:
            key = job.run or job.name
            if key not in shown["runs"]:
                shown["runs"][key] = _run(job, keys, gallery)
            jobs.append({"seed": job.seed, "status": job.status(), "run": key, "done": job.done})
        options = {**row.options, **row.choices}
        shown["rows"][str(row.number)] = {
            "label": row.label,
            "options": {key: value for key, value in options.items() if key != "seed"},
            "compared": compared(comparisons[row.number], rows),
            "jobs": jobs,
        }
    return shown


def _class_keys(rows: Sequence[Row]) -> list[str]:
    """The keys of all numbers that any run has of a class, in the order of the files."""
    per_class = [
        inside(job.results, "metrics", "per_class", name) for row in rows for job in row.jobs for name in job.classes()
    ]
    numbers = [each for each in per_class if isinstance(each, dict)]
    return list(dict.fromkeys(key for each in numbers for key, value in each.items() if _plain(value) is not None))


def compared(found: Comparison, rows: Sequence[Row]) -> list[str]:
    """The differences to the baseline as lines, or the reason why there are none."""
    if not found.differences:
        return [f"difference to the baseline: {found.reason}"]
    seeds = f"seeds {', '.join(found.seeds)}" if len(found.seeds) > 1 else f"seed {found.seeds[0]}"
    return [
        f"{score.title} minus baseline: {difference_text(difference)} ({seeds}, {found.images} images)"
        for score in whole(rows)
        if (difference := found.differences.get(score.key)) is not None
    ]


def _run(job: LoadedJob, keys: Sequence[str], gallery: Gallery) -> dict[str, Any]:
    per_class = {
        name: [inside(job.results, "metrics", "per_class", name, key) for key in keys] for name in job.classes()
    }
    point = next((found for place in PLACES if (found := inside(job.results, "metrics", place)) is not None), None)
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
    return value if isinstance(value, int | float) and finite(value) is not None else None


def _thin(points: Points) -> list[list[float]]:
    """Epochs and values with four digits; of a long curve every k-th point and the last."""
    epochs, values = points
    step = -(-len(epochs) // MOST_POINTS)
    kept = sorted({*range(0, len(epochs), step), len(epochs) - 1})
    return [[epochs[k] for k in kept], [round(values[k], 4) for k in kept]]
