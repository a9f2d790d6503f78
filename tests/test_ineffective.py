"""An override that changes nothing is refused with the reason, before a sweep begins."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import stand_in
import sweeps
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from sweeps import Launch

from lightdet.config import composition
from lightdet.config.conf_folder import conf_folder
from lightdet.config.ineffective import ineffective_overrides
from lightdet.core.errors import LightdetError

conf = pytest.fixture(sweeps.conf)
launch = pytest.fixture(sweeps.launch)


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


def test_values_that_surely_act_are_not_composed_once_each() -> None:
    composed: list[list[str]] = []

    def counted(words: list[str]) -> DictConfig:
        composed.append(words)
        return composition.composed(words)

    values = ["trainer.max_epochs=3", "optimizer.lr=0.1", "data.batch_size=4", "trainer.patience=2"]
    assert ineffective_overrides(counted, values) == []
    assert len(composed) == 2, "with all of them, and with none"
    (line,) = ineffective_overrides(counted, ["attention=none", "head=38", *values])
    assert line.startswith("head=38 changes nothing beside attention=none")


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
