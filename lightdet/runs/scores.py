"""The task of a run and the scores of its metric: `scores.json`, written when training begins. No torch here.

{"schema": 2, "task": "detection", "scores": [{"key": ..., "title": ..., "log_name": ..., ...}]}
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json, write_json
from lightdet.core.score import Score, primary_of
from lightdet.metric.detection_scores import DETECTION_SCORES, TASK
from lightdet.runs.folder import RunFolder

SCHEMA = 2  # of scores.json and results.json; runs without a number were written when detection was the only task
FILE_NAME = "scores.json"


def write_scores(folder: RunFolder, task: str, scores: Sequence[Score]) -> None:
    """Write the declarations of the run's metric."""
    content = {"schema": SCHEMA, "task": task, "scores": [asdict(score) for score in scores]}
    write_json(folder.path / FILE_NAME, content)


def scores_of(folder: RunFolder) -> tuple[Score, ...]:
    """The scores that the run declares; those of detection for a run of older code, which declares none.

    Raises LightdetError for a file that is broken or declares no primary score.
    """
    content = read_json(folder.path / FILE_NAME)
    if not content:
        return DETECTION_SCORES
    try:
        scores = tuple(_score(entry) for entry in content["scores"])
    except (KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise LightdetError(f"{folder.path / FILE_NAME}: no declaration of scores ({reason}); train again") from None
    primary_of(scores)
    return scores


def task_of(folder: RunFolder) -> str:
    """The name of the task that the run trains."""
    return str(read_json(folder.path / FILE_NAME).get("task", TASK))


def _score(entry: dict[str, Any]) -> Score:
    """One declaration. Raises KeyError or TypeError for an entry that is none."""
    texts = [entry[name] for name in ("key", "title", "log_name")]
    flags = [entry[name] for name in ("higher_is_better", "primary", "per_class")]
    if not all(isinstance(text, str) for text in texts) or not all(isinstance(flag, bool) for flag in flags):
        raise TypeError("a key, title or log_name that is no text, or a flag that is no boolean")
    return Score(*texts, *flags)
