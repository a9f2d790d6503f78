"""A training resumed in the middle of an epoch sees the data of the uninterrupted one."""

import multiprocessing
from pathlib import Path

import pytest
import torch
from painted_data import BATCH, Linear, fit, make_data
from pytorch_lightning import Trainer

from lightdet.core.errors import LightdetError


@pytest.mark.parametrize(("num_workers", "every", "stop"), [(0, 1, 7), (0, 3, 7), (0, 3, 4), (2, 1, 7), (0, 1, 11)])
def test_resumed_training_equals_the_uninterrupted_one(tmp_path: Path, num_workers: int, every: int, stop: int) -> None:
    whole = fit(tmp_path, tmp_path / "whole", every)
    first = fit(tmp_path, tmp_path / "parts", every, num_workers, stop=stop)
    rest = fit(tmp_path, tmp_path / "parts", every, num_workers, resume=str(tmp_path / "parts" / "last.ckpt"))

    assert [epoch for epoch, _, _ in whole.seen] == [0] * 5 + [1] * 5 + [2] * 5
    saved = stop // every * every  # steps in the last checkpoint
    assert first.seen == whole.seen[:stop]
    assert rest.seen == whole.seen[saved:]
    assert torch.equal(rest.layer.weight, whole.layer.weight)
    assert torch.equal(rest.layer.bias, whole.layer.bias)
    assert rest.validated == [entry for entry in whole.validated if entry[1] > saved]


def test_other_data_is_not_resumed(tmp_path: Path) -> None:
    state = make_data(tmp_path).train_dataloader().state_dict()
    make_data(tmp_path).train_dataloader().load_state_dict(state)
    with pytest.raises(LightdetError, match="images 22 -> 23"):
        make_data(tmp_path, train=23).train_dataloader().load_state_dict(state)


def test_overfit_sees_the_same_plain_images(tmp_path: Path) -> None:
    model = Linear()
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=2,
        overfit_batches=2,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, datamodule=make_data(tmp_path))
    first, second = model.seen[:2], model.seen[2:]
    assert [ids for _, _, ids in first] == [ids for _, _, ids in second]
    assert first[0][2] == tuple(f"train{index:03d}.png" for index in range(BATCH))


def test_overfitting_resumed_inside_an_epoch_equals_the_uninterrupted_one(tmp_path: Path) -> None:
    whole = fit(tmp_path, tmp_path / "whole", 1, few=3)
    first = fit(tmp_path, tmp_path / "parts", 1, stop=4, few=3)
    rest = fit(tmp_path, tmp_path / "parts", 1, resume=str(tmp_path / "parts" / "last.ckpt"), few=3)
    assert len(whole.seen) == 9
    assert [*first.seen, *rest.seen] == whole.seen
    assert torch.equal(rest.layer.weight, whole.layer.weight)


def test_workers_stop_with_the_training(tmp_path: Path) -> None:
    before = set(multiprocessing.active_children())
    fit(tmp_path, tmp_path / "checkpoints", every=5, num_workers=2, stop=7)
    assert set(multiprocessing.active_children()) == before
