"""Damaged, moved, empty and foreign studies: a report still comes, says what it could not read, and runs nothing."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from reports import build, lines
from study_factory import add_job

import lightdet.cli.main as cli
from lightdet.runs.jobs import read_jobs

DAMAGED = {
    "config.yaml": ["model: null", "model: [1]", "model: abc", "model: &a\n  x: *a", "&a\nx: *a"],
    "metrics.csv": ["epoch,val/map50_95\ninf,0.1\n", "epoch,val/map50_95\nnan,0.1\n"],
    "results.json": ['{"metrics": {"map50": 1' + "0" * 400 + "}}"],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in DAMAGED.items() for text in texts])
def test_a_damaged_file_takes_no_other_row_along(name: str, text: str, tmp_path: Path) -> None:
    folder = add_job(tmp_path, {"a": "1"})
    add_job(tmp_path, {"a": "2"})
    (folder.path / name).write_text(text)
    _, report, _ = build(tmp_path)
    assert float(lines(tmp_path, "table2_scores")[1]["mAP50"]) > 0
    assert name == "results.json" or f"{folder.path / name}: " in report


def test_damaged_rows_say_so_and_the_report_still_comes(tmp_path: Path) -> None:
    folders = [add_job(tmp_path, {"attention": name}) for name in "abcdefgh"]
    folders[1].results_path.write_text('{"metrics": {')
    folders[2].status_path.unlink()
    folders[3].metrics_csv.write_text("epoch,val/map50\n,x\n")
    folders[4].config_path.write_text("trainer: [")
    (folders[5].pictures / "overview.png").write_bytes(b"no picture")
    folders[6].results_path.write_text('{"metrics": [1, 2], "footprint": 7, "epochs": "many"}')
    folders[7].results_path.write_bytes(b"\xff\xfe\x00")
    (folders[0].path / "detections.json").write_text("{")
    (tmp_path / "jobs" / "zz__s0.json").write_text("[1")
    (tmp_path / "jobs" / "yy__s0.json").write_text('{"overrides": 5, "choices": [], "number": "x", "run": 3}')
    page, text, troubles = build(tmp_path)
    told = "\n".join(troubles)
    for name in ("results.json", "status.json", "metrics.csv", "overview.png", "zz__s0", "yy__s0", "config.yaml"):
        assert name in told or name == "config.yaml"
    assert len(page.details()["rows"]) == 10
    assert "unreadable" in text and "missing" in text
    assert cli.main(["report", str(tmp_path), "--sizes", "none", "--resamples", "100"]) == 1


def test_a_study_that_was_moved_is_read_where_it_lies_and_needs_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = add_job(tmp_path / "old", {"a": "1"}, state="failed", reason="loss is nan")
    failed.write_status("failed", reason="loss is nan", traceback=str(failed.traceback_path))
    killed = add_job(tmp_path / "old", {"a": "2"}, state="running", epochs=1)
    with killed.lock():
        pass
    (tmp_path / "old").rename(tmp_path / "new")
    opened = open

    def read_only(file: Any, mode: str = "r", *rest: Any, **more: Any) -> Any:
        if mode != "r":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(file))
        return opened(file, mode, *rest, **more)

    monkeypatch.setattr("builtins.open", read_only)
    rows = read_jobs(tmp_path / "new")
    assert [(row.state, row.reason) for row in rows] == [("failed", "loss is nan"), ("killed", "")]
    assert rows[0].traceback == str(tmp_path / "new" / failed.path.relative_to(tmp_path / "old") / "traceback.txt")


def test_a_study_without_any_finished_run_is_reported(tmp_path: Path) -> None:
    add_job(tmp_path, {"a": "1"}, state="queued")
    add_job(tmp_path, {"a": "2"}, state="running", epochs=1)
    page, text, troubles = build(tmp_path, figures=True)
    assert "killed" in text and "queued" in text and troubles == ()
    assert page.details()["runs"]


def test_a_run_outside_of_its_study_is_not_read(tmp_path: Path) -> None:
    add_job(tmp_path / "other", {"a": "1"})
    add_job(tmp_path / "mine", {"a": "2"})
    add_job(tmp_path / "mine", {"a": "1"}, run="../other/a-1/s0")
    states = {row.choices["a"]: (row.state, row.reason) for row in read_jobs(tmp_path / "mine")}
    assert states["2"][0] == "done" and states["1"][0] == "unreadable" and "outside" in states["1"][1]
