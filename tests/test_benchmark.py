"""Detectors measured beside each other: the candidates, what is counted, and the reason when a backend fails."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from tiny_datasets import write_voc
from torch import Tensor, nn

from lightdet.benchmark import command
from lightdet.benchmark.candidate import _validation_image, candidates, combinations
from lightdet.benchmark.memory import peak_bytes
from lightdet.benchmark.order import disagreements, timed
from lightdet.cli.main import main
from lightdet.config.compose import compose_config
from lightdet.core.errors import LightdetError
from lightdet.core.timing import interleaved, paired_ratio
from lightdet.engine.load import build_model
from lightdet.engine.train import write_config
from lightdet.nn.backend import BACKENDS, Prepared
from lightdet.runs.folder import BEST, RunFolder

SMALL = ["width=0.125", "image_size=64"]


def test_a_benchmark_is_a_sweep_of_overrides_and_names_what_differs() -> None:
    assert [name for name, _ in combinations(["model=yolov5s,proposed", "depth=1"])] == ["yolov5s", "proposed"]
    crossed = combinations(["model=proposed", "attention=cbam,none", "head=76,38"])
    assert [name for name, _ in crossed][:2] == ["attention=cbam head=76", "attention=cbam head=38"]
    assert crossed[3][1] == ["model=proposed", "attention=none", "head=38"]


def test_jobs_that_are_one_network_are_measured_once() -> None:
    found = candidates(["attention=cbam,none", "head=76,38", "width=0.125"], 64)
    assert [each.name for each in found] == [
        "attention=cbam head=76",
        "attention=cbam head=38",
        "attention=none head=76",
    ]


def test_a_word_that_takes_a_value_away_is_no_folder() -> None:
    plain, without = [candidates(["model=light", *words], 64)[0] for words in ([], ["~model.network.predictor.hidden"])]
    assert without.key != plain.key, "the predictor is then as wide as its finest map"


def test_options_from_outside_take_part(tmp_path: Path) -> None:
    (tmp_path / "attention").mkdir()
    option = "# @package model.network\nattention: {_target_: lightdet.attention.eca.Eca, _partial_: true}\nhead: all\n"
    (tmp_path / "attention" / "mine.yaml").write_text(option)
    mine, eca = candidates(["model=proposed", "attention=mine,eca", "head=all", "width=0.125"], 64, tmp_path)
    assert (mine.name, eca.name) == ("attention=mine", "attention=eca") and mine.parameters == eca.parameters


def test_a_run_whose_validation_images_are_elsewhere_is_measured_without_one() -> None:
    words = ["data=voc", "data.reader.root=/nowhere", "data.reader.classes=[dent]"]
    assert _validation_image(compose_config(words)) is None


def test_the_validation_image_of_a_run_is_what_its_detector_takes(tmp_path: Path) -> None:
    write_voc(tmp_path)
    words = ["data=neu_det", f"data.reader.root={tmp_path}", "data.reader.classes=[scratch,dent]", "image_size=64"]
    image = _validation_image(compose_config(words))
    assert image is not None and image.shape == (1, 3, 64, 64)
    assert image.dtype == torch.float32 and 0.5 < image.max() <= 1


def run_and_show(run: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The tables of a benchmark of a run beside a preset of 608 px."""
    out = run.parents[1] / "out"
    words = [str(run), "model=ssdlite_mobilenetv2", "--rounds", "1", "--threads", "1", "--out", str(out)]
    assert main(["benchmark", *words, "--backends", "eager"]) == 0
    return capsys.readouterr().out


def test_the_image_of_a_run_has_the_size_of_the_benchmark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_voc(tmp_path / "data")
    words = ["data=neu_det", f"data.reader.root={tmp_path / 'data'}", "data.reader.classes=[scratch,dent]", *SMALL]
    config, folder = compose_config(words), RunFolder(tmp_path / "run" / "s0")
    data = instantiate(config.data, _convert_="all")
    data.setup("fit")
    config = write_config(config, data, folder)
    weights = build_model(config, 2, fetch=False).state_dict()
    folder.checkpoints.mkdir(parents=True, exist_ok=True)
    torch.save({"ema": {"weights": weights}, "epoch": 0}, folder.checkpoints / BEST)
    (found,) = candidates([str(folder.path)], 96)
    assert found.image is not None and found.image.shape == (1, 3, 96, 96)
    (found,) = candidates([str(folder.path)])
    assert found.image is not None and found.image.shape == (1, 3, 64, 64), (
        "the run's own size, unless another is given"
    )
    shown = run_and_show(folder.path, capsys)
    assert "608 px" in shown and "64 px" in shown and "each at its own input size" in shown
    rows = json.loads((tmp_path / "out/benchmark.json").read_text())["rows"]
    assert [row["footprint"]["image_size"] for row in rows] == [64, 608]


def test_rounds_take_turns_and_ratios_are_paired() -> None:
    order: list[str] = []
    times = interleaved({name: lambda name=name: order.append(name) for name in "abc"}, rounds=3, warm_up=0)
    assert "".join(order) == "abcbcacab"
    assert all(len(values) == 3 for values in times.values())
    assert paired_ratio([1.0, 4.0, 9.0], [2.0, 4.0, 3.0])["median"] == 1.0  # of 0.5, 1 and 3, not 4 / 3


def test_peak_memory_is_what_lives_at_one_moment() -> None:
    x = torch.zeros(256)  # made outside: not counted

    def call() -> Tensor:
        once = torch.relu(x)  # 1024 bytes
        twice = torch.cat((once, once))  # and 2048
        del once
        return twice + 1  # 2048 + 2048

    assert peak_bytes(call) == 4096
    assert peak_bytes(lambda: x.view(16, 16).mul_(1)) == 0, "views and changes in place hold nothing new"


class Maps(nn.Module):
    """A network in the small: one convolution, two maps."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, images: Tensor) -> list[Tensor]:
        fine = self.conv(images)
        return [fine, fine[..., ::2, ::2] * 2]


@pytest.mark.parametrize("backend", ["eager", "channels-last", "onnxruntime", "openvino-f32"])
def test_every_backend_gives_the_networks_own_numbers(backend: str) -> None:
    pytest.importorskip({"onnxruntime": "onnxruntime", "openvino-f32": "openvino"}.get(backend, "torch"))
    network, images = Maps().eval(), torch.rand(2, 3, 8, 8)
    prepared = BACKENDS[backend](network, images, 1)
    with torch.inference_mode():
        expected = network(images)
    for one, other in zip(expected, prepared.call(), strict=True):
        assert torch.allclose(one, torch.as_tensor(other), atol=1e-5)
    if backend != "eager":
        assert prepared.difference is not None and prepared.difference < 1e-5


class Answering(Maps):
    """`Maps` whose copies, which the other backends run, return `change(fine)` in place of the fine map."""

    def __init__(self, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.change, self.copied = change, False

    def __deepcopy__(self, memo: Any) -> "Answering":
        copied = Answering(self.change)
        copied.load_state_dict(self.state_dict())
        copied.copied = True
        return copied

    def forward(self, images: Tensor) -> list[Tensor]:
        fine, coarse = super().forward(images)
        return [self.change(fine) if self.copied else fine, coarse]


def one_nan(fine: Tensor) -> Tensor:
    return torch.where(torch.arange(fine.shape[-1]) == 3, float("nan"), fine)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (one_nan, "the difference is nan of the size of map 0"),
        (lambda fine: fine[..., :1, :1], r"map 0 is \(2, 4, 1, 1\), in eager PyTorch \(2, 4, 8, 8\)"),
        (lambda fine: fine.flip(-1), "of the size of map 0"),
    ],
)
def test_a_backend_with_other_maps_fails(change: Callable[[Tensor], Tensor], said: str) -> None:
    with pytest.raises(LightdetError, match=said):
        BACKENDS["channels-last"](Answering(change).eval(), torch.rand(2, 3, 8, 8), 1)


def test_rounding_and_another_order_of_regions_are_no_failure() -> None:
    images = torch.rand(2, 3, 8, 8)
    rounded = BACKENDS["channels-last"](Answering(lambda fine: fine.bfloat16().float()).eval(), images, 1)
    assert rounded.difference is not None and 0 < rounded.difference < 0.05
    regions = Answering(lambda fine: fine.flip(-1)).eval()
    regions.any_order = True  # type: ignore[assignment]
    moved = BACKENDS["channels-last"](regions, images, 1)
    assert moved.difference is not None and moved.difference > 0.05
    with torch.device("meta"):
        network = build_model(compose_config(["model=faster_rcnn"]), 6).network
    assert copy.deepcopy(network).any_order


def test_the_command_leaves_its_numbers_with_the_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["benchmark", "model=proposed,yolov5s", *SMALL, "--against", "yolov5s", "--rounds", "2", "--threads", "1"]
    assert main([*words, "--backends", "eager", "channels-last", "--batch", "1", "2", "--out", str(tmp_path)]) == 0
    facts = json.loads((tmp_path / "benchmark.json").read_text())
    assert facts["machine"]["torch"] == torch.__version__.split("+")[0] and facts["settings"]["threads"] == 1
    ours, theirs = facts["rows"]
    assert [ours["name"], theirs["name"]] == ["proposed", "yolov5s"]
    assert ours["footprint"]["gflops"] == pytest.approx(2 * ours["footprint"]["macs"] / 1e9)
    assert theirs["batches"]["2"]["channels-last"]["ratio"]["median"] == 1
    assert ours["batches"]["1"]["channels-last"]["difference"] < 1e-3
    written = (tmp_path / "benchmark.md").read_text()
    assert "GFLOPs at 64 px (2 x MAC)" in written and facts["machine"]["processor"] in written
    assert "proposed" in capsys.readouterr().out

    facts["machine"]["processor"] = "another"
    (tmp_path / "benchmark.json").write_text(json.dumps(facts))
    assert main([*words, "--backends", "eager", "--out", str(tmp_path)]) == 2, "machines are not mixed"
    told = capsys.readouterr()
    assert "another machine" in told.err and not told.out, "nothing is measured in vain"


def test_a_backend_that_fails_gives_its_reason_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(network: nn.Module, images: Tensor, threads: int) -> Prepared:
        raise RuntimeError("no such operator\nand a long story")

    monkeypatch.setitem(BACKENDS, "compiled", broken)
    words = ["model=proposed", *SMALL, "--backends", "eager", "compiled", "--rounds", "1", "--threads", "1"]
    assert command.benchmark(words) == 1
    shown = capsys.readouterr().out
    assert "no such operator" in shown and "long story" not in shown


def measured(name: str, gflops: float, low: float, middle: float, high: float) -> dict[str, Any]:
    found = {"ms": {"median": middle, "q25": low, "q75": high}}
    return {"name": name, "footprint": {"gflops": gflops}, "batches": {"1": {"eager": found}}}


def test_where_operations_and_time_disagree_is_said_in_words() -> None:
    light = measured("light", 1.0, 9, 10, 11)
    heavy = measured("heavy", 4.0, 19, 20, 21)
    deep = measured("deep", 2.0, 24, 25, 26)  # half of heavy's operations, but slower
    equal = measured("equal", 3.0, 18, 20.5, 22)  # slower than heavy by its median alone
    facts = {"settings": {"ways": ["eager", "compiled"]}, "rows": [heavy, light, deep, equal]}
    assert [(row["name"], row["by_flops"], row["by_time"]) for row in timed(facts, 1, "eager")] == [
        ("heavy", 4, 2),
        ("light", 1, 1),
        ("deep", 2, 4),
        ("equal", 3, 3),
    ]
    assert disagreements(facts, 1) == [
        "eager: deep (place 2 by FLOPs, 4 by time) is slower than heavy (0.50 of its operations, 1.25 of its time), "
        "equal (0.67 of its operations, 1.22 of its time)."
    ]
    assert disagreements({**facts, "rows": [heavy, light]}, 1) == ["eager: time follows operations."]
    assert disagreements({**facts, "rows": [light]}, 1) == []


def test_the_norms_of_a_preset_keep_its_maps_from_fading() -> None:
    (found,) = candidates(["model=hybrid_attention", "width=0.125"], 64)
    with torch.no_grad():
        raw = found.network(torch.rand(2, 3, 64, 64))
    assert all(one[0].sub(one[1]).abs().max() > 1e-3 for one in raw), "the images are still to be seen in the answers"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["image_size=100"], "multiple of 32"),
        (["model=proposed", "--against", "yolov9"], "yolov9"),
        (["model=proposed", "--batch", "0"], "--batch"),
        (["no/such/folder"], "no/such/folder"),
    ],
)
def test_bad_input_is_one_line(words: list[str], said: str) -> None:
    with pytest.raises(LightdetError, match=said):
        command.benchmark(words)
