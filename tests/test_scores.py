"""Scores are declared once, written when a training begins, and read without torch."""

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json, write_json
from lightdet.core.score import Score, primary_of
from lightdet.metric.detection import DetectionMetric
from lightdet.metric.detection_scores import DETECTION_SCORES
from lightdet.runs.folder import RunFolder
from lightdet.runs.scores import scores_of, task_of, write_scores

ERROR = Score("error", "error", "val/error", higher_is_better=False, primary=True)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    write_scores(folder, "brightness", (ERROR,))
    assert scores_of(folder) == (ERROR,)
    assert task_of(folder) == "brightness"
    assert read_json(tmp_path / "scores.json") == {"schema": 2, "task": "brightness", "scores": [asdict(ERROR)]}


def test_a_run_of_older_code_is_one_of_detection(tmp_path: Path) -> None:
    assert scores_of(RunFolder(tmp_path)) == DETECTION_SCORES == DetectionMetric(("a",)).scores
    assert task_of(RunFolder(tmp_path)) == "detection"


@pytest.mark.parametrize(
    "entries", [[{"key": "error"}], 3, ["error"], [asdict(ERROR) | {"primary": "yes"}], [asdict(ERROR) | {"key": 1}]]
)
def test_a_broken_file_is_named(entries: object, tmp_path: Path) -> None:
    write_json(tmp_path / "scores.json", {"schema": 2, "task": "brightness", "scores": entries})
    with pytest.raises(LightdetError, match=r"scores\.json"):
        scores_of(RunFolder(tmp_path))


def test_exactly_one_score_is_primary() -> None:
    assert primary_of(DETECTION_SCORES).key == "map50_95"
    for scores in ((), (ERROR, ERROR), (Score("a", "a", "val/a", primary=True, per_class=True),)):
        with pytest.raises(LightdetError, match="exactly one score"):
            primary_of(scores)


def test_columns_of_a_score_per_class() -> None:
    per_class = Score("ap50", "AP50", "val/ap50", per_class=True)
    assert per_class.logs("val/ap50/dent")
    assert not per_class.logs("val/ap50")
    assert not per_class.logs("val/ap50_95/dent")
    assert ERROR.logs("val/error")
    assert not ERROR.logs("val/error/dent")


def test_scores_are_read_without_torch() -> None:
    script = "import sys, lightdet.runs.scores, lightdet.metric.contract; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
