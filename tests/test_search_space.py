"""A search's space and objectives: what is refused, what comes back from Hydra's grammar, what is declared."""

from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

pytest.importorskip("optuna", reason="a search needs Optuna: pip install '.[tune]' in the clone")


import searches
from searches import search

from lightdet.config.compose import compose_config, compose_job
from lightdet.core.errors import LightdetError
from lightdet.core.score import Score
from lightdet.metric.detection_scores import DETECTION_SCORES
from lightdet.runs.folder import RunFolder
from lightdet.runs.scores import write_scores
from lightdet.study.search.declared import declared_scores
from lightdet.study.search.objective import read_objectives
from lightdet.study.search.space import check_space, read_space

conf = pytest.fixture(searches.conf)


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
    run = RunFolder(tmp_path / "trial-0000" / "s0")
    write_scores(run, "counting", [ERROR_RATE])
    run.write_status("running")
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


def test_a_job_knows_its_options(conf: Path) -> None:
    assert compose_job(["attention=cbam"]).hydra.runtime.choices["attention"] == "cbam"
