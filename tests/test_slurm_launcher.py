"""launcher=slurm: jobs through submitit. Its local executor is really run; a real Slurm is asked for by hand
(docs/launchers.md), so what Slurm says is put into its mouth here."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from launcher_standin import claim

from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json, write_json
from lightdet.runs.folder import RunFolder
from lightdet.study.launcher import slurm
from lightdet.study.launcher.slurm_job import REQUEUED, Training, end_training

submitit = pytest.importorskip("submitit", reason="submitit is not installed: pip install '.[slurm]' in the clone")
TRAIN = "launcher_standin:train"
HERE = Path(__file__).resolve().parent


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses, and a stand-in that the jobs can import."""
    monkeypatch.setattr(slurm, "LOOK_AGAIN", 0.2)
    monkeypatch.setattr(slurm, "QUERY_AGAIN", 0.2)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE.parent), str(HERE), os.environ.get("PYTHONPATH", "")]))


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of programs named sbatch, srun, squeue and scancel; they note their arguments in calls.txt."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sbatch", "srun", "squeue", "scancel"):
        script = folder / name
        script.write_text(
            f'#!/bin/sh\necho {name} "$@" >> {folder}/calls.txt\ncat {folder}/{name}.txt 2>/dev/null\ntrue\n'
        )
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def began(folder: RunFolder) -> list[str]:
    return (folder.path / "began.csv").read_text().split()


def test_local_jobs_train_and_a_failure_leaves_its_traceback(tmp_path: Path) -> None:
    folders = [claim(tmp_path / "study", seed) for seed in (1, 13, 2)]
    slurm.Slurm(cluster="local", cpus=1, at_once=2).run(folders, TRAIN, stop_on_error=False)
    states = [folder.read_status()["state"] for folder in folders]
    assert states == ["done", "failed", "done"]
    assert folders[2].read_results() == {"schema": 2, "task": "detection", "metrics": {"map50": 0.7}, "steps": 3}
    assert "thirteen" in folders[1].traceback_path.read_text()
    assert Path(read_json(folders[0].path / "job.json")["log"]).is_relative_to(tmp_path / "study" / "submitit")


def test_time_is_up_a_job_is_requeued_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """submitit's local executor starts the same job again after the signal that Slurm sends before a time limit."""
    monkeypatch.setenv("NAP", "0.1")
    monkeypatch.setenv("STEPS", "40")
    folder = claim(tmp_path / "study", 1)

    executor = submitit.AutoExecutor(tmp_path / "study" / "submitit" / "%j", cluster="local")
    executor.update_parameters(timeout_min=5)
    started = executor.submit(Training(folder.path, TRAIN, 1, None))
    until = time.monotonic() + 60
    while not (folder.checkpoints / "last.ckpt").exists() and time.monotonic() < until:
        time.sleep(0.05)
    for child in children(started._process.pid):  # the controller passes the signal on to its task, and so do we
        os.kill(child, signal.SIGUSR2)
    assert started.result() == "done"
    assert len(began(folder)) == 2
    assert 0 < int(began(folder)[1]) < 40
    assert folder.read_results()["steps"] == 40
    assert "Requeued" in started.stdout() + started.stderr()


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_without_sbatch_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(LightdetError, match="there is no sbatch here"):
        slurm.Slurm()


@pytest.mark.parametrize("wrong", [{"cluster": "pbs"}, {"minutes": 0}, {"cpus": 0.5}, {"gpus": -1}, {"at_once": 0}])
def test_wrong_settings_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises(LightdetError, match=f"launcher.{next(iter(wrong))}="):
        slurm.Slurm(**{"cluster": "local", **wrong})  # type: ignore[arg-type]


def test_what_sbatch_is_told(answers: Path, tmp_path: Path) -> None:
    (answers / "sbatch.txt").write_text("Submitted batch job 77\n")
    folders = [claim(tmp_path / "study", seed) for seed in (1, 2)]
    settings = {"minutes": 30, "cpus": 3, "gpus": 1, "memory_gb": 8, "partition": "gpu", "at_once": 5}
    launcher = slurm.Slurm(**settings, sbatch={"account": "vision"}, setup=["module load cuda"])  # type: ignore[arg-type]
    launcher.run(folders, TRAIN, stop_on_error=False)  # squeue knows nothing of the jobs: that is an end as well
    scripts = list((tmp_path / "study" / "submitit").rglob("*.sh"))
    told = {line for script in scripts for line in script.read_text().splitlines()}
    assert {
        "#SBATCH --account=vision",
        "#SBATCH --array=0-1%2",
        "#SBATCH --cpus-per-task=3",
        "#SBATCH --gpus-per-node=1",
        "#SBATCH --mem=8GB",
        "#SBATCH --partition=gpu",
        "#SBATCH --requeue",
        "#SBATCH --signal=USR2@120",
        "#SBATCH --time=30",
        "module load cuda",
    } <= told
    assert "--cpus-per-task=3 " in next(line for line in told if line.startswith("srun"))
    assert [folder.read_status()["state"] for folder in folders] == ["killed", "killed"]
    assert "job 77_1 ended without a message" in folders[1].read_status()["reason"]


def test_the_same_command_waits_for_the_jobs_of_the_first(answers: Path, tmp_path: Path) -> None:
    """Still in Slurm's queue: not submitted again. Cancelled there: noted, with what Slurm says."""
    folder = claim(tmp_path / "study", 1)
    write_json(folder.path / "job.json", {"job": "77_1"})
    (answers / "squeue.txt").write_text("77_0|RUNNING\n77_1|PENDING\n")
    threading.Timer(1.0, lambda: (answers / "squeue.txt").write_text("77_1|CANCELLED\n")).start()
    slurm.Slurm().run([folder], TRAIN, stop_on_error=False)
    status = folder.read_status()
    assert (status["state"], status["reason"]) == ("killed", "its job 77_1 is CANCELLED")
    assert "sbatch" not in (answers / "calls.txt").read_text()


def test_a_job_for_a_run_that_is_done_or_being_trained_ends_at_once(tmp_path: Path) -> None:
    done, held = claim(tmp_path / "study", 1), claim(tmp_path / "study", 2)
    done.write_results({"steps": 3})
    done.write_status("done")
    script = "import sys, time; from lightdet.runs.folder import RunFolder\n"
    script += "with RunFolder(sys.argv[1]).lock(): print(flush=True), time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", script, str(held.path)], stdout=subprocess.PIPE, cwd=HERE.parent)
    try:
        assert holder.stdout is not None and holder.stdout.readline()
        assert Training(done.path, TRAIN, 1, None)() == "done"
        assert Training(held.path, TRAIN, 1, None)() == "queued"
        end_training(held, 5.0)
        assert holder.wait(5) == -signal.SIGINT or holder.returncode == 1
    finally:
        holder.kill()
        holder.wait()
    assert Training(held.path, TRAIN, 1, None).checkpoint().function.path == held.path
    assert held.read_status()["state"] == "queued"
    held.write_status("running")
    Training(held.path, TRAIN, 1, None).checkpoint()
    assert (held.read_status()["state"], held.read_status()["reason"]) == ("queued", REQUEUED)
