"""Sharing BatchNorm's statistics between ranks changes nothing else: one process computes what it did before."""

import copy
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from test_models import batch, composed, yolo
from torch import nn

from lightdet.core.errors import LightdetError
from lightdet.core.score import monitor_of
from lightdet.distributed.shared_norms import SharedNorms
from lightdet.distributed.world import World
from lightdet.metric.detection_scores import DETECTION_SCORES
from lightdet.model.yolo import YoloDetector
from lightdet.optim.precision import PLAIN, Choice
from lightdet.runs.folder import RunFolder
from lightdet.task.trainer import build_trainer


@pytest.fixture(scope="module")
def built() -> YoloDetector:
    """Norms of timm, with activations in them, behind the backbone's convolutions, and ours in the neck."""
    return yolo("backbone=timm", "width=0.125")


def kinds(model: nn.Module) -> dict[str, type]:
    return {name: type(part) for name, part in model.named_modules()}


def test_what_a_norm_does_beside_normalising_stays(built: YoloDetector) -> None:
    plain, shared, images = built.train(), SharedNorms(), batch()[0]
    synced = shared.apply(copy.deepcopy(plain))
    norms = [part for part in plain.modules() if isinstance(part, nn.BatchNorm2d)]
    assert sum(isinstance(part, nn.SyncBatchNorm) for part in synced.modules()) == len(norms) > 20
    assert list(synced.state_dict()) == list(plain.state_dict())
    assert [name for name, _ in synced.named_parameters()] == [name for name, _ in plain.named_parameters()]
    for one, other in zip(plain.network(images), synced.network(images), strict=True):  # alone, it is F.batch_norm
        assert torch.equal(one, other)

    back = shared.revert(synced.to(torch.float64).eval())  # buffers are new tensors after a move
    assert kinds(back) == kinds(plain) and not back.training
    expected = copy.deepcopy(plain).to(torch.float64).eval()
    for name, value in back.state_dict().items():
        assert torch.equal(value, expected.state_dict()[name]), name
    with torch.no_grad():
        for one, other in zip(expected.network(images.double()), back.network(images.double()), strict=True):
            assert torch.equal(one, other)


def test_a_norm_that_nobody_knows_is_refused() -> None:
    class Own(nn.BatchNorm2d):
        pass

    with pytest.raises(LightdetError, match=r"Own .* trainer\.sync_batchnorm=false"):
        SharedNorms().apply(nn.Sequential(nn.Conv2d(3, 3, 1), Own(3)))


@pytest.mark.parametrize(("ranks", "wanted", "shares"), [(2, "auto", True), (2, False, False), (1, "auto", False)])
def test_the_trainer_gets_the_norms_that_its_ranks_share(
    ranks: int, wanted: Any, shares: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(pl, "Trainer", lambda **settings: given.update(settings))
    settings = composed(f"trainer.sync_batchnorm={wanted}", f"trainer.devices={ranks}").trainer
    world = World(rank=0, ranks=ranks) if ranks > 1 else World()
    monitor = monitor_of("primary", DETECTION_SCORES, ())
    folder, choice = RunFolder(tmp_path), Choice(PLAIN, False)
    build_trainer(settings, folder, torch.device("cuda"), choice, [], monitor, DETECTION_SCORES, world)
    assert any(isinstance(plugin, SharedNorms) for plugin in given["plugins"]) == shares
    assert not given.get("sync_batchnorm"), "torch's own conversion drops activations"
