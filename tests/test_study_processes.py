"""Sweeps that are interrupted, killed or run beside each other train every run once."""

import os
import signal
import time
from pathlib import Path

import pytest
import stand_in
import sweeps
from sweeps import FOUR_RUNS, SIX, STUDY, Launch, script, states, wait_for

from lightdet.engine.work import HeldElsewhere, work
from lightdet.runs.folder import RunFolder
from lightdet.runs.jobs import read_jobs

conf = pytest.fixture(sweeps.conf)
launch = pytest.fixture(sweeps.launch)


def test_ctrl_c_ends_the_whole_sweep_and_the_same_command_goes_on(conf: Path, launch: Launch) -> None:
    words = ["-m", "head=76,38,19", "study.name=s"]
    first = script(conf, words, HANG_IN="head-38/s0")
    wait_for("hanging")
    os.killpg(first.pid, signal.SIGINT)
    shown, _ = first.communicate(timeout=60)
    assert first.returncode != 0
    assert states("s") == ["done", "killed", "queued"], shown
    assert read_jobs(Path("runs/s"))[1].reason == "interrupted"
    assert launch(*words) == 0
    assert stand_in.trained() == ["head-76/s0", "head-38/s0", "head-38/s0", "head-19/s0"]


def test_a_second_signal_ends_at_once_what_the_first_one_does_not_reach(conf: Path) -> None:
    """Only the parent is signalled, twice, while its child is stopped and answers nothing."""
    first = script(conf, ["-m", "head=76,38,19", "study.name=s"], HANG_IN="head-38/s0")
    wait_for("hanging")
    pid = int(stand_in.TRAINED.read_text().split()[-1])
    os.kill(pid, signal.SIGSTOP)
    first.send_signal(signal.SIGINT)
    time.sleep(2)
    first.send_signal(signal.SIGINT)
    shown, _ = first.communicate(timeout=30)  # alone, the first one takes 35 s
    assert first.returncode != 0, shown
    assert not Path(f"/proc/{pid}").exists()
    assert states("s") == ["done", "killed", "queued"], shown


def test_kill_in_the_middle_then_the_same_command(conf: Path) -> None:
    """Only the parent is killed; the child must not live on and hold the run."""
    words = ["-m", *SIX]
    first = script(conf, words, HANG_IN="attention-cbam__head-19/s0")
    wait_for("hanging")
    first.send_signal(signal.SIGKILL)
    first.wait()
    pid = int(stand_in.TRAINED.read_text().split()[-1])
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert states(STUDY) == ["done", "done", "killed", "queued", "queued", "queued"]
    second = script(conf, words)
    shown, _ = second.communicate(timeout=60)
    assert second.returncode == 0, shown
    assert states(STUDY) == ["done"] * 6
    assert sorted(stand_in.trained()) == sorted([*FOUR_RUNS, "attention-cbam__head-19/s0"])


def test_two_sweeps_at_once_share_the_work_and_both_see_the_end(conf: Path) -> None:
    both = [script(conf, ["-m", *SIX], NAP="0.4") for _ in range(2)]
    outputs = [process.communicate(timeout=90)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sorted(stand_in.trained()) == sorted(FOUR_RUNS)
    assert states(STUDY) == ["done"] * 6


def test_a_run_whose_other_trainer_dies_is_taken_over(conf: Path) -> None:
    other = script(conf, [], HANG_IN="default/s0")
    try:
        wait_for("hanging")
        waiting = script(conf, ["-m", "seed=0,1", "study.name=single"])
        while "default/s1" not in stand_in.trained():
            time.sleep(0.05)
        rows = read_jobs(Path("runs/single"))
        assert (rows[0].state, rows[0].reason) == ("running", f"pid {other.pid}")
        assert waiting.poll() is None
    finally:
        other.kill()
        other.wait()
    shown, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 0 and "trained by another process" in shown
    assert stand_in.trained() == ["default/s0", "default/s1", "default/s0"]


def test_a_single_run_that_another_process_trains_is_refused(conf: Path, launch: Launch) -> None:
    other = script(conf, [], HANG_IN="default/s0")
    try:
        wait_for("hanging")
        with pytest.raises(HeldElsewhere):
            launch()
        with pytest.raises(HeldElsewhere, match=f"pid {other.pid}"):
            work(RunFolder("runs/single/default/s0"), stand_in.NAME)
    finally:
        other.kill()
        other.wait()


def test_side_by_side(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEET", "4")  # each training waits until four have begun
    parallel = ["launcher=parallel", "launcher.workers=4"]
    assert launch("-m", "seed=0,1,2,3", "study.name=s", *parallel) == 0
    monkeypatch.delenv("MEET")
    assert sorted(stand_in.trained()) == [f"default/s{seed}" for seed in range(4)]
    assert all(RunFolder(f"runs/s/default/s{seed}").log_path.exists() for seed in range(4))
    assert launch("-m", "seed=0,1,2,3,4", "study.name=s") == 0
    assert stand_in.trained()[4:] == ["default/s4"], "where it was trained is not part of what it is"
