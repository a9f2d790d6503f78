"""int8 after training: near to the model, layers that lose are found and kept in float, and what cannot be saved is
rejected with the layer's name."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from exported import Exported

from lightdet.cli.main import main
from lightdet.core.errors import LightdetError
from lightdet.data.record import Record
from lightdet.engine.load import load_run
from lightdet.engine.run_data import data_of
from lightdet.export import calibration, int8, int8_trials
from lightdet.export.calibration import MINMAX, Activations, Start, chosen
from lightdet.export.int8 import Recipe, layers, quantized, tensors
from lightdet.export.int8_trials import started
from lightdet.export.sensitivity import answers, effects, errors
from lightdet.ops.letterbox import letterbox_image
from lightdet.runtime import load

pytest.importorskip("onnxruntime")
OUTPUTS = ("probabilities",)


class Tiny(torch.nn.Module):
    """Three convolutions; the input of the second has one channel that is far larger than the others."""

    def __init__(self, outlier: float) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Conv2d(3, 8, 3), torch.nn.Conv2d(8, 8, 3)
        self.third = torch.nn.Conv2d(8, 4, 1)
        with torch.no_grad():
            self.first.weight[0] *= outlier
            self.first.bias[0] *= outlier
            self.second.weight[:, 0] /= outlier

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pixels = images.permute(0, 3, 1, 2).float() / 255
        hidden = torch.nn.functional.hardswish(self.second(torch.relu(self.first(pixels))))
        return (10 * self.third(hidden).mean((2, 3))).softmax(1)


def _graph(folder: Path, outlier: float = 1.0) -> onnx.ModelProto:
    torch.manual_seed(0)
    path = folder / "tiny.onnx"
    example = torch.zeros(1, 16, 16, 3, dtype=torch.uint8)
    names = ["images"], list(OUTPUTS)
    axes = {name: {0: "batch"} for each in names for name in each}
    torch.onnx.export(
        Tiny(outlier),
        (example,),
        str(path),
        input_names=names[0],
        output_names=names[1],
        dynamic_axes=axes,
        dynamo=False,
    )
    return onnx.load(str(path))


@pytest.fixture
def start() -> Iterator[Start]:
    with started(".onnx") as start:
        yield start


@pytest.fixture
def images() -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(20, 200, (8, 16, 16, 3), dtype=np.uint8))


def test_biases_make_up_for_what_rounded_weights_lose() -> None:
    generator = np.random.default_rng(0)
    lost, means = generator.normal(size=(6, 2, 3, 3)), generator.normal(size=4)
    pixels = torch.from_numpy(np.broadcast_to(means[None, :, None, None], (1, 4, 3, 3)).copy())
    expected = torch.nn.functional.conv2d(pixels, torch.from_numpy(lost), groups=2).flatten()
    assert int8.lost_on_average(lost, means) == pytest.approx(expected.numpy(), rel=1e-5)


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(outputs=False), Recipe(signed=True), Recipe(weight_bits=7)])
def test_an_int8_graph_says_what_the_model_says(
    recipe: Recipe, tmp_path: Path, start: Start, images: list[np.ndarray]
) -> None:
    graph = _graph(tmp_path)
    activations = Activations(graph, tensors(graph), images, start)
    ranges, means = activations.ranges(recipe.clip), activations.means
    made = quantized(graph, ranges, means, recipe)
    onnx.checker.check_model(made, full_check=True)
    assert {each.data_type for each in made.graph.initializer if each.name.endswith("/weight")} == {
        onnx.TensorProto.INT8
    }
    expected = answers(start(graph), images, OUTPUTS)
    assert 0 < errors(expected, answers(start(made), images, OUTPUTS)).max() < 0.05
    kept = quantized(graph, ranges, means, Recipe(kept=tuple(layers(graph))))
    assert errors(expected, answers(start(kept), images, OUTPUTS)).max() < 1e-5


def test_openvino_computes_one_image_and_several_alike(tmp_path: Path, images: list[np.ndarray]) -> None:
    pytest.importorskip("openvino")
    graph = _graph(tmp_path)
    with started(".xml") as start:
        activations = Activations(graph, tensors(graph), images, start)
        recipe = Recipe(outputs=False)
        run = start(quantized(graph, activations.ranges(recipe.clip), activations.means, recipe))
        one = answers(run, images, OUTPUTS)
        several = run(np.stack(images), OUTPUTS)
        expected = answers(start(graph), images, OUTPUTS)
    assert np.abs(one[0] - several[0]).max() < 0.01 * np.abs(expected[0]).max()
    assert errors(expected, one).max() < 0.05


def test_pixels_stay_exact_and_rules_differ(
    tmp_path: Path, start: Start, images: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "PERCENT", 99.0)
    graph = _graph(tmp_path, outlier=50.0)
    activations = Activations(graph, tensors(graph), images, start)
    for rule in (MINMAX, calibration.PERCENTILE, calibration.LEAST_ERROR):
        assert next(iter(activations.ranges(rule).values())) == (0.0, 1.0), "256 values, though the images have fewer"
    first = activations.ranges(MINMAX)
    for rule in (calibration.PERCENTILE, calibration.LEAST_ERROR):
        narrow = activations.ranges(rule)
        assert all(first[name][0] <= low <= high <= first[name][1] for name, (low, high) in narrow.items())
        assert narrow != first or rule != calibration.PERCENTILE


def test_the_layer_that_was_made_bad_is_found(tmp_path: Path, start: Start, images: list[np.ndarray]) -> None:
    graph = _graph(tmp_path, outlier=300.0)
    activations = Activations(graph, tensors(graph), images, start)
    ranges, means = activations.ranges(MINMAX), activations.means
    expected = answers(start(graph), images, OUTPUTS)
    found = effects(graph, images, expected, activations, Recipe(outputs=False), start, OUTPUTS)
    assert found[0].layer == layers(graph)[1] and len(found) == 3
    assert found[0].error > 3 * found[1].error
    mixed = quantized(graph, ranges, means, Recipe(outputs=False, kept=(found[0].layer,)))
    whole = quantized(graph, ranges, means, Recipe(outputs=False))
    mixed_error, whole_error = (
        errors(expected, answers(start(each), images, OUTPUTS)).mean() for each in (mixed, whole)
    )
    assert mixed_error < whole_error / 3


def test_a_graph_without_convolutions_is_refused(tmp_path: Path) -> None:
    graph = _graph(tmp_path)
    del graph.graph.node[:]
    with pytest.raises(LightdetError, match="no convolution"):
        layers(graph)


def test_an_int8_file_passes_its_gate_and_tells_how_it_was_made(
    made: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its ranges come from images of the training split alone, placed and not augmented."""
    seen: list[np.ndarray] = []
    kept = calibration.placed

    def watched(records: list[Record], place: calibration.Place) -> list[np.ndarray]:
        found = kept(records, place)
        seen.extend(found)
        return found

    monkeypatch.setattr(int8_trials, "placed", watched)
    out = tmp_path / "small.onnx"
    assert main(["export", str(made.run.path), "--format", "onnx", "--precision", "int8", "--out", str(out)]) == 0
    loaded = load_run(made.run.path)
    records = data_of(loaded.config, loaded.classes).records["train"]
    plain = [letterbox_image(record_pixels(record), loaded.image_size)[0].tobytes() for record in records]
    assert seen and {image.tobytes() for image in seen} <= set(plain)

    precision = load(out).contract.content["precision"]
    assert precision["name"] == "int8" and precision["recipe"]["kept"] == [] and len(precision["recipes_tried"]) == 5
    assert precision["calibration"]["images"] == len(seen) and precision["made_on"]["processor"]
    operations = {node.op_type for node in onnx.load(str(out)).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= operations
    assert load(out)(str(made.image))


def record_pixels(record: Record) -> np.ndarray:
    return calibration.read_image(record.path, record.bits)


def test_layers_that_saturate_are_kept_in_float_or_named(
    made: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = "/network/predictor/convs.0/Conv"
    right = int8._Writer.bias

    def overflowing(writer: int8._Writer, node: onnx.NodeProto, values: np.ndarray, scales: np.ndarray) -> None:
        right(writer, node, values + 20 if node.name == bad else values, scales)

    monkeypatch.setattr(int8._Writer, "bias", overflowing)
    out = tmp_path / "small.onnx"
    words = ["export", str(made.run.path), "--format", "onnx", "--precision", "int8", "--out", str(out)]
    assert main(words) == 0
    precision = load(out).contract.content["precision"]
    assert precision["recipe"]["kept"] == [bad] and precision["effects"][0]["layer"] == bad
    monkeypatch.setattr(int8_trials, "KEPT", ())
    assert main(words) == 2
    assert f"layer {bad} loses most" in capsys.readouterr().err
    assert not json.loads((tmp_path / "small.rejected.onnx.verdict.json").read_text())["passed"]


def test_calibration_shows_rare_classes_first() -> None:
    labels = [[0], [0], [0], [1], [0], [0, 1], [0], []]

    class Labelled:
        def __init__(self, values: list[int]) -> None:
            self.labels = np.array(values, np.int64)

    records = [Labelled(each) for each in labels]
    assert [records.index(each) for each in chosen(records, 3)] == [3, 0, 5]  # type: ignore[arg-type, type-var]
    assert [records.index(each) for each in chosen(records, 99)] == [3, 0, 5, 1, 2, 4, 6, 7]  # type: ignore[arg-type, type-var]
