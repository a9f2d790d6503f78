"""Trials that are hopeless, fail, die or are killed: none is lost and none counts twice."""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

pytest.importorskip("optuna", reason="a search needs Optuna: pip install '.[tune]' in the clone")

import search_standin
import searches
from search_standin import DIED, TRAINED
from searches import TESTS, epochs_trained, found, search, states

from lightdet.config.compose import compose_config
from lightdet.core.errors import Ended, LightdetError
from lightdet.runs.folder import RunFolder
from lightdet.runs.jobs import read_jobs
from lightdet.study.command import run as study_command

conf = pytest.fixture(searches.conf)


def test_hopeless_trials_are_ended_and_counted_as_pruned(
    conf: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lightdet.report.build import report_study
    from lightdet.report.settings import Settings

    monkeypatch.setenv("NAP", "0.08")
    words = ["rate", "study=s", "search.startup=2", "search/sampler=random", "search.pruner.n_warmup_steps=1"]
    assert search(*words, "search.trials=6", "trainer.max_epochs=6") == 0
    pruned = [trial for trial in found("s")["trials"] if trial["state"] == "pruned"]
    assert 0 < len(pruned) < 6 and sum(states("s").values()) == 6
    done = [trial["values"]["metrics.map50_95"] for trial in found("s")["trials"] if trial["state"] == "done"]
    assert max(done) > max(search_standin.quality(float(trial["parameters"]["optimizer.lr"])) for trial in pruned)
    for trial in pruned:
        folder = RunFolder(Path("runs/s") / trial["run"])
        status, name = folder.read_status(), folder.path.parent.name
        assert status["state"] == "pruned" and status["reason"].startswith("pruned at epoch ") and not trial["values"]
        assert not folder.results_path.exists() and not folder.end_path.exists()
        assert sum(line.startswith(f"{name} ") for line in TRAINED.read_text().splitlines()) < 6
    capsys.readouterr()

    assert study_command(["runs/s"]) == 0  # pruned is no failure
    assert "pruned" in capsys.readouterr().out
    assert study_command(["runs/s", "retry"]) == 0  # and nothing to train again
    assert report_study(Path("runs/s"), Path("out"), Settings(sizes=())).troubles == ()
    page, text = Path("out/report.html").read_text(), Path("out/report.md").read_text()
    assert page.count('class="status pruned"') == len(pruned) and "pruned at epoch" in text
    assert f"{len(pruned)} trials were pruned by val/map50_95" in text


def test_a_training_ends_when_its_folder_is_asked_to(tmp_path: Path) -> None:
    import torch
    from pytorch_lightning import Trainer
    from pytorch_lightning.demos.boring_classes import BoringModel

    from lightdet.callback.end_on_request import EndOnRequest

    folder = RunFolder(tmp_path)
    seen: list[int] = []

    class Model(BoringModel):
        def training_step(self, batch: torch.Tensor, batch_idx: int) -> Any:
            seen.append(batch_idx)
            if len(seen) == 3:
                folder.request_end("pruned at epoch 1: for the test")
            return super().training_step(batch, batch_idx)

    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = Trainer(max_epochs=2, accelerator="cpu", callbacks=[EndOnRequest(folder, seconds=0.0)], **quiet)
    with pytest.raises(Ended, match="for the test"):
        trainer.fit(Model())
    assert len(seen) == 3


def test_failures_in_a_row_stop_a_search_and_do_not_count(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["rate", "study=s", "search.trials=4", "search.failures=2"]
    assert search(*words, "search.failures=2", "optimizer.fails=true", "study=broken") == 1
    assert states("broken") == {"failed": 2}
    assert "2 consecutive trials failed" in capsys.readouterr().err
    assert search(*words, "optimizer.fails=true", "study=broken") == 1  # two more, not stopped by the earlier ones
    assert states("broken") == {"failed": 4}


def test_a_training_that_dies_is_tried_again_some_times(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a child process, killed in its second epoch: first twice, so that it succeeds; then always."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")]))
    words = ["rate", "launcher=local", "search.trials=1", "search.failures=1"]
    monkeypatch.setenv("DEATHS", "2")
    assert search(*words, "study=s") == 0
    assert states("s") == {"done": 1} and len(DIED.read_text().splitlines()) == 2
    assert set(epochs_trained().values()) == {1}  # the epochs before its death were not trained again
    monkeypatch.setenv("DEATHS", "99")
    assert search(*words, "study=t", "search.attempts=2") == 1
    assert states("t") == {"failed": 1} and "SIGKILL" in found("t")["trials"][0]["reason"]


def test_other_settings_or_another_folder_are_refused(conf: Path, tmp_path: Path) -> None:
    storage = f"search.storage=sqlite:///{tmp_path}/shared.db"
    words = ["rate", "study=s", storage, "search.trials=1"]
    assert search(*words) == 0
    assert search(*words, "search.trials=2", "trainer.max_epochs=4") == 0  # more trials; a default that is said
    with pytest.raises(LightdetError, match="other fixed settings"):
        search(*words, "trainer.max_epochs=5")
    with pytest.raises(LightdetError, match=r"other search\.parameters"):
        search(*words, "+search.parameters.width=[0.5,1.0]")
    with pytest.raises(LightdetError, match="another folder"):
        search(*words, "runs_dir=elsewhere")
    with pytest.raises(LightdetError, match=r"search\.storage=nothing"):
        search("rate", "study=s", "search.storage=nothing:///")


def worker(conf: Path, words: list[str], **environment: str) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-m", "search_standin", str(conf), *words],
        env={**os.environ, "PYTHONPATH": path, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _amid_a_trial() -> bool:
    """Whether six epochs are trained, and the newest leaves its trial two or more of the five to go."""
    newest = TRAINED.read_text().splitlines() if TRAINED.exists() else []
    return len(newest) >= 6 and int(newest[-1].split()[-1]) <= 2


def test_workers_killed_at_any_moment_lose_no_trial(conf: Path) -> None:
    """Two workers on one file, kill -9 for both while trials run, two new workers: every trial once, to its end."""
    words = ["rate", "study=s", "search.trials=6", "search.startup=2", "trainer.max_epochs=5"]
    words += ["search.pruner.n_warmup_steps=1", "search/sampler=random"]
    first = [worker(conf, words, NAP="0.5") for _ in range(2)]
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not _amid_a_trial():
        assert all(process.poll() is None for process in first), [process.communicate() for process in first]
        time.sleep(0.02)
    time.sleep(random.uniform(0.0, 0.5))  # its two last epochs take a second
    for process in first:
        process.kill()
        process.communicate()
    before = {trial.number: trial for trial in _trials("s")}
    running = [number for number, trial in before.items() if trial.state.name == "RUNNING"]
    assert running  # the machine was caught at work

    for process in [worker(conf, words, NAP="0.03") for _ in range(2)]:
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said
        assert "6 trials:" in said

    after = {trial.number: trial for trial in _trials("s")}
    assert sorted(after) == list(range(6))
    assert {trial.state.name for trial in after.values()} <= {"COMPLETE", "PRUNED"}
    assert all(after[number].params == trial.params for number, trial in before.items() if trial.params)
    assert set(epochs_trained().values()) == {1}  # what was trained before the kill was not trained again
    assert states("s") == Counter(row.state for row in read_jobs(Path("runs/s")))
    assert not any(Path("runs/s/.workers").iterdir())


def _trials(study: str) -> list[Any]:
    import optuna

    return optuna.load_study(study_name=study, storage=f"sqlite:///runs/{study}/search.db").get_trials()


def test_latency_is_measured_once_and_noted_with_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lightdet.study.search import latency

    cfg = compose_config(["width=0.125", "image_size=64"])
    resolved = OmegaConf.create(OmegaConf.to_container(cfg, resolve=False))
    assert isinstance(resolved, DictConfig)
    resolved.num_classes, resolved.classes = 2, ["dent", "scratch"]
    folder = RunFolder(tmp_path)
    OmegaConf.save(resolved, folder.config_path, resolve=True)
    latency.main(str(folder.path), rounds=3, threads=1)
    noted = json.loads((tmp_path / latency.FILE_NAME).read_text())
    assert noted["settings"]["image_size"] == 64 and noted["machine"]["processor"]
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("measured again"))
    assert latency.latency_ms(folder, rounds=3, threads=1) == noted["ms"]["median"] > 0
