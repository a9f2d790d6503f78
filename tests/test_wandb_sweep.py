"""Sweeps that W&B steers: its files name our keys and values, and an agent's run is the agent's."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
import wandb
import yaml
from tracked_run import forget_wandb, of_kind, records, summary_of

from lightdet.cli.main import main
from lightdet.config.compose import compose_config
from lightdet.core.files import read_json

ROOT = Path(__file__).resolve().parent.parent
SWEEPS = sorted((ROOT / "experiments/wandb_sweep").glob("*.yaml"))
SMALL = (
    *("data.reader.train_images=8", "data.reader.val_images=4", "data.reader.size=96", "data.batch_size=4"),
    *("image_size=64", "debug=one_step", "trainer.precision=32-true", "trainer.channels_last=false"),
    *("trainer.device=cpu", "trainer.progress=none", "width=0.125"),
)


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_sweep_files_are_what_wandb_takes(path: Path) -> None:
    from wandb.sdk.launch.sweeps.utils import load_sweep_config

    sweep = load_sweep_config(str(path))
    assert sweep is not None and sweep["method"] in ("grid", "bayes")
    assert (ROOT / sweep["program"]).is_file()
    *_, study, macro = sweep["command"]
    assert study.startswith("study=") and macro == "${args_no_hyphens}"
    choices = [told.get("values") or [told["min"], told["max"]] for told in sweep["parameters"].values()]
    for turn in range(max(map(len, choices))):  # every key and every value is one of ours
        asked = {name: values[turn % len(values)] for name, values in zip(sweep["parameters"], choices, strict=True)}
        compose_config(arguments({name: {"value": value} for name, value in asked.items()}))


def arguments(parameters: dict[str, Any]) -> list[str]:
    """What W&B's agent makes of `${args_no_hyphens}`."""
    from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

    return list(create_sweep_command_args({"args": parameters})["args_no_hyphens"])


def test_an_agents_run_is_the_agents_and_a_finished_training_answers_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The grid's first job as an agent starts it, and the same parameters once more under another run id."""
    sweep = yaml.safe_load((ROOT / "experiments/wandb_sweep/attention_head.yaml").read_text())
    asked = {name: {"value": told["values"][0]} for name, told in sweep["parameters"].items()}
    at = sweep["command"].index("${program}") + 1
    words = [word for part in sweep["command"][at:] for word in (arguments(asked) if part.startswith("${") else [part])]
    small = [*SMALL, f"data.reader.cache={tmp_path}/cache", f"runs_dir={tmp_path}/runs"]
    monkeypatch.chdir(tmp_path)
    for run_id in ("agent001", "agent002"):
        forget_wandb(tmp_path / "home", monkeypatch)
        told = tmp_path / "wandb" / "sweep-sweep01" / f"config-{run_id}.yaml"
        told.parent.mkdir(parents=True, exist_ok=True)
        told.write_text(yaml.safe_dump({"wandb_version": 1, **asked}))
        for name, value in (("SWEEP_ID", "sweep01"), ("RUN_ID", run_id), ("SWEEP_PARAM_PATH", str(told))):
            monkeypatch.setenv(f"WANDB_{name}", value)
        assert main(["train", *words, *small]) == 0
        (status,) = (tmp_path / "runs/sweep_attention_head").glob("*/s0/status.json")
        found = records(status.parent)
        run = of_kind(found, "run")[0]
        assert (run["run_id"], run["sweep_id"]) == (run_id, "sweep01")
        config = run["config"]["update"]
        assert (config["attention"], config["head"], config["seed"]) == ("none", 76, 0)
        best = read_json(status.parent / "results.json")["metrics"]["map50_95"]
        assert summary_of(found)[sweep["metric"]["name"]] == pytest.approx(best)
        wandb.teardown()
        time.sleep(1.1)  # W&B names its folders by the second
    assert len(list(status.parent.glob("wandb/offline-run-*"))) == 2
    assert os.environ.get("WANDB_SWEEP_ID") == "sweep01"
