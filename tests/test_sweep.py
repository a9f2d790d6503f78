"""A study is what its files say: rows asked for; trainings shared, skipped, continued, failed; the table."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from lightdet.conf_dir import conf_dir
from lightdet.error import LightdetError
from lightdet.report.table import cells, read_rows, to_csv, to_markdown, to_text
from lightdet.run import RunFolder, read_json
from lightdet.sweep import exit_code, ineffective_overrides, one_line, run_job, study_name, sweep_slug

ROOT = Path(__file__).resolve().parent.parent
SIX = ["attention=cbam,none", "head=76,38,19"]
STUDY = "attention-cbam-none__head-76-38-19"
FILES = {
    "attention/cbam.yaml": "# @package model.network\nattention: {_target_: some.Cbam}\nhead: ${head}\n",
    "attention/none.yaml": "# @package model.network\nattention: null\nhead: none\n",
    "model/small.yaml": "# @package _global_\ndefaults: [/attention: cbam, _self_]\nhead: 76\nwidth: 0.25\n"
    "model: {network: {width: '${width}'}}\n",
    "logger/none.yaml": "{}\n",
    "logger/other.yaml": "mode: offline\n",
}
SCRIPT = """
import json, os, sys, time
from pathlib import Path
import hydra
from hydra.core.hydra_config import HydraConfig

def train(cfg, folder):
    with open("trained.txt", "a") as file:
        file.write(f"{folder.path.parent.name} {os.getpid()}\\n")
    if folder.path.parent.name == os.environ.get("HANG_IN"):
        Path("hanging").touch()
        time.sleep(60)
    time.sleep(float(os.environ.get("NAP", "0")))
    return {"metrics": {"map50": 0.5, "map50_95": 0.25, "per_class": {"dent": {"ap50": 0.5}}}}

@hydra.main(config_path=sys.argv.pop(1), config_name="train", version_base="1.3")
def main(cfg):
    from lightdet.sweep import run_job
    run_job(cfg, list(HydraConfig.get().overrides.task), train)

main()
from lightdet.sweep import exit_code
assert "torch" not in sys.modules
sys.exit(exit_code())
"""


class Trainer:
    """Stands in for the training; remembers what it was asked to train."""

    def __init__(self) -> None:
        self.trained: list[str] = []
        self.fails: dict[str, BaseException] = {}

    def __call__(self, cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
        name = folder.path.parent.name
        self.trained.append(f"{name}/{folder.path.name}")
        assert folder.read_status()["state"] == "running"
        if name in self.fails:
            raise self.fails[name]
        score = 0.5 + 0.1 * cfg.seed
        per_class = {"dent": {"ap50": score + 0.1}, "scratch": {"ap50": None}}
        return {
            "metrics": {"map50": score, "map50_95": score / 2, "per_class": per_class},
            "footprint": {"parameters": 1_540_000},
        }


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small set of options under the project's own `hydra:` section, in an empty working directory."""
    own = OmegaConf.load(conf_dir() / "train.yaml")
    assert isinstance(own, DictConfig)
    quiet = [entry for entry in own.defaults if "hydra" in str(entry)]
    main = {
        "defaults": [{"model": "small"}, {"logger": "none"}, *quiet, "_self_"],
        **{"seed": 0, "study": None, "runs_dir": "runs", "image_size": 224, "hydra": own.hydra},
        **{"optimizer": {"lr": 0.1}, "trainer": {"max_epochs": 2}, "data": {"num_workers": 0}},
    }
    folder = tmp_path / "conf"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    OmegaConf.save(OmegaConf.create(main), folder / "train.yaml")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return folder


@pytest.fixture
def launch(conf: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """`launch(train, *words)`: what typing the words after `train.py` does, in this process."""

    def run(train: Trainer, *words: str, folder: Path = conf) -> int:
        def task(cfg: DictConfig) -> None:
            run_job(cfg, list(HydraConfig.get().overrides.task), train)

        monkeypatch.setattr(sys, "argv", ["train.py", *words])
        hydra.main(config_path=str(folder), config_name="train", version_base="1.3")(task)()
        return exit_code()

    return run


def script(conf: Path, words: list[str], **environment: str) -> subprocess.Popen[str]:
    """The same in a process of its own, which can be killed."""
    Path("launch.py").write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, "launch.py", str(conf), *words],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_six_rows_are_four_trainings_and_a_second_time_none(
    launch: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    train = Trainer()
    assert launch(train, "-m", *SIX) == 0
    assert train.trained == [f"attention-{name}/s0" for name in ("cbam__head-76", "cbam__head-38", "cbam__head-19")] + [
        "attention-none__head-76/s0"
    ]
    rows = read_rows(Path("runs") / STUDY)
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
    capsys.readouterr()

    assert launch(train, "-m", *SIX) == 0
    assert len(train.trained) == 4
    assert capsys.readouterr().out.count("is done already") == 6
    text, markdown, csv_text = to_text(rows), to_markdown(rows), to_csv(rows)
    assert markdown == (Path("runs") / STUDY / "table.md").read_text()
    assert markdown.count("\n| cbam | ") == markdown.count("\n| none | ") == 3
    assert len(text.splitlines()) == len(markdown.splitlines()) == 6 + 2 == len(csv_text.splitlines()) + 1
    assert max(map(len, text.splitlines())) < 100
    assert csv_text.splitlines()[1] == "cbam,76,0,0.6,,0.5,0.25,1540000,done,attention-cbam__head-76/s0,,"


def test_hydra_leaves_no_litter(launch: Callable[..., int]) -> None:
    launch(Trainer(), "-m", "attention=cbam,none")
    launch(Trainer())
    assert [path.name for path in Path().iterdir()] == ["runs"]
    study = {path.name for path in Path("runs/attention-cbam-none").iterdir()}
    assert study == {".lock", "jobs", "table.md", "table.csv", "attention-cbam", "attention-none"}
    assert (Path("runs") / "single" / "default" / "s0" / "results.json").exists()


def test_failed_jobs_are_named_and_the_rest_is_finished(
    launch: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    train = Trainer()
    four = ["attention=cbam,none", "head=76,38"]
    train.fails["attention-cbam__head-76"] = ValueError("loss is\nnan")
    train.fails["attention-none__head-76"] = RuntimeError("out of memory")
    assert launch(train, "-m", *four) == 1
    assert len(train.trained) == 3, "rows that share a failing training try it once"
    study = Path("runs/attention-cbam-none__head-76-38")
    rows = read_rows(study)
    assert [row.state for row in rows] == ["failed", "done", "failed", "failed"]
    shown = capsys.readouterr().out
    assert "FAILED attention-cbam__head-76__s0: ValueError: loss is nan (traceback: " in shown
    assert "loss is" in Path(rows[0].traceback).read_text()
    assert "ValueError: loss is nan" in (study / "table.md").read_text()

    train.fails.clear()
    assert launch(train, "-m", *four) == 0
    assert train.trained[3:] == ["attention-cbam__head-76/s0", "attention-none__head-76/s0"]
    assert {row.state for row in read_rows(study)} == {"done"}


def test_an_old_failure_of_a_study_does_not_fail_another_sweep(launch: Callable[..., int]) -> None:
    train = Trainer()
    train.fails["attention-none"] = ValueError("no")
    assert launch(train, "-m", "attention=none,cbam", "study=mine") == 1
    assert launch(train, "-m", "head=76,38", "study=mine") == 0
    assert len(read_rows(Path("runs/mine"))) == 4


def test_a_single_run_raises_and_then_goes_on(launch: Callable[..., int]) -> None:
    train = Trainer()
    train.fails["default"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        launch(train)
    folder = RunFolder("runs/single/default/s0")
    assert folder.read_status()["state"] == "killed"
    train.fails["default"] = ValueError("broken")
    with pytest.raises(SystemExit):  # Hydra's own exit after the traceback
        launch(train)
    assert folder.read_status()["state"] == "failed"
    train.fails.clear()
    launch(train)
    launch(train, "logger=other")
    assert folder.read_status()["state"] == "done"
    assert len(train.trained) == 3


def test_ctrl_c_ends_the_whole_sweep(launch: Callable[..., int]) -> None:
    train = Trainer()
    train.fails["head-38"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        launch(train, "-m", "head=76,38,19")
    assert train.trained == ["head-76/s0", "head-38/s0"]
    train.fails.clear()
    assert launch(train, "-m", "head=76,38,19") == 0
    assert train.trained[2:] == ["head-38/s0", "head-19/s0"]


def test_a_changed_definition_gets_a_folder_of_its_own(launch: Callable[..., int], conf: Path) -> None:
    train = Trainer()
    launch(train, "-m", "attention=cbam,none")
    (conf / "attention" / "cbam.yaml").write_text(FILES["attention/cbam.yaml"] + "ratio: 8\n")
    launch(train, "-m", "attention=cbam,none")
    assert len(train.trained) == 3
    study = Path("runs/attention-cbam-none")
    row = read_rows(study)[0]
    assert row.run != "attention-cbam/s0" and row.run.startswith("attention-cbam-")
    assert "ratio: 8" in RunFolder(study / row.run).config_path.read_text()
    assert "ratio: 8" not in RunFolder(study / "attention-cbam/s0").config_path.read_text()
    (conf / "attention" / "cbam.yaml").write_text(FILES["attention/cbam.yaml"])
    launch(train, "-m", "attention=cbam,none")
    assert len(train.trained) == 3, "the first definition is found again"


def test_seeds_get_a_mean_and_a_spread(launch: Callable[..., int]) -> None:
    train = Trainer()
    assert launch(train, "-m", "attention=cbam,none", "seed=0,1") == 0
    assert train.trained == ["attention-cbam/s0", "attention-cbam/s1", "attention-none/s0", "attention-none/s1"]
    table = cells(read_rows(Path("runs/attention-cbam-none__seed-0-1")))
    assert table[0] == ["attention", "seed", "dent", "scratch", "mAP50", "mAP50-95", "params", "run"]
    means = ["0.650 ± 0.071", "-", "0.550 ± 0.071", "0.275 ± 0.035"]
    assert ["cbam", "mean ± sd (2)", *means, "1.54 M", "2 seeds"] in table


def test_kill_in_the_middle_then_the_same_command(conf: Path) -> None:
    words = ["-m", *SIX]
    first = script(conf, words, HANG_IN="attention-cbam__head-19")
    for _ in range(600):
        if Path("hanging").exists():
            break
        time.sleep(0.1)
    first.send_signal(signal.SIGKILL)
    first.wait()
    rows = read_rows(Path("runs") / STUDY)
    assert [row.state for row in rows] == ["done", "done", "killed"]

    second = script(conf, words)
    shown, _ = second.communicate(timeout=60)
    assert second.returncode == 0, shown
    assert {row.state for row in read_rows(Path("runs") / STUDY)} == {"done"}
    assert len(read_rows(Path("runs") / STUDY)) == 6
    trained = [line.split()[0] for line in Path("trained.txt").read_text().splitlines()]
    again = "attention-cbam__head-19"
    assert sorted(trained) == sorted(
        [f"attention-cbam__head-{head}" for head in (76, 38, 19)] + [again, "attention-none__head-76"]
    )


def test_two_sweeps_at_once_never_train_one_run_twice(conf: Path) -> None:
    both = [script(conf, ["-m", *SIX], NAP="0.4") for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    trained = [line.split()[0] for line in Path("trained.txt").read_text().splitlines()]
    assert len(trained) == len(set(trained)) == 4
    assert {row.state for row in read_rows(Path("runs") / STUDY)} == {"done"}


def test_a_run_that_another_process_trains_is_refused(conf: Path, launch: Callable[..., int]) -> None:
    other = script(conf, [], HANG_IN="default")
    try:
        for _ in range(600):
            if Path("hanging").exists():
                break
            time.sleep(0.1)
        with pytest.raises(SystemExit):
            launch(Trainer())
        train = Trainer()
        assert launch(train, "-m", "seed=0,1", "study=single") == 0
        assert train.trained == ["default/s1"]
        rows = read_rows(Path("runs/single"))
        assert (rows[0].state, rows[0].reason) == ("running", f"pid {other.pid}")
    finally:
        other.kill()
        other.wait()


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
        ["study=mine", "logger=other", "data.num_workers=3", "runs_dir=x", "seed=4"],
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


def test_the_projects_own_options_share_the_run_without_attention(launch: Callable[..., int]) -> None:
    train = Trainer()
    assert launch(train, "-m", "attention=cbam,none", "head=76,38", folder=conf_dir()) == 0
    assert train.trained == [f"attention-{name}/s0" for name in ("cbam__head-76", "cbam__head-38", "none__head-76")]


def test_the_projects_own_options_refuse_a_grid_without_attention() -> None:
    (line,) = ineffective_overrides(composer(conf_dir()), ["attention=none", "head=38"])
    assert line.startswith("head=38 changes nothing beside attention=none")
    assert ineffective_overrides(composer(conf_dir()), ["attention=none"]) == []


def test_a_single_run_refuses_an_override_without_effect(
    launch: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    train = Trainer()
    with pytest.raises(SystemExit):
        launch(train, "attention=none", "head=38")
    assert "head=38 changes nothing" in capsys.readouterr().err
    assert not train.trained and not Path("runs").exists()


def test_an_impossible_choice_stops_the_sweep_at_the_door(launch: Callable[..., int]) -> None:
    train = Trainer()
    with pytest.raises(SystemExit):
        launch(train, "-m", "attention=cbam,nosuch")
    assert not train.trained


def test_a_broken_job_without_a_run_still_has_a_row(launch: Callable[..., int], conf: Path) -> None:
    train = Trainer()
    assert launch(train, "-m", "optimizer.lr=0.1,???", "study=s") == 1
    rows = read_rows(Path("runs/s"))
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
