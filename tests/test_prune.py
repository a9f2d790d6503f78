"""Pruning: the channels that matter least go, and what is left is an ordinary run."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from small_run import SMALL_RUN
from torch import Tensor, nn

import lightdet
from lightdet.cli.main import main
from lightdet.config.compose import compose_config
from lightdet.core.errors import LightdetError
from lightdet.core.types import Batch
from lightdet.engine.load import build_model, load_run
from lightdet.metric.footprint import footprint
from lightdet.model.contract import Model
from lightdet.nn.widths import changed_widths, narrow, widths_of

pytest.importorskip("torch_pruning")
from lightdet.compress.prune import Prune

SIZE = 64


class Chain(nn.Module):
    """Three convolutions; of the 16 channels between the first two, `idle` compute nothing."""

    def __init__(self, idle: list[int]) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.second = nn.Conv2d(16, 16, 3, padding=1)
        self.last = nn.Conv2d(16, 4, 1)
        with torch.no_grad():
            self.first.weight[idle], self.first.bias[idle] = 0.0, 0.0

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.second(self.first(images).relu()).relu())


class ChainModel(Model):
    task = "chain"

    def __init__(self, idle: list[int]) -> None:
        super().__init__()
        self.network = Chain(idle)

    def losses(self, images: Tensor, targets: Any) -> dict[str, Tensor]:
        return {"square": self.network(images).square().mean()}

    def predict(self, images: Tensor) -> list[Any]:
        return list(self.network(images))

    def metric(self, classes: Any) -> Any:
        raise NotImplementedError


def preset(name: str, *words: str) -> tuple[Any, Model]:
    config = compose_config([f"model={name}", f"image_size={SIZE}", *words])
    torch.manual_seed(0)
    return config, build_model(config, 3, fetch=False).eval()


@pytest.mark.parametrize("importance", ["magnitude", "taylor"])
def test_channels_that_compute_nothing_are_those_that_go(importance: str) -> None:
    torch.manual_seed(0)
    idle = [1, 4, 5, 6, 9, 12, 13, 15]
    model = ChainModel(idle)
    images = torch.rand(2, 3, SIZE, SIZE)
    before = model.network(images)
    kept = model.network.first.weight.detach().clone()[[each for each in range(16) if each not in idle]]
    share = (8 * 3 * 9 + 16 * 8 * 9 + 64) / (16 * 3 * 9 + 16 * 16 * 9 + 64)  # multiplications of a pixel
    Prune(importance, flops=share + 1e-6).compress(model, SIZE, [Batch(images, [None, None])], {})  # type: ignore[list-item]
    assert widths_of(model.network) == {"first": [8, 3], "second": [16, 8], "last": [4, 16]}
    assert torch.equal(model.network.first.weight, kept)
    assert torch.allclose(model.network(images), before, atol=1e-6)
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("name", ["light", "proposed", "yolox_nano", "ssdlite_mobilenetv2", "light_classifier"])
def test_the_target_is_reached_and_the_widths_build_the_same_network(name: str) -> None:
    config, model = preset(name)
    whole = footprint(model.network, SIZE)
    before = widths_of(model.network)
    Prune(flops=0.6).compress(model, SIZE, [], {})
    assert 0.5 < footprint(model.network, SIZE)["macs"] / whole["macs"] <= 0.6
    widths = changed_widths(model.network, before)
    assert all(width[0] % 8 == 0 for name, width in widths.items() if width[0] != before[name][0])
    twin = build_model(config, 3, fetch=False).eval()
    narrow(twin.network, json.loads(json.dumps(widths)))
    twin.load_state_dict(model.state_dict())
    images = torch.rand(1, 3, SIZE, SIZE)
    found, expected = (each.predict(images)[0] for each in (twin, model))
    one, other = ((each.probabilities if name == "light_classifier" else each.scores) for each in (found, expected))
    assert torch.equal(one, other)


def test_parameters_as_a_number_and_the_same_share_of_every_layer() -> None:
    _, model = preset("light_classifier")
    whole = widths_of(model.network)
    Prune(scope="uniform", parameters=150_000, round_to=1).compress(model, SIZE, [], {})
    assert 120_000 < sum(parameter.numel() for parameter in model.network.parameters()) <= 150_000
    shares = {width[0] / whole[name][0] for name, width in changed_widths(model.network, whole).items()} - {1.0}
    assert shares and max(shares) - min(shares) < 0.1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "how much is left"),
        ({"flops": 0.5, "parameters": 10}, "how much is left"),
        ({"flops": 0.5, "latency": 0.5}, "how much is left"),
        ({"flops": 1.5}, "compress.flops"),
        ({"latency": 0.0}, "compress.latency"),
        ({"parameters": 0}, "compress.parameters=0"),
        ({"flops": 0.5, "importance": "luck"}, "compress.importance=luck: one of magnitude"),
        ({"flops": 0.5, "scope": "some"}, "compress.scope=some: one of global"),
    ],
)
def test_a_wrong_wish_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(LightdetError, match=words):
        Prune(**given)


def test_a_target_out_of_reach_and_a_network_that_counts_its_channels() -> None:
    with pytest.raises(LightdetError, match=r"compress\.keep"):
        Prune(flops=0.01, keep=0.5).compress(ChainModel([]), SIZE, [], {})
    _, model = preset("object_attention")
    with pytest.raises(LightdetError, match="cannot be pruned"):
        Prune(flops=0.5).compress(model, SIZE, [], {})


@pytest.mark.parametrize("widths", [{"first": [20, 3]}, {"first": [8]}, {"first": "8"}, {"nowhere": [8, 3]}])
def test_widths_that_a_network_cannot_have(widths: dict[str, Any]) -> None:
    with pytest.raises(LightdetError, match="widths: "):
        narrow(Chain([]), widths)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run, `whole`, and one that was pruned from it, `half`."""
    runs = tmp_path_factory.mktemp("runs")
    words = [*SMALL_RUN, "model=light", f"runs_dir={runs}"]
    assert main(["train", *words, "study=whole"]) == 0
    [whole] = (runs / "whole").glob("*/s0")
    pruned = ["compress=prune", "compress.flops=0.6", "compress.round_to=2", f"weights={whole}"]
    assert main(["train", *words, "study=half", *pruned]) == 0
    return runs


def only(runs: Path, study: str) -> Path:
    [run] = (runs / study).glob("*/s0")
    return run


def test_a_pruned_run_is_a_run(runs: Path, tmp_path: Path) -> None:
    whole, half = only(runs, "whole"), only(runs, "half")
    parameters = [json.loads((run / "results.json").read_text())["footprint"]["macs"] for run in (whole, half)]
    assert parameters[1] <= 0.6 * parameters[0]
    assert main(["evaluate", str(half)]) == 0
    package = tmp_path / "package"
    assert main(["export", str(half), "--out", str(package)]) == 0
    image = torch.rand(1, 3, 160, 160)
    one, other = (load_run(path).model.predict(image)[0].scores for path in (half, package))
    assert torch.equal(one, other)


def test_it_goes_on_from_its_checkpoint_and_is_pruned_again(runs: Path) -> None:
    half = only(runs, "half")
    before = copy.deepcopy(load_run(half).model.state_dict())
    status = json.loads((half / "status.json").read_text())
    (half / "status.json").write_text(json.dumps({**status, "state": "killed"}))
    (half / "results.json").unlink()
    words = [*SMALL_RUN, "model=light", f"runs_dir={runs}", "compress=prune", "compress.round_to=2"]
    again = [*words, "study=half", "compress.flops=0.6", f"weights={only(runs, 'whole')}"]
    assert main(["train", *again]) == 0
    assert all(torch.equal(value, before[name]) for name, value in load_run(half).model.state_dict().items())
    assert main(["train", *words, "study=quarter", "compress.flops=0.8", f"weights={half}"]) == 0
    sizes = [
        sum(each.numel() for each in lightdet.load(only(runs, study)).model.parameters())
        for study in ("half", "quarter")
    ]
    assert sizes[1] < sizes[0]


def test_pruning_needs_weights(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "model=light", "compress=prune", "compress.flops=0.5"]) == 2
    assert "weights=RUN" in capsys.readouterr().err
