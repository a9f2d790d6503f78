"""A study is what its files say: rows asked for; trainings shared, skipped, continued, failed; the table."""

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import stand_in
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from lightdet.cli.train import run as train_command
from lightdet.config.conf_folder import conf_folder
from lightdet.config.ineffective import ineffective_overrides
from lightdet.core.errors import LightdetError, one_line
from lightdet.core.files import read_json, write_text
from lightdet.engine.work import HeldElsewhere, work
from lightdet.runs.commands import read_definition
from lightdet.runs.folder import RunFolder
from lightdet.runs.jobs import read_jobs
from lightdet.runs.names import study_name, sweep_slug
from lightdet.runs.table import cells, to_csv, to_markdown, to_text
from lightdet.study.command import run as study_command

ROOT = Path(__file__).resolve().parent.parent
SIX = ["attention=cbam,none", "head=76,38,19"]
STUDY = "attention-cbam-none__head-76-38-19"
FOUR_RUNS = [f"attention-{name}/s0" for name in ("cbam__head-76", "cbam__head-38", "cbam__head-19", "none__head-76")]
FILES = {
    "attention/cbam.yaml": "# @package model.network\nattention: {_target_: some.Cbam}\nhead: ${head}\n",
    "attention/none.yaml": "# @package model.network\nattention: null\nhead: none\n",
    "model/small.yaml": "# @package _global_\ndefaults: [/attention: cbam, _self_]\nhead: 76\nwidth: 0.25\n"
    "model: {network: {width: '${width}'}}\n",
    "logger/none.yaml": "{}\n",
    "logger/other.yaml": "mode: offline\n",
}
SCRIPT = """
import sys
import stand_in
from lightdet.cli.train import run
from lightdet.config import conf_folder
from lightdet.metric import detection_text

if __name__ == "__main__":
    conf_folder.__file__ = sys.argv[1]
    detection_text.metrics_text = str  # the stand-in has fewer numbers
    code = run(sys.argv[2:], stand_in.NAME)
    assert "torch" not in sys.modules
    sys.exit(code)
"""


def beside(conf: Path) -> str:
    """Where the module that looks for conf/ would lie to see this one."""
    return str(conf.parent / "lightdet" / "config" / "conf_folder.py")


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small set of options under the project's own `hydra:` section, in an empty working directory."""
    own = OmegaConf.load(conf_folder() / "train.yaml")
    assert isinstance(own, DictConfig)
    quiet = [entry for entry in own.defaults if "hydra" in str(entry)]
    main = {
        "defaults": [{"model": "small"}, {"logger": "none"}, {"launcher": "local"}, *quiet, "_self_"],
        **{"seed": 0, "study": own.study, "runs_dir": "runs", "image_size": 224, "hydra": own.hydra},
        **{"optimizer": {"lr": 0.1}, "trainer": {"max_epochs": 2}, "data": {"num_workers": 0}},
    }
    folder = tmp_path / "conf"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    shutil.copytree(conf_folder() / "launcher", folder / "launcher")
    OmegaConf.save(OmegaConf.create(main), folder / "train.yaml")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return folder


Launch = Callable[..., int]


@pytest.fixture
def launch(conf: Path, monkeypatch: pytest.MonkeyPatch) -> Launch:
    """`launch(*words)`: the command `lightdet train WORDS` under the options of `conf`."""

    def run(*words: str, folder: Path = conf) -> int:
        with monkeypatch.context() as patch:
            patch.setattr("lightdet.config.conf_folder.__file__", beside(folder))
            patch.setattr("lightdet.metric.detection_text.metrics_text", str)  # the stand-in has fewer numbers
            return train_command(words, stand_in.NAME)

    return run


def script(conf: Path, words: list[str], **environment: str) -> subprocess.Popen[str]:
    """The same in a process of its own, with a group of its own, which can be killed."""
    Path("launch.py").write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, "launch.py", beside(conf), *words],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for(path: str) -> None:
    deadline = time.monotonic() + 60
    while not Path(path).exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.05)


def states(study: str) -> list[str]:
    return [row.state for row in read_jobs(Path("runs") / study)]


# ---------------------------------------------------------------- rows, runs and the table


def test_six_rows_are_four_trainings_and_a_second_time_none(launch: Launch, capsys: pytest.CaptureFixture[str]) -> None:
    assert launch("-m", *SIX) == 0
    assert stand_in.trained() == FOUR_RUNS
    rows = read_jobs(Path("runs") / STUDY)
    assert [(row.choices["attention"], row.choices["head"]) for row in rows] == [
        (attention, head) for attention in ("cbam", "none") for head in ("76", "38", "19")
    ]
    assert {row.run for row in rows[3:]} == {"attention-none__head-76/s0"}
    assert [bool(row.shared_with) for row in rows] == [False] * 4 + [True] * 2
    assert all(row.state == "done" and row.metric("map50") == 0.5 for row in rows)
    assert rows[0].options["head"] == "76" and rows[3].options["head"] == "-", "no attention, no grid"
    job = read_json(Path("runs") / STUDY / "jobs" / "attention-none__head-38__s0.json")
    assert job["overrides"] == ["attention=none", "head=38"]
    assert job["choices"]["attention"] == "none" and job["choices"]["model"] == "small"
    assert "launcher" not in job["choices"] and "study" not in job["choices"]
    capsys.readouterr()

    written = {path: path.stat().st_mtime_ns for path in (Path("runs") / STUDY).rglob("*.json")}
    assert launch("-m", *SIX) == 0
    assert stand_in.trained() == FOUR_RUNS
    assert "6 jobs, 4 trainings: 4 done, 0 to train" in capsys.readouterr().out
    assert written == {path: path.stat().st_mtime_ns for path in (Path("runs") / STUDY).rglob("*.json")}
    text, markdown, csv_text = to_text(rows), to_markdown(rows), to_csv(rows)
    assert markdown == (Path("runs") / STUDY / "table.md").read_text()
    assert markdown.count("\n| cbam | ") == markdown.count("\n| none | ") == 3
    assert len(text.splitlines()) == len(markdown.splitlines()) == 6 + 2 == len(csv_text.splitlines()) + 1
    assert max(map(len, text.splitlines())) < 100
    assert [line.endswith("  = head=76") for line in text.splitlines()[2:]] == [False] * 4 + [True] * 2
    assert csv_text.splitlines()[1] == "cbam,76,0,0.6,,0.5,0.25,1540000,done,attention-cbam__head-76/s0,,"


def test_hydra_leaves_no_litter(launch: Launch) -> None:
    launch("-m", "attention=cbam,none")
    launch()
    assert {path.name for path in Path().iterdir()} == {"runs", "trained.txt"}
    assert {path.name for path in Path("runs").iterdir()} == {"attention-cbam-none", "single"}
    study = {path.name for path in Path("runs/attention-cbam-none").iterdir()}
    assert study == {".lock", "jobs", "study.json", "table.md", "table.csv", "attention-cbam", "attention-none"}
    run = {path.name for path in Path("runs/single/default/s0").iterdir()}
    assert run == {".lock", "request.yaml", "config.yaml", "overrides.yaml", "status.json", "results.json"}


def test_a_changed_definition_adds_and_never_overwrites(launch: Launch, conf: Path) -> None:
    launch("-m", "attention=cbam,none")
    (conf / "attention" / "cbam.yaml").write_text(FILES["attention/cbam.yaml"] + "ratio: 8\n")
    launch("-m", "attention=cbam,none")
    assert len(stand_in.trained()) == 3
    study = Path("runs/attention-cbam-none")
    row = read_jobs(study)[0]
    assert row.run != "attention-cbam/s0" and row.run.startswith("attention-cbam-")
    assert "ratio: 8" in RunFolder(study / row.run).config_path.read_text()
    assert "ratio: 8" not in RunFolder(study / "attention-cbam/s0").config_path.read_text()
    (conf / "attention" / "cbam.yaml").write_text(FILES["attention/cbam.yaml"])
    launch("-m", "attention=cbam,none")
    assert len(stand_in.trained()) == 3, "the first definition is found again"
    launch("-m", "attention=none", "seed=0,1", "study.name=attention-cbam-none")
    assert len(read_jobs(study)) == 3, "another command adds its rows"
    commands = [command["overrides"] for command in read_definition(study)]
    assert commands[0] == ["attention=cbam,none"] and len(commands) == 2


def test_a_later_command_takes_no_place_from_an_earlier_one(launch: Launch) -> None:
    """The first row is the baseline of a report, so it has to stay the first."""

    def order() -> list[str]:
        return [row.choices["attention"] + row.seed for row in read_jobs(Path("runs/s"))]

    launch("-m", "attention=none", "seed=1,2", "study.name=s")
    launch("-m", "attention=cbam,none", "seed=0", "study.name=s")
    assert order() == ["none1", "none2", "cbam0", "none0"]
    (Path("runs/s/jobs") / "attention-none__s2.json").write_text("half")
    launch("-m", "attention=none", "seed=0,1,2,3", "study.name=s")
    assert order() == ["none1", "cbam0", "none0", "none2", "none3"], "a broken row is written again, behind the others"


def test_paths_are_found_where_the_run_is_trained(launch: Launch, conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request keeps `${oc.env:...}`, so that another machine reads its own; the run is the same."""
    text = (conf / "train.yaml").read_text()
    (conf / "train.yaml").write_text(f"{text}\nplace: {{root: '${{oc.env:PLACE,here}}/data'}}\n")
    launch("-m", "seed=0,1", "study.name=s")
    folder = RunFolder("runs/s/default/s0")
    assert "${oc.env:PLACE,here}" in folder.request_path.read_text()
    assert OmegaConf.load(folder.config_path).place.root == "here/data"
    monkeypatch.setenv("PLACE", "elsewhere")
    launch("-m", "seed=0,1", "study.name=s")
    assert len(stand_in.trained()) == 2


def test_seeds_get_a_mean_and_a_spread(launch: Launch) -> None:
    assert launch("-m", "attention=cbam,none", "seed=0,1") == 0
    runs = ["attention-cbam/s0", "attention-cbam/s1", "attention-none/s0", "attention-none/s1"]
    assert stand_in.trained() == runs
    table = cells(read_jobs(Path("runs/attention-cbam-none__seed-0-1")))
    assert table[0] == ["attention", "seed", "dent", "scratch", "mAP50", "mAP50-95", "params", "run"]
    means = ["0.650 ± 0.071", "-", "0.550 ± 0.071", "0.275 ± 0.035"]
    assert ["cbam", "mean ± sd (2)", *means, "1.54 M", "2 seeds"] in table


def test_a_training_counts_once_in_a_mean_however_often_it_was_asked_for(launch: Launch) -> None:
    """The default, typed or not, is one row of choices and one training for each seed."""
    assert launch("-m", "attention=cbam", "seed=0,1", "study.name=s") == 0
    assert launch("-m", "attention=cbam", "head=76", "seed=0", "study.name=s") == 0
    rows = read_jobs(Path("runs/s"))
    assert len(rows) == 3 and len(stand_in.trained()) == 2
    means = ["0.650 ± 0.071", "-", "0.550 ± 0.071", "0.275 ± 0.035"]
    assert ["cbam", "76", "mean ± sd (2)", *means, "1.54 M", "2 seeds"] in cells(rows)
    assert "| cbam | 76 | mean ± sd (2) |" in Path("runs/s/table.md").read_text()


# ---------------------------------------------------------------- what goes wrong


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


# ---------------------------------------------------------------- lightdet study


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
    assert study_command(["s", "retry", "launcher=parallel"]) == 0
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
    assert study_command(["s", "retry"]) == 0
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
    assert "MISSING default__s0: no status.json in runs/s/default/s0; the command of its sweep trains it anew" in shown
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


# ---------------------------------------------------------------- overrides without effect, names


def composer(folder: Path) -> Callable[[list[str]], DictConfig]:
    def build(overrides: list[str]) -> DictConfig:
        with initialize_config_dir(str(folder), version_base="1.3"):
            return compose("train", overrides, return_hydra_config=True)

    return build


@pytest.mark.parametrize(
    "overrides",
    [
        ["attention=none"],
        ["attention=cbam", "head=76"],  # what the default says anyway
        ["head=38"],
        ["optimizer.lr=0.1"],
        ["study.name=mine", "logger=other", "data.num_workers=3", "runs_dir=x", "seed=4"],
        ["width=0.5", "attention=none"],
    ],
)
def test_overrides_that_act_or_state_the_default_pass(conf: Path, overrides: list[str]) -> None:
    assert ineffective_overrides(composer(conf), overrides) == []


def test_an_override_without_effect_is_named_with_the_reason(conf: Path) -> None:
    assert ineffective_overrides(composer(conf), ["attention=none", "head=38"]) == [
        "head=38 changes nothing beside attention=none: without it head=76 gives the same training; leave it out"
    ]
    (line,) = ineffective_overrides(composer(conf), ["+typo=3"])
    assert line.startswith("+typo=3 changes nothing")


def test_the_projects_own_options_share_the_run_without_attention(launch: Launch) -> None:
    assert launch("-m", "attention=cbam,none", "head=76,38", folder=conf_folder()) == 0
    assert stand_in.trained() == [
        f"attention-{name}/s0" for name in ("cbam__head-76", "cbam__head-38", "none__head-76")
    ]


def test_the_projects_own_options_refuse_a_grid_without_attention() -> None:
    (line,) = ineffective_overrides(composer(conf_folder()), ["attention=none", "head=38"])
    assert line.startswith("head=38 changes nothing beside attention=none")
    assert ineffective_overrides(composer(conf_folder()), ["attention=none"]) == []


def test_a_single_run_refuses_an_override_without_effect(launch: Launch) -> None:
    with pytest.raises(LightdetError, match="head=38 changes nothing"):
        launch("attention=none", "head=38")
    assert not stand_in.trained() and not Path("runs").exists()


def test_an_impossible_choice_stops_the_sweep_at_the_door(launch: Launch) -> None:
    with pytest.raises(LightdetError, match="attention=nosuch: there is no such option"):
        launch("-m", "attention=cbam,nosuch")
    assert not stand_in.trained()


@pytest.mark.parametrize("word", ["attention=glob(z*)", "seed=range(3,0)"])
def test_a_sweep_of_nothing_is_no_success(launch: Launch, word: str) -> None:
    with pytest.raises(LightdetError, match=re.escape(f"{word} study.name=s: no training comes of it")):
        launch("-m", word, "study.name=s")
    assert launch("-m", "attention=glob(*)", "seed=range(0,1)", "study.name=s") == 0


def test_a_broken_job_without_a_run_still_has_a_row(launch: Launch) -> None:
    assert launch("-m", "optimizer.lr=0.1,???", "study.name=s") == 1
    rows = read_jobs(Path("runs/s"))
    assert [row.state for row in rows] == ["done", "failed"]
    assert "optimizer.lr" in rows[1].reason


def test_study_names() -> None:
    assert sweep_slug(SIX) == STUDY
    assert sweep_slug(["seed=0,1", "head=76,38"]) == "head-76-38__seed-0-1"
    assert sweep_slug(["head=76,38", "seed=3", "logger=csv"]) == "head-76-38"
    assert study_name("paper/table4") == "paper/table4"
    for name in ("a=b", "../up", "/root", "a,b", "a b", "x/"):
        with pytest.raises(LightdetError):
            study_name(name)


def test_the_reason_of_a_failure_is_one_line() -> None:
    wrapped = ValueError("Error in call to target 'x'")
    wrapped.__cause__ = LightdetError("no photos in /x")
    assert one_line(wrapped) == "no photos in /x"
    assert one_line(ValueError("a\n  b")) == "ValueError: a b"
    assert len(one_line(ValueError("x" * 999))) == 300
