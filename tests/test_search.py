"""A search finds a known optimum, comes to nothing twice, prunes, and loses no trial whoever is killed."""

import csv
import json
import os
import random
import shlex
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

pytest.importorskip("optuna", reason="a search needs Optuna: pip install 'lightdet[tune]'")

import search_standin
from search_standin import BEST_RATE, DIED, TRAINED

from lightdet.config.compose import compose_config, compose_job
from lightdet.config.conf_folder import conf_folder
from lightdet.core.errors import Ended, LightdetError
from lightdet.core.files import read_json
from lightdet.core.score import Score
from lightdet.metric.detection_scores import DETECTION_SCORES
from lightdet.runs.fingerprint import fingerprint
from lightdet.runs.folder import RunFolder
from lightdet.runs.jobs import read_jobs
from lightdet.runs.scores import write_scores
from lightdet.study.command import run as study_command
from lightdet.study.search import loop, watch
from lightdet.study.search.command import run as search_command
from lightdet.study.search.declared import declared_scores
from lightdet.study.search.objective import Objective, read_objectives
from lightdet.study.search.recipe import write_recipes
from lightdet.study.search.space import check_space, read_space
from lightdet.study.search.trials import Search, TrialStore

TESTS = Path(__file__).resolve().parent
REAL = conf_folder()
RATE = "optimizer.lr: {low: 1.0e-4, high: 1.0e-1, log: true}"
SPACES = {
    "rate": f"parameters: {{{RATE}}}\nobjectives: {{metrics.map50_95: maximize}}\n",
    "two": "parameters: {optimizer.lr: [0.002, 0.1]}\nobjectives: {metrics.map50_95: maximize}\n",
    "grid": "parameters: {attention: [cbam, none], head: [76, 38]}\nobjectives: {metrics.map50_95: maximize}\n",
    "size": f"parameters: {{{RATE}, width: {{low: 0.25, high: 1.0, step: 0.25}}}}\n"
    "objectives: {metrics.map50_95: maximize, footprint.parameters: minimize}\n",
}
FILES = {
    "attention/cbam.yaml": "# @package model.network\nattention: {_target_: some.Cbam}\nhead: ${head}\n",
    "attention/none.yaml": "# @package model.network\nattention: null\nhead: none\n",
    "launcher/here.yaml": "_target_: search_standin.Here\n",
    **{f"search/{name}.yaml": f"defaults: [base, _self_]\n{text}" for name, text in SPACES.items()},
}
MAIN = """
defaults:
  [launcher: here, attention: none, _self_, recipe: none, override hydra/hydra_logging: none,
   override hydra/job_logging: none]
seed: 0
study: {name: null, on_error: continue, retry: false}
runs_dir: runs
image_size: 160
head: 76
width: 1.0
model: {network: {width: "${width}"}}
optimizer: {lr: 0.1, fails: false}
trainer: {max_epochs: 4}
"""


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small set of options beside the project's own launchers, samplers and pruners; an empty working directory."""
    folder = tmp_path / "conf"
    for group in ("search", "launcher", "recipe"):
        shutil.copytree(REAL / group, folder / group)
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "train.yaml").write_text(MAIN)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr("lightdet.config.composition.conf_folder", lambda: folder)
    monkeypatch.setattr("lightdet.study.search.command.conf_folder", lambda: folder)
    monkeypatch.setattr(watch, "LOOK_AGAIN", 0.02)
    monkeypatch.setattr(loop, "LOOK_AGAIN", 0.1)
    return folder


def search(*words: str) -> int:
    return search_command(words, "search_standin:train")


def found(study: str) -> dict[str, Any]:
    return read_json(Path("runs") / study / "search.json")


def states(study: str) -> Counter[str]:
    return Counter(trial["state"] for trial in found(study)["trials"])


def rates(study: str) -> list[str]:
    return [trial["parameters"]["optimizer.lr"] for trial in found(study)["trials"]]


def epochs_trained() -> Counter[str]:
    return Counter(TRAINED.read_text().splitlines())


# ---------------------------------------------------------------- spaces and objectives


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"low": 1, "high": 1}, "empty"),
        ({"low": 2.0, "high": 1.0}, "empty"),
        ({"low": 0, "high": 1, "log": True}, "above 0"),
        ({"low": 1, "high": 9, "log": True, "step": 2}, "no step"),
        ({"low": 0, "high": 1, "step": 2}, "step=2"),
        ({"low": 0, "hihg": 1}, "hihg"),
        ({"low": 0}, "high=None"),
        ({"low": 0.5, "high": 3, "int": True}, "whole"),
        ({"low": "a", "high": 3}, "low=a"),
        ({"low": float("nan"), "high": 3}, "low=nan"),
        ([1], "two or more"),
        ([1, 1], "different"),
        ([[1, 2], [3]], "plain"),
        (3, "list of choices"),
    ],
)
def test_a_range_or_list_that_says_nothing_is_refused_first_cause(given: Any, told: str) -> None:
    with pytest.raises(LightdetError, match=told) as error:
        read_space({"width": given})
    assert "\n" not in str(error.value) and "width" in str(error.value)


@pytest.mark.parametrize(
    "value", [None, True, False, 3, -2, 0.1, 1e-05, "76-38", "all", "a b", "76", "null", "it's", ""]
)
def test_a_choice_comes_back_from_hydras_grammar_as_it_was(value: Any) -> None:
    (parameter,) = read_space({"x": [value, "another"]})
    (parsed,) = OverridesParser.create().parse_overrides(overrides=[parameter.word(value)])
    assert parsed.value() == value and type(parsed.value()) is type(value)


def store_of(path: Path, space: list[Any], *objectives: Objective) -> TrialStore:
    settings = OmegaConf.create({"storage": "sqlite://", "pruner": {"_target_": "optuna.pruners.NopPruner"}})
    return TrialStore(Search("s", path, space, list(objectives), settings, {}))


def test_front_worked_by_hand(tmp_path: Path) -> None:
    from optuna.trial import create_trial

    def best(values: list[tuple[float, ...]], *objectives: Objective) -> list[int]:
        store = store_of(tmp_path / str(len(values)) / objectives[0].name, [], *objectives)
        store.study.add_trials([create_trial(values=list(each)) for each in values])
        return store.best()

    up, down = Objective("a", "maximize"), Objective("b", "minimize")
    points: list[tuple[float, ...]] = [(0.5, 10.0), (0.6, 10.0), (0.4, 5.0), (0.4, 6.0), (0.9, 99.0), (0.6, 10.0)]
    assert best(points, up, down) == [1, 2, 4]  # 1 beats 0, 2 beats 3, 5 is 1 again
    assert best([(0.1,), (0.7,), (0.7,)], up) == [1]
    assert best([(0.1,), (0.7,)], down) == [0]
    assert best([], up) == []


ERROR_RATE = Score("errors", "errors", "val/errors", higher_is_better=False, primary=True)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"primary": "best"}, ("metrics.errors", "minimize", "val/errors")),
        ({"primary": "maximize"}, ("metrics.errors", "maximize", "val/errors")),
        ({"metrics.errors": "best"}, ("metrics.errors", "minimize", "val/errors")),
        ({"metrics.map50_95": "maximize"}, ("metrics.map50_95", "maximize", "val/map50_95")),
        ({"metrics.map75": "best"}, ("metrics.map75", "maximize", "val/map75")),
        ({"metrics.per_class.dent.ap50": "best"}, ("metrics.per_class.dent.ap50", "maximize", "val/ap50/dent")),
        ({"metrics.operating_point.f1": "maximize"}, ("metrics.operating_point.f1", "maximize", None)),
        ({"seconds": "minimize"}, ("seconds", "minimize", None)),
    ],
)
def test_an_objective_is_a_declared_score_or_another_number(given: dict[str, str], expected: tuple[str, ...]) -> None:
    (objective,) = read_objectives(OmegaConf.create({"objectives": given}), lambda: (ERROR_RATE,))
    assert (objective.name, objective.direction, objective.column) == expected


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"metrics.mpa50": "best"}, "no number metrics.mpa50; there are primary, metrics.errors, "),
        ({"errors": "best"}, "no number errors"),
        ({"seconds": "best"}, "give maximize or minimize"),
        ({"primary": "up"}, "one of maximize, minimize, best"),
        ({}, "search.objectives is empty"),
    ],
)
def test_a_number_that_nothing_declares_is_refused(given: dict[str, str], told: str) -> None:
    with pytest.raises(LightdetError, match=told):
        read_objectives(OmegaConf.create({"objectives": given}), lambda: (ERROR_RATE,))


def test_scores_are_those_of_the_studys_runs_before_any_model_is_built(tmp_path: Path) -> None:
    write_scores(RunFolder(tmp_path / "trial-0000" / "s0"), "counting", [ERROR_RATE])
    assert declared_scores(tmp_path, ["model=nothing"], None) == (ERROR_RATE,)
    with pytest.raises(LightdetError, match="model=nothing"):
        declared_scores(tmp_path / "empty", ["model=nothing"], None)
    assert declared_scores(tmp_path / "empty", ["width=0.125"], None) == DETECTION_SCORES


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere"], "search=nowhere"),
        ([], "name one search space"),
        (["rate", "size"], "name one search space"),
        (["base"], "search.objectives, search.parameters"),
        (["rate", "search.trails=3"], "trails"),
        (["rate", "search.trials=0"], "search.trials=0"),
        (["rate", "search.trials=many"], "whole number"),
        (["rate", "optimizer.lr=0.1"], "fixed on the command line and searched"),
        (["rate", "+search.parameters.widht=[1,2]"], "widht"),
        (["rate", "+search.parameters.attention=[none,cbma]"], "cbma"),
        (["rate", "+search.objectives.map=maximize"], "no number map"),
        (["rate", "+search.objectives.seconds=down"], "maximize, minimize"),
        (["rate", "study.on_error=ignore"], "on_error"),
        (["rate", "search/sampler=magic"], "search/sampler=magic: there is no such option; choose one of random, tpe"),
    ],
)
def test_bad_input_is_told_first_cause_before_anything_is_written(conf: Path, words: list[str], told: str) -> None:
    with pytest.raises(LightdetError, match=told) as error:
        search(*words)
    assert "\n" not in str(error.value)
    assert not Path("runs").exists()


@pytest.mark.parametrize("space", ["recipe", "architecture", "speed"])
def test_every_setting_of_the_shipped_spaces_exists(space: str) -> None:
    cfg = compose_config([f"+search={space}"])
    parameters = OmegaConf.to_container(cfg.search.parameters)
    assert isinstance(parameters, dict)
    base = check_space(read_space(parameters), [], None)
    assert "search" not in base  # what trains knows nothing of the search
    first = read_objectives(cfg.search, lambda: DETECTION_SCORES)[0]
    assert (first.name, first.direction) == ("metrics.map50_95", "maximize")


# ---------------------------------------------------------------- finding


def test_the_optimum_is_found_and_its_recipe_is_that_training(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["rate", "study=s", "search.trials=12", "search.startup=6", "search/pruner=none", "seed=3"]
    assert search(*words) == 0
    facts = found("s")
    assert states("s") == {"done": 12} and len(set(rates("s"))) == 12
    best = max(facts["trials"], key=lambda trial: trial["values"]["metrics.map50_95"])
    assert facts["best"] == [best["number"]]
    rate = float(best["parameters"]["optimizer.lr"])
    assert BEST_RATE / 3 < rate < BEST_RATE * 3  # of a range from 0.0001 to 0.1
    assert best["values"]["metrics.map50_95"] == pytest.approx(search_standin.quality(rate))

    rows = read_jobs(Path("runs/s"))
    assert [row.name for row in rows] == [f"trial-{number:04d}__s3" for number in range(12)]
    assert all(row.state == "done" and row.choices["optimizer.lr"] for row in rows)
    with open("runs/s/search.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [float(line["metrics.map50_95"]) for line in lines] == [
        trial["values"]["metrics.map50_95"] for trial in facts["trials"]
    ]
    assert [line["trial"] for line in lines if line["best"]] == [str(best["number"])]

    identity = RunFolder(Path("runs/s") / best["run"]).read_status()["fingerprint"]
    assert fingerprint(compose_config(["recipe=best"], Path("runs/s"))) == identity
    said = capsys.readouterr().out
    (command,) = [line.strip() for line in said.splitlines() if line.startswith("  lightdet train")]
    assert fingerprint(compose_config(shlex.split(command)[2:])) == identity
    before = epochs_trained()
    assert search(*words) == 0 and epochs_trained() == before  # there is nothing left to do


def test_the_recipe_of_a_trial_may_begin_as_another_recipe(tmp_path: Path) -> None:
    words = ["model=light", "optimizer.lr=0.003", "recipe=light", "augment=light"]
    write_recipes(tmp_path, {"best": (words, "mAP 0.5")}, None)
    again = compose_config(["recipe=best"], tmp_path)
    assert fingerprint(again) == fingerprint(compose_config(words)) != fingerprint(compose_config(words[:2]))


def test_what_is_drawn_depends_on_seed_and_number_alone(conf: Path) -> None:
    """A search that is continued draws what an undisturbed one draws, and no number twice."""
    words = ["rate", "search.startup=2", "search/pruner=none"]
    search(*words, "study=whole", "search.trials=4")
    search(*words, "study=parts", "search.trials=2")
    search(*words, "study=parts", "search.trials=4")
    search(*words, "study=other", "search.trials=1", "search.seed=1")
    assert rates("whole") == rates("parts") and len(set(rates("whole"))) == 4
    assert set(rates("other")).isdisjoint(rates("whole"))


def test_trials_that_resolve_alike_are_one_training(conf: Path) -> None:
    """head changes nothing without attention: four settings, three trainings, however many trials."""
    assert search("grid", "study=s", "search.trials=7", "search/sampler=random", "search/pruner=none") == 0
    trials = found("s")["trials"]
    said = {(trial["parameters"]["attention"], trial["parameters"]["head"]) for trial in trials}
    runs = {trial["run"] for trial in trials}
    assert len(trials) == 7 and states("s") == {"done": 7}
    assert {("none", "76"), ("none", "38")} <= said
    assert len({trial["run"] for trial in trials if trial["parameters"]["attention"] == "none"}) == 1
    assert set(epochs_trained().values()) == {1} and len(epochs_trained()) == 4 * len(runs)
    assert len(read_jobs(Path("runs/s"))) == 7


def test_several_objectives_give_a_front_in_the_report(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from lightdet.report.build import report_study
    from lightdet.report.settings import Settings

    assert search("size", "study=s", "search.trials=6", "search.startup=3") == 0
    said = capsys.readouterr().out
    assert "not pruned" in said
    values = {
        t["number"]: (t["values"]["metrics.map50_95"], t["values"]["footprint.parameters"])
        for t in found("s")["trials"]
    }
    beaten = {
        number
        for number, (score, size) in values.items()
        if any(a >= score and b <= size and (a, b) != (score, size) for a, b in values.values())
    }
    assert set(found("s")["best"]) == set(values) - beaten
    assert said.count("  lightdet train") == len(found("s")["best"])
    assert {path.stem for path in Path("runs/s/recipe").iterdir()} == {f"trial-{n:04d}" for n in found("s")["best"]}

    written = report_study(Path("runs/s"), Path("out"), Settings(sizes=()))
    assert written.troubles == () and Path("out/search_front_1.png").stat().st_size > 10_000
    text = Path("out/report.md").read_text()
    section = text[text.index("## Search: the trials and their Pareto front") :].partition("\n## ")[0]
    marked = [line.split("|")[1].strip() for line in section.splitlines() if "| yes |" in line]
    assert sorted(map(int, marked)) == sorted(found("s")["best"])


def _cliffs(lift: float, drop: float) -> float:
    """`lift` decides about the best trials alone, `drop` about the worst alone."""
    return 1 + lift if lift > 0.85 else -1 - drop if drop > 0.85 else 0.01 * (lift + drop)


@pytest.mark.parametrize(("direction", "decides"), [("maximize", "lift"), ("minimize", "drop")])
def test_what_mattered_is_what_made_trials_good(tmp_path: Path, direction: Any, decides: str) -> None:
    from optuna.trial import create_trial

    space = read_space({name: {"low": 0, "high": 1} for name in ("lift", "drop")})
    store = store_of(tmp_path, space, Objective("metrics.map50_95", direction))
    drawn = random.Random(0)
    for count in range(60):
        if count < 3:
            assert store.importances() == {}  # too little to compare
        values = {one.key: drawn.random() for one in space}
        kinds = {one.key: one.distribution for one in space}
        store.study.add_trial(create_trial(params=values, distributions=kinds, value=_cliffs(**values)))
    shares = store.importances()["metrics.map50_95"]
    assert max(shares, key=shares.__getitem__) == decides and shares[decides] > 0.8


def test_nothing_mattered_where_all_trials_are_equal(tmp_path: Path) -> None:
    from optuna.trial import create_trial

    space = read_space({name: {"low": 0, "high": 1} for name in ("lift", "drop")})
    store = store_of(tmp_path, space, Objective("metrics.map50_95", "maximize"))
    kinds = {one.key: one.distribution for one in space}
    for place in (0.1, 0.3, 0.5, 0.7):
        store.study.add_trial(create_trial(params={"lift": place, "drop": place}, distributions=kinds, value=0.0))
    assert store.importances() == {}


# ---------------------------------------------------------------- pruning


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


# ---------------------------------------------------------------- trouble


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


# ---------------------------------------------------------------- workers


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


def test_a_job_knows_its_options(conf: Path) -> None:
    assert compose_job(["attention=cbam"]).hydra.runtime.choices["attention"] == "cbam"
