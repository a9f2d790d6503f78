"""The letterbox inside an exported file gives the levels that OpenCV gives."""

from platform import machine

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from lightdet.data.image import as_channels
from lightdet.export.graph import FLOAT, UINT8, Graph
from lightdet.export.photo import IMAGE, add_letterbox, with_image_input
from lightdet.ops.grid import ImageSize
from lightdet.ops.letterbox import letterbox_image
from lightdet.runtime.session import placing

MOST = 0 if machine().lower() in ("x86_64", "amd64") else 1  # levels; on other processors OpenCV computes otherwise
SIZES = [(80, 80), (64, 64), (128, 128), (192, 192), (91, 90), (92, 64), (37, 91), (300, 7), (1, 1), (413, 255)]


def _letterbox(image_size: ImageSize, channels: int) -> onnxruntime.InferenceSession:
    graph = Graph(onnx.GraphProto(name="letterbox"), "place/")
    placed, places = add_letterbox(graph, IMAGE, image_size, channels)
    graph.graph.input.append(helper.make_tensor_value_info(IMAGE, UINT8, ["height", "width", 3]))
    graph.graph.output.append(helper.make_tensor_value_info(placed, UINT8, [1, "h", "w", channels]))
    graph.graph.output.append(helper.make_tensor_value_info(places, FLOAT, [1, 6]))
    model = helper.make_model(graph.graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(("image_size", "channels"), [(64, 3), (96, 1), ([64, 96], 3)])
def test_images_are_placed_as_opencv_places_them(image_size: ImageSize, channels: int) -> None:
    session, generator = _letterbox(image_size, channels), np.random.default_rng(0)
    for height, width in [*SIZES, *generator.integers(3, 400, (20, 2)).tolist()]:
        image = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
        placed, places = session.run(None, {IMAGE: image})
        expected, letterbox = letterbox_image(as_channels(image, channels), image_size)
        differ = np.abs(placed[0].astype(int) - expected)
        assert differ.max() <= MOST, f"{height} x {width}: {(differ > 0).mean():.2g} of the levels"
        assert np.array_equal(places[0], placing(letterbox))


def test_a_classifier_answers_for_one_image() -> None:
    """The mean level of the placed image in each of two classes, from a grey image of any size."""
    weights = numpy_helper.from_array(np.array([[1.0, -1.0]], np.float32), "weights")
    nodes = [
        helper.make_node("Cast", ["images"], ["levels"], to=FLOAT),
        helper.make_node("ReduceMean", ["levels"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["probabilities"]),
    ]
    given = [helper.make_tensor_value_info("images", UINT8, ["batch", 32, 48, 1])]
    found = [helper.make_tensor_value_info("probabilities", FLOAT, ["batch", 2])]
    made = helper.make_model(
        helper.make_graph(nodes, "mean", given, found, [weights]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    content = with_image_input(made, [32, 48], 1).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    image = np.random.default_rng(0).integers(0, 256, (77, 61, 3), dtype=np.uint8)
    (answer,) = session.run(["probabilities"], {IMAGE: image})
    mean = letterbox_image(as_channels(image, 1), [32, 48])[0].mean()
    assert answer == pytest.approx([mean, -mean], rel=1e-4)
