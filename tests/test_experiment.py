"""The config group `experiment`: a whole named set-up in one file, from the clone or from outside."""

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from test_end_to_end import TINY

from lightdet.cli.main import main
from lightdet.config.compose import compose_config
from lightdet.runs.fingerprint import fingerprint

MINE = """
# @package _global_
defaults:
  - override /recipe: light
  - override /attention: none
optimizer:
  weight_decay: 0.0123
"""
SMALL = "# @package _global_\nmodel: {nms_iou: 0.5}\n"


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "options/experiment").mkdir(parents=True)
    (tmp_path / "options/experiment/mine.yaml").write_text(MINE.lstrip())
    (tmp_path / "options/experiment/small.yaml").write_text(SMALL)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "options"


def test_an_experiment_changes_groups_and_values_and_the_command_line_wins(
    options: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--config-dir", "options", "experiment=mine", "optimizer.lr=0.5", "--cfg", "job"]) == 0
    cfg = OmegaConf.create(capsys.readouterr().out)
    assert cfg.optimizer == {**cfg.optimizer, "_target_": "lightdet.optim.muon.Muon", "weight_decay": 0.0123, "lr": 0.5}
    assert cfg.model.network.attention is None
    assert "attention" in compose_config(["experiment=mine", "attention=cbam"], options).model.network
    assert compose_config(["experiment=mine", "recipe=none"], options).optimizer._target_ == "torch.optim.AdamW"


def test_without_an_experiment_a_fingerprint_is_what_it_was() -> None:
    words = ["data=neu_det", "model=light", "recipe=light", "image_size=224", "trainer.max_epochs=60"]
    assert fingerprint(compose_config(["experiment=neu_det"])) == fingerprint(compose_config(words))


def test_experiments_are_swept_and_named_in_the_rows(options: Path, tmp_path: Path) -> None:
    words = ["experiment=none,small", *TINY, f"data.reader.cache={tmp_path}/cache", "study=s"]
    assert main(["train", "--config-dir", "options", "-m", *words]) == 0
    rows = {path.stem: json.loads(path.read_text()) for path in Path("runs/s/jobs").glob("*.json")}
    assert {name: row["run"] for name, row in rows.items()} == {
        "experiment-none__s0": "experiment-none/s0",
        "experiment-small__s0": "experiment-small/s0",
    }
    assert rows["experiment-small__s0"]["choices"]["experiment"] == "small"
    assert OmegaConf.load("runs/s/experiment-small/s0/config.yaml").model.nms_iou == 0.5
    assert Path("runs/s/table.md").read_text().startswith("| experiment |")
