"""A study at W&B: its tables, figures and page can be read back from the offline run; publishing again continues it."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
from study_factory import add_job, boxes
from tracked_run import forget_wandb, of_kind, records, summary_of

from lightdet.core.errors import LightdetError
from lightdet.report.settings import Settings
from lightdet.report.table import Cell, Column, Table, to_csv
from lightdet.study.publish import as_wandb, publish

QUICK = Settings(resamples=100, sizes=())


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Two attentions on two grids, one of them with two seeds, one failed."""
    forget_wandb(tmp_path / "home", monkeypatch)
    path = tmp_path / "runs" / "attention"
    for head in ("76", "38"):
        for seed in (0, 1) if head == "76" else (0,):
            made = boxes(0.6, seed)
            add_job(path, {"attention": "cbam", "head": head}, seed, made=made, options={"loss/box": "giou"})
    add_job(path, {"attention": "eca", "head": "76"}, made=boxes(0.9), options={"loss/box": "giou"})
    add_job(path, {"attention": "eca", "head": "38"}, state="failed", reason="loss is nan")
    yield path
    wandb.teardown()


def logged(path: Path) -> tuple[dict[str, Any], Path]:
    """The one history row of the latest summary run, and its folder of media."""
    (row,) = of_kind(records(path / "report"), "history")
    (files,) = sorted((path / "report/wandb").glob("offline-run-*/files"))[-1:]
    return row["item"], files


def test_a_study_is_published_offline_and_again(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert publish(study, "lightdet", None, "auto", QUICK) == 0
    shown = capsys.readouterr().out
    assert "writes offline, there is no API key" in shown and "4 rows, 5 jobs: 4 done, 1 failed" in shown

    found = records(study / "report")
    run = of_kind(found, "run")[0]
    assert (run["display_name"], run["job_type"], run["project"]) == ("attention", "study", "lightdet")
    config = run["config"]["update"]
    assert config["choices"] == ["attention", "head"] and config["study"] == "attention"
    assert (config["model"], config["image_size"]) == ("proposed", "224") and "loss_box" not in config
    summary = summary_of(found)
    assert (summary["study/done"], summary["study/failed"]) == (4, 1)
    assert summary["study/best_row"] == "attention=eca head=76"

    row, files = logged(study)
    means = table(row, files, "tables/table2_scores")
    report = (study / "report/table2_scores.csv").read_text().splitlines()
    assert len(means) == len(report) - 1 == 4
    eca = next(line for line in means if line["attention"] == "eca" and line["head"] == "76")
    assert 0 < eca["mAP50-95 - baseline"] < 1
    assert eca["mAP50-95 - baseline [95 %]"].startswith("+0.") and "[" in eca["mAP50-95 - baseline [95 %]"]
    assert eca["mAP50-95"] == pytest.approx(summary["study/best_map50_95"])
    cbam = means[0]
    assert cbam["mAP50 spread"] > 0 and cbam["seeds"] == "2 seeds" and eca["mAP50 spread"] is None
    failed = next(line for line in means if "failed" in line["status"])
    assert failed["mAP50"] is None
    for name in ("tables/table1_ap50", "tables/table3_cost", "tables/table4_attention_head"):
        assert table(row, files, name)
    staged = [record["artifact"]["manifest"]["contents"] for record in found if record["type"] == "artifact"]
    waiting = [Path(entry["local_path"]) for contents in staged for entry in contents]
    assert waiting and all(path.is_relative_to(study / "report/wandb") and path.is_file() for path in waiting)
    figures = [key for key in row if key.startswith("figures/") and key.endswith(".path")]
    assert len(figures) == 3 and all((files / row[key]).stat().st_size > 0 for key in figures)
    assert (files / row["page.path"]).read_bytes() == (study / "report/report.html").read_bytes()
    assert row["examples.count"] == 3
    assert {"charts/score_over_epochs_table._type", "charts/score_table._type"} <= set(row)

    time.sleep(1.1)  # W&B names its folders by the second
    wandb.teardown()
    assert publish(study, "lightdet", None, "offline", QUICK) == 0
    again = records(study / "report")
    assert of_kind(again, "run")[0]["run_id"] == run["run_id"]
    assert of_kind(again, "history")[0]["step"]["num"] == 1, "a number that W&B does not have yet"


def table(row: dict[str, Any], files: Path, name: str) -> list[dict[str, Any]]:
    """A logged table as a list of its lines."""
    content = json.loads((files / row[f"{name}.path"]).read_text())
    return [dict(zip(content["columns"], line, strict=True)) for line in content["data"]]


def test_what_cannot_be_published_is_one_line(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LightdetError, match="switched off"):
        publish(study, "lightdet", None, "disabled", QUICK)
    with pytest.raises(LightdetError, match="no such folder"):
        publish(study / "nowhere", "lightdet", None, "offline", QUICK)

    def fail(*_: object, **__: object) -> None:
        raise OSError("No space left\non device")

    monkeypatch.setattr(wandb, "init", fail)
    with pytest.raises(LightdetError, match="OSError: No space left on device"):
        publish(study, "lightdet", None, "offline", QUICK)
    assert (study / "report/report.html").is_file()


def test_numbers_stay_numbers_in_a_table() -> None:
    told = Table("t", "T", [Column("head", numeric=False), Column("mAP"), Column("gain", worded=True)])
    told.lines = [
        [Cell("76"), Cell("0.5 ± 0.1", 0.5, 0.1), Cell("+0.1 [0, 0.2]", 0.1)],
        [Cell("-"), Cell("-"), Cell("not finished")],
    ]
    made = as_wandb(told)
    assert made.columns == ["head", "mAP", "mAP spread", "gain", "gain [95 %]"]
    assert made.data == [["76", 0.5, 0.1, 0.1, "+0.1 [0, 0.2]"], ["-", None, None, None, "not finished"]]
    assert to_csv(told) == "head,mAP,mAP spread,gain\n76,0.5,0.1,0.1\n-,-,,not finished\n"
