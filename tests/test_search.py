"""A search: its optimum, its front, what mattered, and the recipes that it leaves."""

import csv
import random
import shlex
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna", reason="a search needs Optuna: pip install '.[tune]' in the clone")

import search_standin
import searches
from search_standin import BEST_RATE
from searches import epochs_trained, found, rates, search, states, store_of

from lightdet.config.compose import compose_config
from lightdet.runs.fingerprint import fingerprint
from lightdet.runs.folder import RunFolder
from lightdet.runs.jobs import read_jobs
from lightdet.study.search.objective import Objective
from lightdet.study.search.recipe import write_recipes
from lightdet.study.search.space import read_space

conf = pytest.fixture(searches.conf)


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
