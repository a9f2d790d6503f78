"""A run whose folder moved remembers its best score and where the file lies now."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from lightdet.callback.best_checkpoint import BestCheckpoint
from lightdet.core.score import Monitor

MONITOR = Monitor("val/map50_95", higher_is_better=True)


def test_the_best_score_survives_a_move(tmp_path: Path) -> None:
    there, here = tmp_path / "node" / "checkpoints", tmp_path / "home" / "checkpoints"
    before = BestCheckpoint(there, "best", MONITOR)
    before.best_model_score = before.kth_value = torch.tensor(0.7)
    before.best_model_path = before.kth_best_model_path = str(there / "best.ckpt")
    before.best_k_models = {before.best_model_path: before.best_model_score}
    after = BestCheckpoint(here, "best", MONITOR)
    after.load_state_dict(before.state_dict())
    assert after.best_model_score == after.kth_value == 0.7
    assert after.best_model_path == after.kth_best_model_path == str(here / "best.ckpt")
    assert after.best_k_models == {str(here / "best.ckpt"): torch.tensor(0.7)}
    alone: Any = SimpleNamespace(strategy=SimpleNamespace(reduce_boolean_decision=bool))
    assert not after.check_monitor_top_k(alone, torch.tensor(0.6))
    assert after.check_monitor_top_k(alone, torch.tensor(0.8))
    assert after.state_key == before.state_key


def test_a_state_without_a_best_file_is_taken_as_it_is(tmp_path: Path) -> None:
    before, after = (BestCheckpoint(tmp_path / name, "best", MONITOR) for name in "ab")
    after.load_state_dict({**before.state_dict(), "dirpath": str((tmp_path / "b").resolve())})
    assert after.best_model_score is None
    assert after.best_k_models == {}
