"""Names of rows and runs: what a command sweeps, `name=`, and the rows of studies that older code began."""

import json
from pathlib import Path

import pytest
import stand_in

from lightdet.cli.main import main
from lightdet.config.compose import compose_job
from lightdet.config.names import short_slug, slug
from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json, write_json
from lightdet.runs.find import find_run
from lightdet.runs.folder import RunFolder
from lightdet.runs.jobs import read_jobs
from lightdet.runs.registration import named, register, request_job
from lightdet.runs.row_names import counted, row_slugs
from lightdet.study.single import train_words
from lightdet.study.sweep import sweep_words


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def sweep(*words: str) -> int:
    return sweep_words([*words, "logger=none"], train=stand_in.NAME)


def rows_of(study: str) -> list[str]:
    return [row.name for row in read_jobs(Path("runs") / study)]


def test_a_row_is_named_after_what_is_swept_and_not_after_fixed_words() -> None:
    fixed = ["width=0.125", "trainer.max_epochs=3", "data.reader.size=96", "study=s"]
    assert sweep("attention=cbam,none", *fixed) == 0
    assert stand_in.trained() == ["attention-cbam/s0", "attention-none/s0"]
    assert sweep("attention=cbam,none", *fixed, "head=76,38") == 0, "with one more choice"
    assert rows_of("s")[2:] == [f"attention-{a}__head-{h}__s0" for a in ("cbam", "none") for h in ("76", "38")]


def test_rows_of_one_study_that_differ_in_fixed_words_get_what_differs() -> None:
    assert sweep("attention=cbam,none", "width=0.125", "study=s") == 0
    assert sweep("attention=cbam,none", "width=0.375", "study=s") == 0
    assert sweep("attention=cbam,none", "study=s") == 0
    assert len(set(rows_of("s"))) == 6 and len(stand_in.trained()) == 6
    assert rows_of("s")[:4] == [
        f"attention-{name}{wide}__s0" for wide in ("", "__width-0.375") for name in ("cbam", "none")
    ]
    assert sweep("attention=cbam,none", "width=0.375", "study=s", "seed=0,1") == 0
    assert len(rows_of("s")) == 8, "the second seed lies beside the first"
    assert RunFolder("runs/s/attention-cbam__width-0.375/s1").is_done()


def test_a_study_of_the_older_rule_keeps_its_rows_and_runs() -> None:
    """Its rows and folders hold every word; the same command adds none and trains nothing."""
    words = ["width=0.125", "trainer.max_epochs=3"]
    for number, attention in enumerate(("cbam", "none")):
        overrides = [f"attention={attention}", *words, "study.name=s", "logger=none"]
        request = request_job(compose_job(overrides), overrides, number)
        folder = RunFolder(Path("runs/s") / slug(overrides) / "s0")
        folder.write_status("done", fingerprint=request.fingerprint, seed=0)
        folder.write_results({"metrics": {"map50": 0.5}})
        row = {"overrides": overrides, "choices": request.choices, "seed": 0, "number": number}
        row |= {"fingerprint": request.fingerprint, "run": f"{slug(overrides)}/s0"}
        write_json(Path("runs/s/jobs") / f"{slug(overrides)}__s0.json", row)
    before = rows_of("s")
    assert before[0] == "attention-cbam__trainer.max_epochs-3__width-0.125__s0"
    assert sweep("attention=cbam,none", *words, "study=s") == 0
    assert rows_of("s") == before and not stand_in.trained()
    assert sweep("attention=cbam,none", *words, "study=s", "seed=0,1") == 0
    assert len(rows_of("s")) == 4
    assert stand_in.trained() == [f"{name.removesuffix('__s0')}/s1" for name in before]


def test_a_name_is_the_folder_of_a_run_and_changes_no_training() -> None:
    first = train_words(["width=0.125", "name=mine", "logger=none"], train=stand_in.NAME)
    assert first.path == Path("runs/single/mine/s0") == find_run("mine").path == find_run("last").path
    again = train_words(["width=0.125", "logger=none"], train=stand_in.NAME)
    assert again.path == first.path, "the same training without a name"
    other = train_words(["width=0.25", "name=mine", "logger=none"], train=stand_in.NAME)
    assert other.path.parent.name.startswith("mine-") and other.path.parent.parent == Path("runs/single")
    assert train_words(["width=0.125", "name=mine", "seed=1"], train=stand_in.NAME).path == Path("runs/single/mine/s1")
    assert len(stand_in.trained()) == 3
    assert "name" not in read_json(Path("runs/single/jobs/mine__s0.json"))["choices"]


def test_a_sweep_of_seeds_may_have_a_name_and_one_of_more_is_refused() -> None:
    assert sweep("width=0.125", "seed=0,1", "name=mine", "study=s") == 0
    assert stand_in.trained() == ["mine/s0", "mine/s1"]
    with pytest.raises(LightdetError, match="name=mine: the jobs of this sweep differ in more than the seed; take st"):
        sweep("width=0.125,0.25", "name=mine", "study=t")
    assert not Path("runs/t/jobs").exists()


@pytest.mark.parametrize("name", ["a/b", "last", "jobs", "a b", "x" * 81])
def test_a_name_that_is_no_folder_name_is_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", f"name='{name}'"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"lightdet: name={name}: a run's name is a folder name")
    assert not Path("runs").exists()


def test_a_single_run_is_named_after_the_last_parts_of_its_keys() -> None:
    assert short_slug(["trainer.max_epochs=60", "model=yolov5s"]) == "model-yolov5s__max_epochs-60"
    assert short_slug(["a.x=1", "b.x=1", "loss/box=ciou"]) == "a.x-1__b.x-1__loss.box-ciou"
    long = short_slug([f"data.reader.key_{number}=some_long_value" for number in range(6)])
    assert len(long) == 60
    request = request_job(compose_job(["trainer.max_epochs=60"]), ["trainer.max_epochs=60"])
    assert named(Path("runs/single"), [request])[0].name == "max_epochs-60__s0"


def test_two_keys_with_one_short_name_stay_two_rows() -> None:
    rows = [(counted([word]), "") for word in ("a.x=1", "b.x=1", "b.x=1")]
    first, second, third = row_slugs(rows, {})
    assert first == "x-1" and second == third != first


def test_a_trial_of_a_search_keeps_its_own_name() -> None:
    requests = [
        request_job(compose_job(["width=0.125"]), ["width=0.125"], number, f"trial-{number:04d}") for number in (0, 1)
    ]
    folders = register(Path("runs"), "search", requests)
    assert folders[0] is not None and folders[0].path == folders[1].path == Path("runs/search/trial-0000/s0")
    assert sorted(path.stem for path in Path("runs/search/jobs").glob("*")) == ["trial-0000__s0", "trial-0001__s0"]
    assert json.loads(Path("runs/search/jobs/trial-0001__s0.json").read_text())["run"] == "trial-0000/s0"
