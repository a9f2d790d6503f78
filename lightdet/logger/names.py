"""The name of a run at every tracker, the names of its final numbers, and its pictures."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightdet.core.score import Score
from lightdet.runs.folder import RunFolder

PICTURES = 16  # of a run, at most
OVERVIEW = "overview.png"


def identity(folder: RunFolder, config: dict[str, Any]) -> dict[str, Any]:
    """The identity of a run: id, study, group (the choices without the seed), name, tags, and the choices as columns.

    The id is a hash of study, folder and fingerprint, so that a resumed training continues the same run.
    """
    status = folder.read_status()
    slug, seed = folder.path.parent.name, folder.path.name
    study = status.get("study")
    choices = {column(key): value for key, value in status.get("choices", {}).items()}
    tags = [str(tag)[:64] for tag in (study, choices.get("model"), choices.get("data")) if tag]
    return {
        "id": stable_id(study, f"{slug}/{seed}", status.get("fingerprint")),
        "study": study,
        "group": slug[:128],
        "name": f"{slug}__{seed}"[:128],
        "tags": tags,
        "choices": {**choices, "seed": config.get("seed"), "study": study},
    }


def stable_id(*facts: Any) -> str:
    """16 hex digits, the same for the same facts."""
    return hashlib.sha256("\n".join(map(str, facts)).encode()).hexdigest()[:16]


def column(key: str) -> str:
    """A choice's name that is one column everywhere: trackers read `/` and `.` as levels. "loss/box" -> "loss_box"."""
    return re.sub(r"[^\w-]", "_", key)


def summary(results: dict[str, Any], scores: Sequence[Score]) -> dict[str, Any]:
    """The final numbers by their names: best/<score>, best/<per-class score>/<class>, footprint/parameters, ..."""
    metrics = results.get("metrics", {})
    columns: dict[str, Any] = {}
    for score in scores:
        if score.per_class:
            per_class = metrics.get("per_class", {})
            columns |= {f"best/{score.key}/{name}": numbers.get(score.key) for name, numbers in per_class.items()}
        else:
            columns[f"best/{score.key}"] = metrics.get(score.key)
    point = metrics.get("operating_point", {})
    names = ("threshold", "precision", "recall", "f1", "escape_rate", "overkill_rate")
    columns |= {f"best/{name}": point.get(name) for name in names}
    columns |= {"best/epoch": results.get("best_epoch"), "seconds": results.get("seconds")}
    columns |= {f"footprint/{name}": value for name, value in results.get("footprint", {}).items()}
    return {name: value for name, value in columns.items() if value is not None}


def drawn(folder: RunFolder) -> dict[str, list[Path]]:
    """Pictures by the name under which they are logged: `pictures`, which are of one size where the images are, and
    single ones: `overview`, `curves/pr_curve`, `curves/confusion`."""
    pictures = sorted(path for path in folder.pictures.glob("*") if path.suffix in (".png", ".jpg"))
    single = {
        "overview": folder.pictures / OVERVIEW,
        "curves/pr_curve": folder.path / "pr_curve.png",
        "curves/confusion": folder.path / "confusion.png",
    }
    files = {"pictures": [path for path in pictures if path.name != OVERVIEW][:PICTURES]}
    files |= {name: [path] for name, path in single.items() if path.is_file()}
    return {name: paths for name, paths in files.items() if paths}
