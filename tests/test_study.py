"""A study is what its files say: its rows, the runs that rows share, and the table."""

from pathlib import Path

import pytest
import stand_in
import sweeps
from omegaconf import OmegaConf
from sweeps import FILES, FOUR_RUNS, SIX, STUDY, Launch

from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json
from lightdet.runs.commands import read_definition
from lightdet.runs.folder import RunFolder
from lightdet.runs.jobs import read_jobs
from lightdet.runs.names import study_name, sweep_slug
from lightdet.runs.table import cells, to_csv, to_markdown, to_text

conf = pytest.fixture(sweeps.conf)
launch = pytest.fixture(sweeps.launch)


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


def test_study_names() -> None:
    assert sweep_slug(SIX) == STUDY
    assert sweep_slug(["seed=0,1", "head=76,38"]) == "head-76-38__seed-0-1"
    assert sweep_slug(["head=76,38", "seed=3", "logger=csv"]) == "head-76-38"
    assert study_name("paper/table4") == "paper/table4"
    for name in ("a=b", "../up", "/root", "a,b", "a b", "x/"):
        with pytest.raises(LightdetError):
            study_name(name)
