"""A network is cut to a share of its time: the time is measured once, and what was chosen is kept."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from small_run import SMALL_RUN
from torch import nn

from lightdet.cli.main import main
from lightdet.config.compose import compose_config
from lightdet.core.errors import LightdetError
from lightdet.engine.load import build_model
from lightdet.metric.footprint import footprint
from lightdet.nn.widths import Widths, widths_of

pytest.importorskip("torch_pruning")
from lightdet.compress import prune
from lightdet.compress.latency import Stopwatch
from lightdet.compress.prune import Prune

SIZE = 64


class Slow:
    """A stopwatch that nothing disturbs: half of the time does not depend on the channels."""

    runtime = "a stub"
    looked = 0

    def __init__(self, whole: nn.Module, image_size: Any) -> None:
        self.image_size, self.whole = image_size, footprint(whole, image_size)["macs"]

    def share(self, narrower: nn.Module) -> float:
        type(self).looked += 1
        return 0.5 + 0.5 * float(footprint(narrower, self.image_size)["macs"]) / self.whole


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> type[Slow]:
    monkeypatch.setattr(prune, "Stopwatch", Slow)
    monkeypatch.setattr(Slow, "looked", 0)
    return Slow


def light() -> Any:
    torch.manual_seed(0)
    return build_model(compose_config(["model=light", f"image_size={SIZE}"]), 3, fetch=False).eval()


def test_the_time_is_reached_and_the_facts_cut_the_same_channels_again(slow: type[Slow]) -> None:
    model, again = light(), light()
    whole = footprint(model.network, SIZE)["macs"]
    done = Prune(latency=0.8).compress(model, SIZE, [], {})
    share = footprint(model.network, SIZE)["macs"] / whole
    assert 0.5 < share <= 0.6, "0.8 of the time is 0.6 of the operations, where half of the time stays"
    assert done.facts["latency"] == pytest.approx(0.5 + 0.5 * share)
    assert f"{done.facts['latency']:.2f} of the time in a stub" in done.told
    looked = slow.looked
    kept = Prune(latency=0.8).compress(again, SIZE, [], json.loads(json.dumps(done.facts)))
    assert slow.looked == looked, "measured again, it could come to other widths"
    assert kept == done and widths_of(again.network) == widths_of(model.network)


def test_a_time_out_of_reach_and_damaged_facts(slow: type[Slow]) -> None:
    with pytest.raises(LightdetError, match=r"0\.5\d of the time are left; lower compress.keep"):
        Prune(latency=0.4).compress(light(), SIZE, [], {})
    with pytest.raises(LightdetError, match="damaged"):
        Prune(latency=0.8).compress(light(), SIZE, [], {"removed": "all"})


@pytest.mark.parametrize("missing", [(), ("onnxruntime",)])
def test_the_stopwatch_times_a_narrower_network(missing: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    from lightdet.compress import latency

    find = latency.find_spec
    monkeypatch.setattr(latency, "find_spec", lambda name: None if name in missing else find(name))
    model = light()
    stopwatch = Stopwatch(model.network, SIZE)
    if not missing:
        pytest.importorskip("onnxruntime")
    assert stopwatch.runtime == ("PyTorch" if missing else "ONNX Runtime")
    cut = light()
    Prune(flops=0.3, round_to=2).compress(cut, SIZE, [], {})
    before: Widths = widths_of(model.network)
    assert stopwatch.share(cut.network) > 0
    assert widths_of(model.network) == before


def test_a_run_that_died_before_its_first_checkpoint_takes_the_kept_widths(slow: type[Slow], tmp_path: Path) -> None:
    words = [*SMALL_RUN, "model=light", f"runs_dir={tmp_path}"]
    assert main(["train", *words, "study=whole"]) == 0
    [whole] = tmp_path.glob("whole/*/s0")
    cut = [*words, "study=cut", f"weights={whole}", "compress=prune", "compress.latency=0.8", "compress.round_to=2"]
    assert main(["train", *cut]) == 0
    [run] = tmp_path.glob("cut/*/s0")
    widths, looked = json.loads((run / "widths.json").read_text()), slow.looked
    assert looked and json.loads((run / "compression.json").read_text())["runtime"] == "a stub"
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps({**status, "state": "killed"}))
    for name in ("results.json", "widths.json", "checkpoints/last.ckpt", "checkpoints/best.ckpt"):
        (run / name).unlink()
    assert main(["train", *cut]) == 0
    assert slow.looked == looked and json.loads((run / "widths.json").read_text()) == widths


def test_two_targets_are_refused_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["weights=nowhere", "compress=prune", "compress.flops=0.5", "compress.latency=0.5"]
    assert main(["train", "model=light", *words]) == 2
    assert "how much is left" in capsys.readouterr().err
