"""A failed, hanging or broken job is named; the rest is finished; a retry is a word of the command."""

import itertools
import time
from pathlib import Path

import pytest
import stand_in
import sweeps
from sweeps import Launch, states

from lightdet.core.errors import LightdetError, one_line
from lightdet.runs.folder import RunFolder
from lightdet.runs.jobs import read_jobs

conf = pytest.fixture(sweeps.conf)
launch = pytest.fixture(sweeps.launch)


def test_failed_jobs_are_named_the_rest_is_finished_and_a_retry_is_asked_for(
    launch: Launch, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    four = ["-m", "attention=cbam,none", "head=76,38", "study.name=s"]
    monkeypatch.setenv("FAIL_IN", "attention-cbam__head-76/s0")
    monkeypatch.setenv("DIE_IN", "attention-cbam__head-38/s0")
    monkeypatch.setenv("EXIT_IN", "attention-none__head-76/s0")
    assert launch(*four) == 1
    assert len(stand_in.trained()) == 3, "rows that share a failing training try it once"
    rows = read_jobs(Path("runs/s"))
    assert [row.state for row in rows] == ["failed", "killed", "failed", "failed"]
    assert rows[0].reason == "ValueError: loss is nan"
    assert rows[1].reason == "ended by signal 9 (SIGKILL)"
    assert rows[2].reason == rows[3].reason == "its process ended with exit code 7 and no message"
    assert "raise ValueError" in Path(rows[0].traceback).read_text()
    assert "had not finished a batch" in Path(rows[1].traceback).read_text()
    shown = capsys.readouterr().out
    assert "FAILED attention-cbam__head-76__s0: ValueError: loss is nan (traceback: " in shown
    assert "KILLED attention-cbam__head-38__s0" in shown
    assert "ValueError: loss is nan" in Path("runs/s/table.md").read_text()

    for name in ("FAIL_IN", "DIE_IN", "EXIT_IN"):
        monkeypatch.delenv(name)
    assert launch(*four) == 1
    assert stand_in.trained()[3:] == ["attention-cbam__head-38/s0"], "what was killed goes on, what failed does not"
    assert "2 failed earlier (study.retry=true" in capsys.readouterr().out
    assert launch(*four, "study.retry=true") == 0
    assert stand_in.trained()[4:] == ["attention-cbam__head-76/s0", "attention-none__head-76/s0"]
    assert states("s") == ["done"] * 4


def test_a_study_may_stop_at_the_first_failure(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIL_IN", "head-38/s0")
    assert launch("-m", "head=76,38,19", "study.name=s", "study.on_error=stop") == 1
    assert states("s") == ["done", "failed", "queued"]
    with pytest.raises(LightdetError, match="continue, stop"):
        launch("-m", "head=76,38,19", "study.name=s", "study.on_error=halt")


def test_a_run_that_hangs_is_ended_and_tells_where(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANG_IN", "head-76/s0")
    assert launch("-m", "head=76,38", "study.name=s", "launcher.stall_minutes=0.03") == 1
    assert states("s") == ["failed", "done"]
    row = read_jobs(Path("runs/s"))[0]
    assert row.reason == "it hung: no status update for 0.03 min (launcher.stall_minutes)"
    assert "stand_in.py" in Path(row.traceback).read_text(), "the line where it hung"


def test_a_clock_that_jumps_ends_no_run(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does where a machine slept over night."""
    began, hours = time.time(), itertools.count()
    monkeypatch.setenv("NAP", "2.5")
    monkeypatch.setattr(time, "time", lambda: began + 3600 * next(hours))
    assert launch("-m", "seed=0", "study.name=s", "launcher.stall_minutes=30") == 0
    assert states("s") == ["done"]


def test_an_old_failure_of_a_study_does_not_fail_another_sweep(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIL_IN", "attention-none/s0")
    assert launch("-m", "attention=none,cbam", "study.name=mine") == 1
    assert launch("-m", "head=76,38", "study.name=mine") == 0
    assert len(read_jobs(Path("runs/mine"))) == 4


def test_a_single_run_raises_and_then_goes_on(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIL_IN", "default/s0")
    folder = RunFolder("runs/single/default/s0")
    with pytest.raises(ValueError, match="loss is"):
        launch()
    assert folder.read_status()["state"] == "failed"
    monkeypatch.delenv("FAIL_IN")
    launch()
    launch("logger=other")
    assert folder.read_status()["state"] == "done"
    assert len(stand_in.trained()) == 2


def test_a_broken_job_without_a_run_still_has_a_row(launch: Launch) -> None:
    assert launch("-m", "optimizer.lr=0.1,???", "study.name=s") == 1
    rows = read_jobs(Path("runs/s"))
    assert [row.state for row in rows] == ["done", "failed"]
    assert "optimizer.lr" in rows[1].reason


def test_the_reason_of_a_failure_is_one_line() -> None:
    wrapped = ValueError("Error in call to target 'x'")
    wrapped.__cause__ = LightdetError("no photos in /x")
    assert one_line(wrapped) == "no photos in /x"
    assert one_line(ValueError("a\n  b")) == "ValueError: a b"
    assert len(one_line(ValueError("x" * 999))) == 300
