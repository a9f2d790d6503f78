"""Copies that a person made of runs: none of them takes over, none is trained in, none is deleted."""

import json
import shutil
from pathlib import Path

import pytest
import stand_in
import sweeps
from sweeps import Launch

from lightdet.runs.folder import RunFolder
from lightdet.study.command import run as study_command

conf = pytest.fixture(sweeps.conf)
launch = pytest.fixture(sweeps.launch)
SWEEP = ("-m", "head=76,38", "study.name=s")


def runs() -> dict[str, str]:
    return {path.stem: json.loads(path.read_text())["run"] for path in Path("runs/s/jobs").glob("*.json")}


@pytest.mark.parametrize("copy", ["head-76/s0-backup", "head-76-copy/s0", "a-copy/s0"])
def test_a_copy_does_not_take_over(copy: str, launch: Launch, capsys: pytest.CaptureFixture[str]) -> None:
    assert launch(*SWEEP) == 0
    noted = runs()
    shutil.copytree("runs/s/head-76/s0", Path("runs/s") / copy)
    capsys.readouterr()
    assert launch(*SWEEP) == 0
    assert runs() == noted and stand_in.trained() == ["head-76/s0", "head-38/s0"]
    assert f"runs/s/{copy} is a copy of runs/s/head-76/s0 and is not used" in capsys.readouterr().out
    assert study_command(["s", "clean", "--yes"]) == 0
    assert f"{copy} is left alone: a copy of runs/s/head-76/s0" in capsys.readouterr().out
    assert RunFolder(Path("runs/s") / copy).is_done()


def test_a_finished_copy_answers_where_no_job_says_which(launch: Launch) -> None:
    """The notes are gone and the first one is unfinished: the finished one counts, and then the place of its status."""
    assert launch(*SWEEP) == 0
    shutil.copytree("runs/s/head-76/s0", "runs/s/a-copy/s0")
    shutil.copytree("runs/s/head-38/s0", "runs/s/b-copy/s0")
    RunFolder("runs/s/head-76/s0").write_status("killed")
    shutil.rmtree("runs/s/jobs")
    assert launch(*SWEEP) == 0
    assert runs() == {"head-76__s0": "a-copy/s0", "head-38__s0": "head-38/s0"}
    assert stand_in.trained() == ["head-76/s0", "head-38/s0"]


def test_a_copy_of_a_study_is_a_study(launch: Launch) -> None:
    assert launch(*SWEEP) == 0
    shutil.copytree("runs/s", "runs/t")
    shutil.copytree("runs/s", "runs/s/t")
    for study in ("s", "t"):
        assert launch("-m", "head=76,38", f"study.name={study}") == 0
    assert stand_in.trained() == ["head-76/s0", "head-38/s0"] and runs()["head-76__s0"] == "head-76/s0"
