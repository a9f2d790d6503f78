"""A run by its folder, its name, its study's name, or as `last`."""

import os
from pathlib import Path

import pytest

from lightdet.cli.main import main
from lightdet.core.errors import LightdetError
from lightdet.core.files import write_json, write_text
from lightdet.runs.find import find_run, find_study, last_run, runs_below
from lightdet.runs.folder import RunFolder


def make_run(path: str, started: str, overrides: tuple[str, ...] = ()) -> Path:
    folder = RunFolder(Path("runs") / path)
    write_text(folder.config_path, "seed: 0\n")
    folder.write_status("done", started=started, overrides=list(overrides))
    write_json(folder.path.parent.parent / "jobs" / f"{folder.path.parent.name}__{folder.path.name}.json", {})
    return folder.path


@pytest.fixture(autouse=True)
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two studies, one of them in a folder of studies, in the working directory."""
    monkeypatch.chdir(tmp_path)
    make_run("one/attention-cbam/s0", "2026-01-01T00:00:02+00:00")
    make_run("paper/table4/default/s0", "2026-01-01T00:00:03+00:00")
    make_run("paper/table4/default/s1", "2026-01-01T00:00:01+00:00")


def test_last_is_the_run_that_started_last() -> None:
    assert find_run("last").path == Path("runs/paper/table4/default/s0")
    write_text(Path("runs/broken/x/s0/status.json"), "{half")
    assert find_run("last").path == Path("runs/paper/table4/default/s0"), "a broken run hides no other"
    path = make_run("single/b/s0", "2026-01-01T00:00:03+00:00")
    os.utime(path / "config.yaml", ns=(2**62, 2**62))
    assert find_run("last").path == path, "of one second, the later file decides"


def test_last_may_leave_out_the_runs_that_a_word_began() -> None:
    make_run("single/c/s0", "2026-02-01T00:00:00+00:00", ("weights=last",))
    assert last_run(without_word="weights=last").path == Path("runs/paper/table4/default/s0")


@pytest.mark.parametrize(
    "word", ["one", "runs/one", "runs/one/attention-cbam", "attention-cbam", "one/attention-cbam/s0"]
)
def test_a_name_of_one_run_is_enough(word: str) -> None:
    assert find_run(word).path == Path("runs/one/attention-cbam/s0")


def test_several_runs_are_named() -> None:
    for word in ("paper/table4", "default"):
        with pytest.raises(LightdetError, match="2 runs; name one of runs/paper/table4/default/s0, runs/paper/"):
            find_run(word)
    assert [run.path.name for run in runs_below(Path("runs/paper"))] == ["s0", "s1"]


def test_no_run_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["evaluate", "nowhere"], ["predict", "nowhere", "a.png"], ["benchmark", "nowhere"]):
        assert main(words) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("lightdet: nowhere: no run here; name a run folder")
    with pytest.raises(LightdetError, match="last: no run has started under elsewhere/"):
        find_run("last", Path("elsewhere"))


def test_a_study_by_its_name() -> None:
    assert find_study("paper/table4") == Path("runs/paper/table4")
    with pytest.raises(LightdetError, match="there are runs/one, runs/paper/table4"):
        find_study("paper/table5")
