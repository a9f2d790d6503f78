"""Scores are declared once, written when a training begins, and read without torch."""

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from lightdet.config.compose import compose_config
from lightdet.config.moved import YOUNGER_VALUES
from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json, write_json
from lightdet.core.score import Monitor, Score, monitor_of, primary_of
from lightdet.metric.detection import DetectionMetric
from lightdet.metric.detection_scores import DETECTION_SCORES
from lightdet.runs.fingerprint import fingerprint
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


def test_a_monitor_is_a_score_a_class_or_the_loss() -> None:
    scores = (ERROR, *DETECTION_SCORES[:2], DETECTION_SCORES[-1])
    assert monitor_of("primary", scores, []) == Monitor("val/error", higher_is_better=False)
    assert monitor_of("val/map50", scores, []) == Monitor("val/map50", higher_is_better=True)
    assert monitor_of("val/ap50/dent", scores, ["dent"]) == Monitor("val/ap50/dent", higher_is_better=True)
    assert monitor_of("train/loss", scores, []) == Monitor("train/loss", higher_is_better=False)
    with pytest.raises(LightdetError, match="val/foo: nothing is logged by this name; one of primary, train/loss, "):
        monitor_of("val/foo", scores, ["dent"])
    with pytest.raises(LightdetError, match="val/ap50/rust: no validation image has ground truth of this class"):
        monitor_of("val/ap50/rust", scores, ["dent"])


@pytest.mark.parametrize(("higher", "better"), [(True, 0.6), (False, 0.4)])
def test_a_monitor_knows_its_direction(higher: bool, better: float) -> None:
    monitor = Monitor("val/x", higher)
    assert monitor.better(better, 0.5) and not monitor.better(0.5, better) and not monitor.better(0.5, 0.5)
    assert monitor.better(0.5, None)


def test_the_primary_score_of_detection_is_what_runs_were_judged_by() -> None:
    """A run whose configuration names the score is the training that names none."""
    assert primary_of(DETECTION_SCORES).log_name == YOUNGER_VALUES["trainer.monitor"][1]
    named, default = (fingerprint(compose_config(words)) for words in (["trainer.monitor=val/map50_95"], []))
    assert named == default != fingerprint(compose_config(["trainer.monitor=val/map50"]))


def test_scores_are_read_without_torch() -> None:
    script = "import sys, lightdet.runs.scores, lightdet.metric.contract; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
