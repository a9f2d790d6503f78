"""Links and names that lead out of a study: nothing outside is read, trained in, overwritten or deleted."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest
import stand_in
import sweeps
from study_factory import add_job
from sweeps import Launch

from lightdet.cli.main import main
from lightdet.core.errors import LightdetError
from lightdet.core.files import locked, write_text
from lightdet.core.paths import is_inside, named_inside, refuse_links_out
from lightdet.engine.work import work
from lightdet.runs.folder import RunFolder
from lightdet.runs.jobs import read_jobs
from lightdet.study.command import run as study_command

conf = pytest.fixture(sweeps.conf)
launch = pytest.fixture(sweeps.launch)


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def linked(link: Path, target: Path) -> None:
    if link.is_dir() and not link.is_symlink():
        shutil.rmtree(link)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target, target_is_directory=target.is_dir())


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A finished study beside `mine`, which has a finished row, too."""
    folder = add_job(tmp_path / "victim", {"a": "1"})
    write_text(folder.checkpoints / "last.ckpt", "weights")
    write_text(folder.path / "half.tmp", "half")
    add_job(tmp_path / "mine", {"a": "1"})
    return tmp_path / "victim"


@pytest.mark.parametrize("link", ["b-1", "b-1/s0", "a-1/s0/checkpoints", "a-1/s0/half.tmp"])
def test_clean_deletes_nothing_behind_a_link(link: str, victim: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = content(victim)
    targets = {"b-1": "a-1", "b-1/s0": "a-1/s0", "a-1/s0/checkpoints": "a-1/s0/checkpoints"}
    linked(victim.parent / "mine" / link, victim / targets.get(link, "a-1/s0/half.tmp"))
    assert study_command([str(victim.parent / "mine"), "clean", "--checkpoints", "--yes"]) == 0
    assert content(victim) == before
    if link.startswith("b-1"):
        assert "mine/b-1/s0 is left alone: a link" in capsys.readouterr().out


def test_jobs_behind_a_link_are_no_jobs(victim: Path, tmp_path: Path) -> None:
    before = content(victim)
    linked(tmp_path / "mine/jobs", victim / "jobs")
    for words in ([], ["clean", "--yes"], ["retry"]):
        with pytest.raises(LightdetError, match="mine/jobs: a link that leads out of the study"):
            study_command([str(tmp_path / "mine"), *words])
    assert content(victim) == before


@pytest.mark.parametrize(
    "named", ["../victim/a-1/s0", "/VICTIM/a-1/s0", "b-1/s0", "a-1/..", ".", "a\0b", "a\nb", 3, [1]]
)
def test_a_job_that_names_a_run_outside_is_not_trained(
    named: object, victim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status = victim / "a-1/s0/status.json"
    status.write_text(status.read_text().replace("done", "failed"))
    before = content(victim)
    linked(tmp_path / "mine/b-1", victim / "a-1")
    job = next((tmp_path / "mine/jobs").glob("*.json"))
    said = named.replace("/VICTIM", str(victim)) if isinstance(named, str) else named
    job.write_text(json.dumps({**json.loads(job.read_text()), "run": said}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lightdet.engine.work.TRAINING", stand_in.NAME)
    assert study_command(["mine", "retry"]) == 1
    assert "0 to train" in capsys.readouterr().out and stand_in.trained() == []
    (row,) = read_jobs(tmp_path / "mine")
    assert (row.state, row.run, row.retriable) == ("unreadable", "", False) and job.name in row.reason
    assert content(victim) == before
    with pytest.raises(LightdetError, match="which run belongs to job"):
        study_command(["mine", "clean", "--yes"])


@pytest.mark.parametrize("link", ["checkpoints", "pictures", "log.txt", "deep/er"])
def test_a_run_with_a_link_out_of_it_is_not_trained(link: str, victim: Path, tmp_path: Path) -> None:
    folder = add_job(tmp_path / "mine", {"a": "2"}, state="queued")
    linked(folder.path / link, victim / "a-1/s0/checkpoints")
    with pytest.raises(LightdetError, match=f"{link}: a link that leads out of"):
        work(folder, stand_in.NAME)
    assert folder.read_status()["state"] == "queued"


def test_what_trackers_link_to_does_not_count(tmp_path: Path, victim: Path) -> None:
    linked(tmp_path / "run/wandb/run-1/logs/debug-core.log", victim)
    refuse_links_out(tmp_path / "run", besides=("wandb",))
    with pytest.raises(LightdetError, match="a link that leads out"):
        refuse_links_out(tmp_path / "run")


def test_a_lock_that_is_a_link_empties_no_file(tmp_path: Path, victim: Path) -> None:
    folder = add_job(tmp_path / "mine", {"a": "2"}, state="queued")
    linked(folder.lock_path, victim / "a-1/s0/status.json")
    before = content(victim)
    assert folder.holder() is None
    with pytest.raises(LightdetError, match="a lock is a regular file"), locked(folder.lock_path):
        pass
    assert content(victim) == before


def test_a_row_that_is_a_link_gets_no_run(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    linked(Path("runs/s/head-76"), tmp_path / "elsewhere")
    with pytest.raises(LightdetError, match="head-76/s0 lies outside"):
        launch("-m", "head=76,38", "study.name=s")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_an_export_holds_nothing_from_behind_a_link(victim: Path, tmp_path: Path) -> None:
    linked(tmp_path / "mine/b-1", victim / "a-1")
    linked(tmp_path / "mine/a-1/s0/extra.json", victim / "a-1/s0/results.json")
    assert study_command([str(tmp_path / "mine"), "export", "--out", str(tmp_path / "packed.zip")]) == 0
    with zipfile.ZipFile(tmp_path / "packed.zip") as archive:
        assert not [name for name in archive.namelist() if "b-1" in name or "extra" in name]


def test_the_folder_of_a_study_may_be_a_link_itself(victim: Path, tmp_path: Path) -> None:
    linked(tmp_path / "alias", victim)
    assert main(["study", str(tmp_path / "alias")]) == 0
    assert [job.state for job in read_jobs(tmp_path / "alias")] == ["done"]


def test_where_a_path_is_counts_and_not_what_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "study/row").mkdir(parents=True)
    linked(tmp_path / "study/out", tmp_path)
    linked(tmp_path / "study/in", tmp_path / "study/row")
    linked(tmp_path / "study/round", tmp_path / "study/round")
    assert is_inside(tmp_path / "study/in/x", tmp_path / "study") and named_inside(tmp_path / "study", "in/x", "f")
    for name in ("out/x", "../x", "in/../../x", "/etc", "", "a\tb"):
        with pytest.raises(LightdetError, match=r"^f: "):
            named_inside(tmp_path / "study", name, "f")
    assert RunFolder(tmp_path / "study/round").holder() is None
