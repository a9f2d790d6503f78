"""`lightdet study`: lists, retries, cleans and exports from the files alone."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest
import stand_in
import sweeps
from sweeps import FILES, Launch, states

from lightdet.core.errors import LightdetError
from lightdet.core.files import write_text
from lightdet.runs.folder import RunFolder
from lightdet.runs.jobs import read_jobs
from lightdet.study.command import run as study_command

conf = pytest.fixture(sweeps.conf)
launch = pytest.fixture(sweeps.launch)


def test_the_study_command_shows_retries_cleans_and_exports(
    launch: Launch, conf: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIL_IN", "attention-none/s0")
    assert launch("-m", "attention=cbam,none", "study.name=s") == 1
    capsys.readouterr()
    assert study_command(["s"]) == 1
    shown = capsys.readouterr().out
    assert "2 jobs, 1 done, 1 failed" in shown and "FAILED attention-none__s0: ValueError: loss is nan" in shown

    (conf / "attention" / "cbam.yaml").write_text(FILES["attention/cbam.yaml"] + "ratio: 8\n")
    monkeypatch.delenv("FAIL_IN")
    assert launch("-m", "attention=cbam,none", "study.name=s", "study.retry=true") == 0
    (Path("runs/s/attention-none/s0") / "results.json.99.tmp").write_text("{")
    assert study_command(["s", "clean"]) == 0
    assert Path("runs/s/attention-cbam/s0").exists(), "only listed"
    assert study_command(["s", "clean", "--yes"]) == 0
    assert not Path("runs/s/attention-cbam/s0").exists() and not list(Path("runs").rglob("*.tmp"))
    assert states("s") == ["done", "done"]
    row = next(Path("runs/s/jobs").glob("*.json"))
    told = row.read_text()
    row.write_text("")
    with pytest.raises(LightdetError, match=f"which run belongs to job {row.stem} is not known"):
        study_command(["s", "prune", "--yes"])
    row.write_text(told)

    assert study_command(["s", "export", "--out", "packed.zip"]) == 0
    with zipfile.ZipFile("packed.zip") as archive:
        archive.extractall("unpacked")
    assert [row.metric("map50") for row in read_jobs(Path("unpacked/s"))] == [0.5, 0.5]
    assert study_command(["runs/s"]) == 0
    with pytest.raises(LightdetError, match=r"nosuch: no study there .*there are runs/s"):
        study_command(["nosuch"])


def test_retry_trains_what_is_missing_from_the_files_alone(
    launch: Launch, monkeypatch: pytest.MonkeyPatch, conf: Path
) -> None:
    monkeypatch.setenv("FAIL_IN", "head-38/s0")
    assert launch("-m", "head=76,38", "study.name=s") == 1
    monkeypatch.delenv("FAIL_IN")
    monkeypatch.setattr("lightdet.engine.work.TRAINING", stand_in.NAME)
    shutil.rmtree(conf)
    assert study_command(["s", "retry", "--trust-modules", "launcher=parallel"]) == 0
    assert stand_in.trained() == ["head-76/s0", "head-38/s0", "head-38/s0"]


def test_a_run_whose_results_are_gone_is_measured_again(
    launch: Launch, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where a person deletes a broken file, which is what its row asks for."""
    assert launch("-m", "seed=0,1", "study.name=s") == 0
    folder = RunFolder("runs/s/default/s0")
    write_text(folder.checkpoints / "last.ckpt", "weights")
    folder.results_path.unlink()
    assert study_command(["s", "clean", "--checkpoints", "--yes"]) == 0
    assert (folder.checkpoints / "last.ckpt").exists(), "from it the run is measured again"
    monkeypatch.setattr("lightdet.engine.work.TRAINING", stand_in.NAME)
    assert study_command(["s", "retry", "--trust-modules"]) == 0
    folder.results_path.unlink()
    assert launch("-m", "seed=0,1", "study.name=s") == 0
    assert stand_in.trained() == ["default/s0", "default/s1", "default/s0", "default/s0"]
    assert "2 jobs, 2 trainings: 1 done, 1 to train" in capsys.readouterr().out


def test_a_run_that_is_gone_is_left_to_its_command(
    launch: Launch, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert launch("-m", "seed=0,1", "study.name=s") == 0
    shutil.rmtree("runs/s/default/s0")
    monkeypatch.setattr("lightdet.engine.work.TRAINING", stand_in.NAME)
    capsys.readouterr()
    assert study_command(["s", "retry"]) == 1
    shown = capsys.readouterr().out
    assert "MISSING default__s0: no status.json in runs/s/default/s0; the command of its sweep trains it again" in shown
    assert "0 to train" in shown and "trains them again" not in shown
    assert launch("-m", "seed=0,1", "study.name=s") == 0
    assert stand_in.trained() == ["default/s0", "default/s1", "default/s0"]


def test_a_thousand_finished_rows_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = tmp_path / "big"
    for seed in range(1000):
        folder = RunFolder(study / "default" / f"s{seed}")
        folder.path.mkdir(parents=True)
        folder.status_path.write_text(json.dumps({"state": "done", "seed": seed}))
        folder.results_path.write_text(json.dumps({"metrics": {"map50": 0.5, "map50_95": 0.3}, "epochs": 3}))
        job = {"overrides": [f"seed={seed}"], "seed": seed, "number": seed, "run": f"default/s{seed}", "choices": {}}
        (study / "jobs").mkdir(exist_ok=True)
        (study / "jobs" / f"default__s{seed}.json").write_text(json.dumps(job))
    assert study_command([str(study)]) == 0
    assert "1000 jobs, 1000 done" in capsys.readouterr().out


def test_retry_trains_the_others_where_nobody_trusts_the_module_of_one(
    launch: Launch, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAIL_IN", "attention-none/s0 attention-cbam/s0")
    assert launch("-m", "attention=cbam,none", "study.name=s") == 1
    monkeypatch.delenv("FAIL_IN")
    monkeypatch.setattr("lightdet.engine.work.TRAINING", stand_in.NAME)
    assert study_command(["s", "retry"]) == 1
    assert "not trained: " in capsys.readouterr().err
    assert states("s") == ["failed", "done"]
