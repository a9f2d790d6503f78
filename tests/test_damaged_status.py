"""A damaged status.json, or another file of a run: the run is named, and every command of its study goes on."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import stand_in
import sweeps
from reports import QUICK
from study_factory import add_job
from sweeps import Launch

from lightdet.cli.main import main
from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json, read_metrics
from lightdet.report.build import report_study
from lightdet.runs.folder import RunFolder
from lightdet.runs.jobs import read_jobs
from lightdet.study.command import run as study_command

conf = pytest.fixture(sweeps.conf)
launch = pytest.fixture(sweeps.launch)
BAD: dict[str, bytes] = {
    "empty": b"",
    "binary": b"\xff\xfe\x00\x01",
    "list": b"[1]",
    "deep": b"[" * 100_000,
    "deep object": b'{"a":' * 300 + b"1" + b"}" * 300,
    "huge number": b'{"state": "done", "epoch": ' + b"9" * 5000 + b"}",
    "state of another kind": b'{"state": ["done"], "reason": {"a": 1}, "seed": 0.5}',
    "unknown state": b'{"state": "\\u001b[2Jdone"}',
}


def fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def written(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


@pytest.mark.parametrize("name", [*BAD, "fifo", "folder"])
def test_a_damaged_status_blocks_no_command(
    name: str, launch: Launch, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightdet.engine.work.TRAINING", stand_in.NAME)
    assert launch("-m", "head=76,38", "study.name=s") == 0
    folder = RunFolder("runs/s/head-76/s0")
    identity = folder.read_status()["fingerprint"]
    folder.status_path.unlink()
    {"fifo": fifo, "folder": Path.mkdir}.get(name, written(BAD.get(name, b"")))(folder.status_path)
    assert study_command(["s"]) == 1
    assert "1 done, 1 unreadable" in capsys.readouterr().out
    assert study_command(["s", "clean", "--yes"]) == 0 and study_command(["s", "export"]) == 0
    assert main(["report", "s", "--sizes", "none", "--resamples", "100"]) == 1
    if name == "folder":
        return  # in its place no status can be written
    assert launch("-m", "head=76,38,19", "study.name=s") == 1  # it is left alone, as a failed one
    assert stand_in.trained() == ["head-76/s0", "head-38/s0", "head-19/s0"]
    assert study_command(["s", "retry", "--trust-modules"]) == 0
    assert folder.is_done(identity) and stand_in.trained()[-1] == "head-76/s0"


def test_numbers_that_are_none_reach_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = add_job(tmp_path, {"a": "1"}, state="killed")
    status = {"state": "running", "epoch": "three", "epochs": 1e300, "best": "x", "share": [1], "started": 5}
    for text in (json.dumps(status), '{"state": "killed", "epoch": 1, "best": NaN, "share": Infinity}'):
        folder.status_path.write_text(text)
        assert study_command([str(tmp_path)]) == 1
        assert "killed" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["results.json", "detections.json", "scores.json", "splits.json", "metrics.csv"])
@pytest.mark.parametrize("kind", ["fifo", "binary", "list", "deep"])
def test_a_damaged_file_of_a_run_ends_no_report(name: str, kind: str, tmp_path: Path) -> None:
    folder = add_job(tmp_path, {"a": "1"})
    add_job(tmp_path, {"a": "2"})
    (fifo if kind == "fifo" else written(BAD[kind]))(folder.path / name)
    report_study(tmp_path, tmp_path / "out", QUICK)
    assert study_command([str(tmp_path)]) in (0, 1)


def test_a_broken_job_file_is_never_the_baseline(tmp_path: Path) -> None:
    add_job(tmp_path, {"a": "1"})
    add_job(tmp_path, {"a": "2"})
    (tmp_path / "jobs/a-0__s0.json").write_text("{")
    (tmp_path / "jobs/a-00__s0.json").write_text('{"number": -1, "overrides": ["a=0"], "run": "nowhere/s0"}')
    made = report_study(tmp_path, tmp_path / "out", QUICK)
    assert [row.label for row in made.rows] == ["a=1", "a=2", "a=0", "job=a-0__s0"] and made.baseline is made.rows[0]
    assert read_jobs(tmp_path)[-1].name == "a-0__s0"


def test_what_is_no_file_is_not_waited_for_and_not_read_whole(tmp_path: Path) -> None:
    fifo(tmp_path / "a.json")
    for path, most in ((tmp_path / "a.json", 10), (Path("/dev/zero"), 10), (tmp_path, 10), (Path(__file__), 10)):
        with pytest.raises(LightdetError, match=r"no regular file|more than"):
            read_json(path, most)
    (tmp_path / "metrics.csv").write_text("epoch," + "," * 10**6 + "\n0\n")
    with pytest.raises(LightdetError, match="more than 10000 columns"):
        read_metrics(tmp_path / "metrics.csv")
    (tmp_path / "metrics.csv").write_text("epoch,a\n0,1,2,3\n1\n")
    assert read_metrics(tmp_path / "metrics.csv") == [{"epoch": "0", "a": "1"}, {"epoch": "1", "a": ""}]
    (tmp_path / "metrics.csv").write_text("epoch,a\n0," + "1" * 10**6)
    with pytest.raises(LightdetError, match=r"metrics\.csv: not readable as CSV"):
        read_metrics(tmp_path / "metrics.csv")
