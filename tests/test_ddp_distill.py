"""Two ranks train a taught network: each adapter is in each loss, before the average teaches and after."""

import csv
from pathlib import Path

import pytest
from test_ddp import EPOCHS, STEPS, configured, notes_of, run_in

from lightdet.config.trust import composed_here
from lightdet.runs.folder import RunFolder
from lightdet.runs.teachers import settle_teachers

TERMS = ("cwd", "mgd", "predictions", "bins", "relation")


def test_two_ranks_step_alike_while_an_average_teaches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taught = (f"distill=[{','.join(TERMS)}]", "distill.bins.least=0", "teacher=self", "schedule.warmup_epochs=1")
    config = configured(f"data.reader.cache={tmp_path / 'cache'}", "model=light", "width=0.0625", *taught)
    config = settle_teachers(config)
    config.optimizer = {
        "_target_": "ddp_probe.Probe",
        "_partial_": True,
        "lr": 0.0005,
    }  # an untrained average has small maps, which mgd divides by
    with composed_here(["ddp_probe"]):
        run_in(tmp_path / "run", config, monkeypatch)
    first, second = (notes_of(tmp_path / "run", 0, rank) for rank in (0, 1))
    assert len(first) == EPOCHS * STEPS and first == second
    with open(RunFolder(tmp_path / "run").metrics_csv, newline="") as file:
        rows = list(csv.DictReader(file))
    for term in TERMS:
        assert [float(row[f"train/distill_{term}"]) > 0 for row in rows] == [False, True], term
