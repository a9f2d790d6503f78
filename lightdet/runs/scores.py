"""The task of a run and the scores of its metric: `scores.json`, written when training begins. No torch here.

{"schema": 2, "task": "detection", "scores": [{"key": ..., "title": ..., "log_name": ..., ...}]}
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json, write_json
from lightdet.core.score import LOSS, PRIMARY, Score, primary_of
from lightdet.metric.detection_scores import DETECTION_SCORES, TASK
from lightdet.runs.folder import RunFolder

SCHEMA = 2  # of scores.json and results.json; runs without a number were written when detection was the only task
FILE_NAME = "scores.json"
MOST_SCORES = 200  # of a metric
MODELS = "lightdet.model."  # of this package: detectors, but for those to which `data.label` gives classes of images


def write_scores(folder: RunFolder, task: str, scores: Sequence[Score]) -> None:
    """Write the declarations of the run's metric."""
    content = {"schema": SCHEMA, "task": task, "scores": [asdict(score) for score in scores]}
    write_json(folder.path / FILE_NAME, content)


def write_results(folder: RunFolder, results: dict[str, Any]) -> None:
    """Write the final numbers of the run, with the schema and the task by which they are read."""
    folder.write_results({"schema": SCHEMA, "task": task_of(folder), **results})


def scores_of(folder: RunFolder) -> tuple[Score, ...]:
    """The scores that the run declares; those of detection for a run of older code, which declares none.

    Raises LightdetError for a file that is broken or declares no primary score.
    """
    content = read_json(folder.path / FILE_NAME)
    if not content:
        return DETECTION_SCORES
    try:
        if len(content["scores"]) > MOST_SCORES:
            raise LightdetError(f"{folder.path / FILE_NAME}: more than {MOST_SCORES} scores; train again")
        scores = tuple(_score(entry) for entry in content["scores"])
    except (KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise LightdetError(f"{folder.path / FILE_NAME}: no declaration of scores ({reason}); train again") from None
    primary_of(scores)
    return scores


def check_monitor(cfg: DictConfig) -> None:
    """Raises LightdetError for a `trainer.monitor` that no detector of this package logs; what other models log is
    known when they are built, and so is which classes have scores of their own."""
    name = str(OmegaConf.select(cfg, "trainer.monitor"))
    ours = str(OmegaConf.select(cfg, "model._target_")).startswith(MODELS) and "training" not in cfg.model
    ours = ours and OmegaConf.select(cfg, "data.label") is None
    if ours and name not in (PRIMARY, LOSS) and not any(score.logs(name) for score in DETECTION_SCORES):
        known = [score.log_name + ("/CLASS" if score.per_class else "") for score in DETECTION_SCORES]
        raise LightdetError(
            f"trainer.monitor={name}: nothing is logged by this name; one of {', '.join((PRIMARY, LOSS, *known))}"
        )


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
