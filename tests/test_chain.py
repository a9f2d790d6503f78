"""A run and a wish become a chain of ordinary runs, which goes on where it was stopped."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import chain_standin
import pytest
import stand_in

from lightdet.cli.main import main
from lightdet.core.errors import LightdetError
from lightdet.runs.folder import RunFolder
from lightdet.runs.jobs import read_jobs
from lightdet.study.chain import command, finish, lessons, work
from lightdet.study.chain.plan import Plan
from lightdet.study.chain.wish import Wish, cuts, steps_for, wish_of

pytest.importorskip("torch_pruning")
pytest.importorskip("onnxruntime")


@pytest.mark.parametrize(
    ("target", "text", "amount"),
    [("parameters", "0.5M", 500_000), ("parameters", ".25", 0.25), ("parameters", "800k", 800_000),
     ("latency", "0.6x", 0.6), ("flops", "0.5", 0.5)],
)  # fmt: skip
def test_a_wish_in_the_words_of_people(target: str, text: str, amount: float) -> None:
    assert wish_of(target, text) == Wish(target, amount)


@pytest.mark.parametrize(
    ("target", "text"),
    [("flops", "50%"), ("flops", "2"), ("latency", "0"), ("latency", "-0.5"), ("parameters", "1"),
     ("parameters", "1.5"), ("parameters", "many"), ("latency", "0.5M"), ("flops", "nan")],
)  # fmt: skip
def test_a_wish_that_is_none(target: str, text: str) -> None:
    with pytest.raises(LightdetError, match=f"^--{target} {text}: give "):
        wish_of(target, text)


def test_deep_cuts_are_done_in_steps_that_multiply_to_the_wish() -> None:
    assert [steps_for(share) for share in (0.9, 0.6, 0.5, 0.36, 0.25)] == [1, 1, 2, 2, 3]
    made = cuts(Wish("latency", 0.25), 0.25, 2)
    assert [left.amount for left, _ in made] == [0.5, 0.5] and [of_all.amount for _, of_all in made] == [0.5, 0.25]
    made = cuts(Wish("parameters", 250_000), 0.25, 2)
    assert [left.amount for left, _ in made] == [500_000, 250_000], "numbers are those of the network itself"


@pytest.fixture
def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.chdir(tmp_path)
    return chain_standin.finished(tmp_path / "runs" / "whole" / "light" / "s3")


REFUSED = (
    (("nowhere", "--flops", "0.5"), "nowhere: no run here"),
    (("whole", "--flops", "5"), "--flops 5: give the share"),
    (("whole", "--parameters", "2M"), "the run has 1,000,000"),
    (("whole", "--flops", "0.5", "--epochs", "0"), "--epochs"),
    (("whole", "--flops", "0.5", "--seeds", "0,1,0"), "a seed comes twice"),
    (("whole", "--flops", "0.5", "--seeds", "one"), "--seeds"),
    (("whole", "--flops", "0.5", "--teacher", "nobody"), "nobody: no run here"),
    (("whole", "--flops", "0.5", "--teacher", "none", "--untaught"), "every step is untaught"),
    (("whole", "--flops", "0.5", "--format", "paper"), "format paper"),
    (("whole", "--flops", "0.5", "--precision", "int3"), "precision int3"),
    (("whole", "--flops", "0.5", "--format", "package"), "--format package"),
    (("whole", "--flops", "0.5", "trainer.max_epochs=3"), "take --epochs"),
    (("whole", "--flops", "0.5", "trainer.epochs=3"), "no such setting"),
    (("whole", "--flops", "0.5", "model=yolov5s"), "model stays that of the run"),
    (("whole", "--flops", "0.5", "--latency", "0.5"), "not allowed with argument"),
    (("whole", "--flops", "0.5", "compress.importance=luck"), "compress.importance=luck: one of"),
)


def test_what_cannot_be_done_is_refused_in_a_line_before_torch(whole: RunFolder) -> None:
    code = (
        "import json, sys\nfrom lightdet.cli.main import main\n"
        "for words in json.loads(sys.argv[1]):\n    assert main(['compress', *words]) == 2, words\n"
        "assert 'torch' not in sys.modules"
    )
    words = json.dumps([words for words, _ in REFUSED])
    done = subprocess.run([sys.executable, "-c", code, words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for line, (words_given, told) in zip(done.stderr.splitlines(), REFUSED, strict=True):
        assert told in line, words_given
    assert [path.name for path in Path("runs").iterdir()] == ["whole"], "nothing was begun"


def test_a_run_that_is_not_done_is_refused(whole: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    whole.write_status("killed")
    assert main(["compress", "whole", "--flops", "0.5"]) == 2
    assert "this run is killed" in capsys.readouterr().err


def test_the_study_of_somebody_else_is_not_written_into(whole: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    (whole.path.parent.parent / "jobs").mkdir()
    (whole.path.parent.parent / "jobs" / "light__s3.json").write_text("{}")
    assert main(["compress", "whole", "--flops", "0.5", "--out", "runs/whole"]) == 2
    assert "--out runs/whole: it holds another study" in capsys.readouterr().err


def test_it_goes_on_where_it_was_stopped_and_repeats_nothing(
    whole: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended: list[Mapping[str, Sequence[RunFolder]]] = []
    monkeypatch.setattr(work, "lessons_of", lambda *given: ["cwd"])
    monkeypatch.setattr(finish, "finish", lambda plan, done: ended.append(done) or 0)
    words = ["whole", "--flops", "0.5", "--seeds", "0,1", "--untaught", "trainer.precision=32-true"]
    monkeypatch.setenv("DIE_IN", "2-prune/s1")
    assert command.run(words, chain_standin.NAME) == 1
    assert not ended and "not reached: 0.5 of the FLOPs; 2-prune: ended by signal 9" in capsys.readouterr().out
    begun = ["1-prune/s0", "1-prune/s1", "2-prune/s0", "2-prune/s1"]
    assert stand_in.trained() == begun
    monkeypatch.delenv("DIE_IN")
    assert command.run(words, chain_standin.NAME) == 0
    assert stand_in.trained() == [*begun, "2-prune/s1", "2-untaught/s0", "2-untaught/s1"]
    assert command.run(words, chain_standin.NAME) == 0
    assert len(stand_in.trained()) == 7, "a finished chain trains nothing"

    study = Path("runs/whole-flops-0.5")
    kept = {name: [(run.checkpoints / "best.ckpt").read_text() for run in runs] for name, runs in ended[-1].items()}
    assert kept == {
        "1-prune": ["PK whole;cwd 0;", "PK whole;cwd 1;"],
        "2-prune": ["PK whole;cwd 0;cwd 0;", "PK whole;cwd 1;cwd 1;"],
        "2-untaught": ["PK whole;cwd 0; 0;", "PK whole;cwd 1; 1;"],
    }, "each seed goes on from its own step before"
    jobs = read_jobs(study)
    assert len(jobs) == 6 and all(job.choices["trainer.max_epochs"] == "3" for job in jobs)
    request = (study / "2-prune" / "s1" / "request.yaml").read_text()
    assert f"- {whole.path}" in request and "precision: 32-true" in request and "width: 0.0625" in request


def test_other_words_are_other_trainings_and_the_whole_run_stays(
    whole: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "lessons_of", lambda *given: pytest.fail("nobody teaches"))
    monkeypatch.setattr(finish, "finish", lambda plan, done: 0)
    before = {path: path.stat().st_mtime_ns for path in whole.path.rglob("*") if path.is_file()}
    words = ["whole", "--parameters", "700k", "--teacher", "none", "--out", "runs/mine"]
    assert command.run(words, chain_standin.NAME) == 0
    assert command.run([*words, "--epochs", "2"], chain_standin.NAME) == 0
    assert len(stand_in.trained()) == 2
    jobs = read_jobs(Path("runs/mine"))
    assert [job.choices["trainer.max_epochs"] for job in jobs] == ["3", "2"], "half of the run's five, and the wish"
    assert {(job.choices["compress.parameters"], job.seed) for job in jobs} == {("700000", "3")}
    assert {path: path.stat().st_mtime_ns for path in whole.path.rglob("*") if path.is_file()} == before


def plan(whole: RunFolder, *words: str) -> Plan:
    return command.plan_of(command.parse([str(whole.path), *words]))


@pytest.mark.parametrize(("wish", "given"), [("flops", "0.5"), ("latency", "0.5")])
def test_the_plan_tells_what_each_step_leaves(whole: RunFolder, wish: str, given: str) -> None:
    made: Any = plan(whole, f"--{wish}", given).steps
    assert [step.name for step in made] == ["1-prune", "2-prune"] and [step.start for step in made] == ["", "1-prune"]
    assert str(made[0].of_all) == f"0.707 of the {'FLOPs' if wish == 'flops' else 'latency'}"


def test_what_teachers_can_teach_is_tried_once(
    made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = made.run.path.resolve()
    lessons.main(str(run), str(tmp_path / lessons.FILE_NAME), str(run))
    monkeypatch.setattr(lessons.subprocess, "run", lambda *given, **how: pytest.fail("it is known"))
    assert lessons.lessons_of(run, [run], tmp_path, False) == ["cwd", "predictions"]
    known = {"teachers": [str(run)], "lessons": [], "unfit": {"cwd": "other classes"}}
    (tmp_path / lessons.FILE_NAME).write_text(json.dumps(known))
    with pytest.raises(LightdetError, match="it can teach nothing: other classes"):
        lessons.lessons_of(run, [run], tmp_path, False)
    (tmp_path / lessons.FILE_NAME).write_text(json.dumps({**known, "lessons": ["predictions"]}))
    assert lessons.lessons_of(run, [run], tmp_path, False) == ["predictions"]
    assert "left out: other classes" in capsys.readouterr().out
