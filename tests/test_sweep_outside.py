"""A sweep that meets a timeout, a closed pipe, a full disk or a vanished terminal is whole after the same command."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sweeps
from sweeps import ROOT, beside, states, wait_for

from lightdet.runs.folder import RunFolder
from lightdet.runs.jobs import read_jobs

conf = pytest.fixture(sweeps.conf)
pytestmark = pytest.mark.slow  # each begins the processes of two sweeps
WORDS = ["-m", "head=76,38,19", "study.name=s"]
SCRIPT = """
import sys
import stand_in
from lightdet.cli import main, train
from lightdet.config import conf_folder
from lightdet.metric import detection_text

if __name__ == "__main__":
    conf_folder.__file__ = sys.argv.pop(1)
    detection_text.metrics_text = str
    train.TRAINING, train.run.__defaults__ = stand_in.NAME, (stand_in.NAME,)
    sys.exit(main.program("train"))
"""


def command(conf: Path) -> list[str]:
    Path("launch.py").write_text(SCRIPT)
    return [sys.executable, "launch.py", beside(conf), *WORDS]


def environment(**more: str) -> dict[str, str]:
    path = f"{ROOT}{os.pathsep}{ROOT / 'tests'}"
    return {**os.environ, "PYTHONPATH": path, "GLIBC_TUNABLES": "", **more}


def finish(conf: Path) -> None:
    """The same command again; every run was left in a state from which it goes on."""
    assert {"failed", "unreadable"}.isdisjoint(states("s"))
    done = subprocess.run(
        command(conf), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=90
    )
    assert done.returncode == 0, done.stdout
    assert states("s") == ["done"] * 3
    assert not list(Path("runs").rglob("*.tmp"))


def ended(process: subprocess.Popen[bytes]) -> bool:
    """Its runs are held by nobody any more."""
    process.wait(60)
    deadline = time.monotonic() + 20
    while any(RunFolder(path.parent).holder() for path in Path("runs").rglob("status.json")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return True


def test_under_a_timeout(conf: Path) -> None:
    first = subprocess.Popen(
        ["timeout", "--foreground", "600", *command(conf)],
        env=environment(HANG_IN="head-38/s0"),
        start_new_session=True,
    )
    wait_for("hanging")
    first.send_signal(signal.SIGTERM)  # what `timeout` does when the time is over
    assert ended(first) and states("s") == ["done", "killed", "queued"]
    assert read_jobs(Path("runs/s"))[1].reason.startswith("interrupted")
    assert Path("runs/s/table.md").exists(), "it ended in order"
    finish(conf)


def test_with_a_reader_that_ends_all_is_trained_at_once(conf: Path) -> None:
    shell = subprocess.Popen(["bash", "-c", '"$@" | head -1', "-", *command(conf)], env=environment())
    assert shell.wait(90) == 0
    assert states("s") == ["done"] * 3
    finish(conf)


def test_in_a_terminal_that_vanishes(conf: Path) -> None:
    pid, master = pty.fork()
    if not pid:
        os.execve(sys.executable, command(conf), environment(HANG_IN="head-38/s0"))
    wait_for("hanging")
    os.close(master)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
    while RunFolder("runs/s/head-38/s0").holder():
        time.sleep(0.05)
    assert states("s") == ["done", "killed", "queued"]
    finish(conf)


def test_on_a_disk_that_is_full(conf: Path) -> None:
    """The middle one of three fills it to the last byte."""
    Path("runs").mkdir()
    mounted = "mount -t tmpfs -o size=1m none runs"
    if subprocess.run(["unshare", "-rm", "bash", "-c", mounted], check=False, capture_output=True).returncode:
        pytest.skip("this system lets nobody mount a disk of a certain size")
    twice = f'{mounted}; FILL_IN=head-38/s0 "$@" 2>&1; cat runs/s/*/s0/status.json; rm runs/s/*/s0/ballast; "$@"'
    done = subprocess.run(
        ["unshare", "-rm", "bash", "-c", twice, "-", *command(conf)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in done.stdout and '"failed"' not in done.stdout
    assert done.returncode == 0, done.stdout
    print(done.stdout)
    assert "the disk is full" in done.stdout
