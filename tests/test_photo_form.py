"""The letterbox inside an exported file gives the levels that OpenCV gives."""

from platform import machine

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from lightdet.data.image import as_channels
from lightdet.export.graph import FLOAT, UINT8, Graph
from lightdet.export.photo import IMAGE, add_letterbox
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
