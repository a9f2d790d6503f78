"""launcher=ray on a real cluster of two nodes, one of which is killed; needs the package ray."""

import importlib.util
import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lightdet.core.errors import LightdetError
from lightdet.runs.folder import RunFolder
from lightdet.study.launcher.ray import Ray

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="ray is not installed: pip install '.[ray]' in the clone"
)
HERE = Path(__file__).resolve().parent
# Three runs on two nodes; the second node dies when both have sent a checkpoint.
SCRIPT = """
import threading, time
from pathlib import Path
from launcher_standin import claim
from lightdet.study.launcher.ray import Ray
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
node = cluster.add_node(num_cpus=1)
study = Path("study")
folders = [claim(study, seed) for seed in (1, 2, 13)]

def kill():
    while len(list(study.glob("*/*/checkpoints/last.ckpt"))) < 2:
        time.sleep(0.1)
    cluster.remove_node(node, allow_graceful=False)

threading.Thread(target=kill, daemon=True).start()
launcher = Ray(cluster.address, modules=["lightdet", "launcher_standin"], send_seconds=1)
launcher.run(folders, "launcher_standin:train", stop_on_error=False)
"""


@pytest.mark.slow
def test_a_node_that_dies_costs_no_run(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(secrets.token_hex(32))
    own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token"), "RAY_worker_niceness": "0"}
    path = os.pathsep.join([str(HERE.parent), str(HERE), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, **own, "PYTHONPATH": path, "STEPS": "80", "NAP": "0.2"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, env=environment, text=True, capture_output=True, timeout=400
    )
    assert done.returncode == 0, done.stdout + done.stderr
    one, two, thirteen = (RunFolder(tmp_path / "study" / "row" / f"s{seed}") for seed in (1, 2, 13))
    of_task = {"schema": 2, "task": "detection"}
    assert one.read_results() == {"metrics": {"map50": 0.6}, "steps": 80, **of_task}
    assert two.read_results() == {"metrics": {"map50": 0.7}, "steps": 80, **of_task}
    assert (one.pictures / "a.png").read_text() == "picture"
    begins = [(folder.path / "began.csv").read_text().split() for folder in (one, two)]
    assert sorted(len(firsts) for firsts in begins) == [1, 2], done.stdout
    assert all(int(firsts[-1]) > 0 for firsts in begins if len(firsts) == 2)
    assert "thirteen" in thirteen.read_status()["reason"]
    assert "ValueError" in thirteen.traceback_path.read_text()
    assert all(folder.holder() is None for folder in (one, two, thirteen))


def test_a_cluster_that_is_not_there_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(tmp_path / "study" / "row" / "s0")
    folder.write_status("queued")
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        free = f"127.0.0.1:{nobody.getsockname()[1]}"
        for address, said in (("auto", "belongs to no Ray cluster"), (free, "answers there"), ("cluster", "HOST:PORT")):
            with pytest.raises(LightdetError, match=said):
                Ray(address).run([folder], "a:b", stop_on_error=False)
    assert folder.read_status()["state"] == "queued"
    assert folder.holder() is None


@pytest.mark.parametrize("wrong", [{"cpus": -1}, {"gpus": "one"}, {"at_once": 0}, {"retries": True}])
def test_wrong_settings_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises(LightdetError, match=f"launcher.{next(iter(wrong))}="):
        Ray(**wrong)  # type: ignore[arg-type]


def test_a_study_that_is_done_needs_no_cluster(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "study" / "row" / "s0")
    folder.write_results({"steps": 3})
    folder.write_status("done")
    Ray("nowhere:1").run([folder], "a:b", stop_on_error=False)
