"""The selection of boxes as ONNX operations and with numpy is that of `predict`: they overlap and leave the input."""

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from lightdet.core.letterbox import Letterbox
from lightdet.core.types import Detections
from lightdet.export.graph import Graph
from lightdet.export.tail import add_selection
from lightdet.metric.frame import detections_to_original
from lightdet.model.decode import best_of_overlapping, select
from lightdet.runtime.selection import Selection
from lightdet.runtime.selection import select as select_with_numpy
from lightdet.runtime.session import placing

PLACED = Letterbox(scale_x=0.5, scale_y=0.49, left=0, top=15, original_height=200, original_width=320)


def session(settings: Selection) -> onnxruntime.InferenceSession:
    inputs = [
        helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["batch", "count", 4]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", "count", "classes"]),
        helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", "height", "width", 3]),
        helper.make_tensor_value_info("placing", TensorProto.FLOAT, ["batch", 6]),
    ]
    output = helper.make_tensor_value_info("found", TensorProto.FLOAT, ["batch", "rows", 6])
    model = helper.make_model(
        helper.make_graph([], "selection", inputs, [output]), opset_imports=[helper.make_opsetid("", 17)], ir_version=10
    )
    graph = Graph(model, "select/")
    graph.rename(add_selection(graph, "boxes", "scores", "images", "placing", settings), "found")
    onnx.checker.check_model(model)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def of_graph(boxes: np.ndarray, scores: np.ndarray, places: np.ndarray, settings: Selection) -> np.ndarray:
    given = {"boxes": boxes, "scores": scores, "images": np.zeros((len(boxes), 128, 160, 3), np.uint8)}
    found: np.ndarray = session(settings).run(None, {**given, "placing": places})[0]
    return found


def with_numpy(boxes: np.ndarray, scores: np.ndarray, places: np.ndarray, settings: Selection) -> np.ndarray:
    return select_with_numpy(boxes, scores, places, (128, 160), settings)


WAYS = [of_graph, with_numpy]


def scored(images: int, count: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes around few places, so that many overlap; some reach beyond the input or lie in its border alone."""
    generator = torch.Generator().manual_seed(7)
    centre = torch.randint(-1, 6, (images, count, 2), generator=generator) * 30.0
    centre = centre + torch.rand(images, count, 2, generator=generator) * 8
    half = torch.rand(images, count, 2, generator=generator) * 20 + 2
    scores = torch.rand(images, count, classes, generator=generator) ** 3
    return torch.cat((centre - half, centre + half), dim=-1), scores


def expected(boxes: torch.Tensor, scores: torch.Tensor, settings: Selection) -> list[Detections]:
    results = []
    for found in select(boxes, scores, 0.001, settings.nms_iou, settings.max_detections, (128, 160)):
        placed = detections_to_original(found, PLACED)
        keep = placed.scores >= torch.tensor(settings.thresholds)[placed.labels]
        kept = Detections(placed.boxes_xyxy[keep], placed.scores[keep], placed.labels[keep])
        results.append(kept if settings.overlap is None else best_of_overlapping(kept, settings.overlap))
    return results


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("thresholds", [(0.2, 0.2, 0.2), (0.1, 0.4, 0.05)])
@pytest.mark.parametrize("overlap", [0.5, None])
@pytest.mark.parametrize(("images", "count"), [(1, 300), (3, 40), (2, 5)])
def test_it_keeps_what_predict_keeps(
    images: int, count: int, overlap: float | None, thresholds: tuple[float, ...], way: Callable[..., np.ndarray]
) -> None:
    settings = Selection(thresholds, nms_iou=0.6, overlap=overlap, max_detections=100)
    boxes, scores = scored(images, count, 3)
    places = np.tile(placing(PLACED), (images, 1))
    rows = way(boxes.numpy(), scores.numpy(), places, settings)
    for of_image, wanted in zip(rows, expected(boxes, scores, settings), strict=True):
        used = of_image[of_image[:, 5] >= 0]
        assert len(used) == len(wanted.scores)
        assert np.allclose(used[:, :4], wanted.boxes_xyxy.numpy(), atol=1e-4)
        assert np.allclose(used[:, 4], wanted.scores.numpy()) and (used[:, 5] == wanted.labels.numpy()).all()


@pytest.mark.parametrize("way", WAYS)
def test_a_score_that_is_no_number_is_seen(way: Callable[..., np.ndarray]) -> None:
    boxes, scores = scored(2, 20, 3)
    scores[1, 4, 2] = torch.nan
    places = np.tile(placing(PLACED), (2, 1))
    rows = way(boxes.numpy(), scores.numpy(), places, Selection((0.2,) * 3, 0.6, 0.5, 100))
    assert np.isfinite(rows[0]).all() and np.isnan(rows[1]).all()
