"""A run that began from pretrained weights is resumed, measured and used where nothing can be fetched."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import timm
import torch
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf
from test_models import batch, composed
from torchvision.models import MobileNet_V2_Weights, mobilenet_v2

from lightdet.backbone.timm import Timm
from lightdet.benchmark.candidate import candidates
from lightdet.core.errors import underneath
from lightdet.engine.load import build_model, load_run
from lightdet.engine.train import train, write_config
from lightdet.model.yolo import YoloDetector
from lightdet.nn.pretrained import fetches, weights_follow
from lightdet.report import cost
from lightdet.runs.folder import BEST, LAST, RunFolder
from lightdet.study.search import latency

PRETRAINED = {
    "timm": [
        "width=0.125",
        "backbone=timm",
        "model.network.backbone.name=resnet10t",
        "model.network.backbone.pretrained=true",
    ],
    "torchvision": ["model=ssdlite_mobilenetv2", "model.network.pretrained_backbone=true"],
}
TINY = (
    "data.reader.train_images=4",
    "data.reader.val_images=2",
    "data.reader.size=96",
    "image_size=64",
    "data.batch_size=2",
    "trainer.device=cpu",
    "trainer.precision=32-true",
    "trainer.channels_last=false",
    "trainer.progress=none",
    "logger=none",
)


def connect(monkeypatch: pytest.MonkeyPatch, online: bool) -> None:
    """Both libraries find weights, all of them 0.01, or nothing."""

    def created(name: str, pretrained: bool, **settings: Any) -> Any:
        if pretrained and not online:
            raise OSError("no network")
        features = create(name, **settings)
        for parameter in features.parameters() if pretrained else ():
            parameter.data.fill_(0.01)
        return features

    def state(*_: object, **__: object) -> dict[str, torch.Tensor]:
        if not online:
            raise OSError("no network")
        return {name: torch.full_like(value, 0.01) for name, value in mobilenet_v2().state_dict().items()}

    create: Callable[..., Any] = getattr(timm.create_model, "real", timm.create_model)
    created.real = create  # type: ignore[attr-defined]
    monkeypatch.setattr(timm, "create_model", created)
    monkeypatch.setattr(MobileNet_V2_Weights, "get_state_dict", state)


def run_of(words: list[str], folder: RunFolder) -> DictConfig:
    """A run folder of an untrained detector with random weights."""
    config = composed(*words, "image_size=64", "model.score_threshold=0")
    classes = [f"class {number}" for number in range(6)]
    data: Any = SimpleNamespace(num_classes=6, classes=classes, records={})
    settled = write_config(config, data, folder)
    with weights_follow():
        detector = build_model(config, 6)
    folder.checkpoints.mkdir()
    torch.save({"epoch": 3, "ema": {"weights": detector.state_dict()}}, folder.checkpoints / BEST)
    return settled


@pytest.mark.parametrize("library", PRETRAINED)
def test_a_run_is_used_offline(library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, online=False)
    folder = RunFolder(tmp_path / "run" / "s0")
    config = run_of(PRETRAINED[library], folder)
    kept = torch.load(folder.checkpoints / BEST, weights_only=True)["ema"]["weights"]
    loaded = load_run(folder.path).model
    assert all(torch.equal(value, kept[name]) for name, value in loaded.state_dict().items())
    with torch.inference_mode():
        assert len(loaded.detect(batch()[0])) == 2
    (found,) = candidates([str(folder.path)], 64)
    assert found.run == str(folder.path)
    assert candidates([*PRETRAINED[library], "image_size=64"], 64)
    latency.main(str(folder.path), rounds=1, threads=torch.get_num_threads())
    row: Any = SimpleNamespace(number=1, jobs=[SimpleNamespace(config=OmegaConf.to_container(config))])
    costs = cost.read_costs([row], tmp_path, tmp_path, [64], seconds=60)
    assert costs.gflops[1, 64] > 0 and costs.notes == []


def test_what_else_a_pretrained_network_does_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, online=False)
    with weights_follow():
        assert not fetches()
        backbone = Timm("resnet10t", pretrained=True).eval()
        ssd = build_model(composed("model=ssd", "model.network.pretrained_backbone=true"), 6)
    assert fetches() and backbone.pretrained
    seen: list[torch.Tensor] = []
    backbone.features.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    backbone(torch.full((1, 3, 32, 32), 0.5))
    assert seen[0][0, 0, 0, 0].item() == pytest.approx(0.015 / 0.229, abs=1e-5)
    transform: Any = ssd.network.model.transform  # type: ignore[union-attr]
    assert transform.image_std == [1 / 255] * 3


@pytest.mark.parametrize("library", PRETRAINED)
def test_a_training_begins_from_them_and_is_resumed_without(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = composed(*PRETRAINED[library], *TINY, f"data.reader.cache={tmp_path}", "trainer.max_epochs=1")
    connect(monkeypatch, online=False)
    with pytest.raises(InstantiationException) as refused:
        train(config, RunFolder(tmp_path / "never"))
    assert "pretrained" in str(underneath(refused.value))
    connect(monkeypatch, online=True)
    began = build_model(config, 6)
    if isinstance(began, YoloDetector):
        assert all((parameter == 0.01).all() for parameter in began.network.backbone.parameters())
    folder = RunFolder(tmp_path / "run")
    train(config, folder)
    connect(monkeypatch, online=False)
    config.trainer.max_epochs = 2
    assert train(config, folder)["epochs"] == 2
    assert torch.load(folder.checkpoints / LAST, weights_only=True)["epoch"] == 1
