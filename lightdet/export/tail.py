"""What follows a detector's scored boxes, as ONNX operations: the same selection as `lightdet predict` makes.

It is made of operations and not traced, so the number of images stays open, and each step can be left out.
"""

import numpy as np

from lightdet.export.graph import FLOAT, Graph
from lightdet.runtime.selection import Selection


def add_selection(graph: Graph, boxes: str, scores: str, images: str, placing: str, settings: Selection) -> str:
    """Adds the selection and returns the name of its output.

    boxes (B, N, 4) xyxy in input px; scores (B, N, C); images (B, H, W, channels), for their size; placing (B, 6), see
    `lightdet.runtime.placing`. Output: (B, M, 6) float32 with M at most `max_detections`: left, top, right, bottom in
    original px, score, label; best first. Rows that are not used have score 0 and label -1.
    """
    # A score that is NaN makes every number of its image NaN, so that a broken network is seen and finds not nothing.
    broken = graph.op("ReduceSum", scores, graph.const([1, 2]), keepdims=1)
    boxes = _inside_input(graph, boxes, images)
    scores = graph.op("Transpose", scores, perm=[0, 2, 1])  # (B, C, N)
    least = graph.const(np.asarray(settings.thresholds)[None, :, None], np.float32, "thresholds")
    scores = graph.op("Where", graph.op("GreaterOrEqual", scores, least), scores, graph.const(0.0, np.float32))
    scores = _suppressed(graph, boxes, scores, settings.nms_iou, settings.max_detections)
    boxes, scores, labels = _best(graph, boxes, scores, settings.max_detections)
    boxes = _to_original(graph, boxes, placing)
    scores = _without_empty(graph, boxes, scores)
    if settings.overlap is not None:
        one_class = graph.op("Unsqueeze", scores, graph.const([1]))
        one_class = _suppressed(graph, boxes, one_class, settings.overlap, settings.max_detections)
        scores = graph.op("Squeeze", one_class, graph.const([1]))
    rows = _rows(graph, boxes, scores, labels)
    return graph.op("Add", rows, graph.op("Mul", broken, graph.const(0.0, np.float32)))


def _inside_input(graph: Graph, boxes: str, images: str) -> str:
    """Corners cut at the border of the input."""
    width, height = (graph.cast(graph.size(images, axis), FLOAT) for axis in (2, 1))
    limit = graph.op("Concat", width, height, width, height, axis=0)
    return graph.op("Max", graph.op("Min", boxes, limit), graph.const(0.0, np.float32))


def _suppressed(graph: Graph, boxes: str, scores: str, iou: float, most: int) -> str:
    """scores (B, C, N) with 0 for what non-maximum suppression within a class drops, and for all beyond `most`."""
    kept = graph.op(
        "NonMaxSuppression",
        boxes,
        scores,
        graph.const(most),
        graph.const(iou, np.float32),
        graph.const(0.0, np.float32),
    )
    ones = graph.op("Expand", graph.const(1.0, np.float32), graph.size(kept, 0))
    none = graph.op("Mul", scores, graph.const(0.0, np.float32))
    return graph.op("Mul", scores, graph.op("ScatterND", none, kept, ones))


def _best(graph: Graph, boxes: str, scores: str, most: int) -> tuple[str, str, str]:
    """The best `most` of all classes: boxes (B, M, 4), scores (B, M), labels (B, M) int64."""
    places = graph.size(scores, 2)
    flat = graph.op("Flatten", scores, axis=1)  # (B, C N)
    count = graph.op("Min", graph.size(flat, 1), graph.const([most]))
    best, index = graph.ops("TopK", 2, flat, count, axis=1, largest=1, sorted=1)
    label = graph.op("Div", index, places)
    place = graph.op("Unsqueeze", graph.op("Mod", index, places), graph.const([2]))
    return graph.op("GatherND", boxes, place, batch_dims=1), best, label


def _to_original(graph: Graph, boxes: str, placing: str) -> str:
    """Corners in original px, cut at the image's border."""

    def of_corners(begin: int) -> str:
        pair = graph.part(placing, begin, begin + 2, 1)
        return graph.op("Unsqueeze", graph.op("Concat", pair, pair, axis=1), graph.const([1]))

    moved = graph.op("Div", graph.op("Sub", boxes, of_corners(2)), of_corners(0))
    return graph.op("Max", graph.op("Min", moved, of_corners(4)), graph.const(0.0, np.float32))


def _without_empty(graph: Graph, boxes: str, scores: str) -> str:
    """Scores with 0 for boxes that have no area, as those in the border alone."""
    corners = [graph.op("Squeeze", graph.part(boxes, at, at + 1, 2), graph.const([2])) for at in range(4)]
    wide, high = graph.op("Greater", corners[2], corners[0]), graph.op("Greater", corners[3], corners[1])
    return graph.op("Mul", scores, graph.cast(graph.op("And", wide, high), FLOAT))


def _rows(graph: Graph, boxes: str, scores: str, labels: str) -> str:
    """(B, M, 6): what is left, best first; the rest zeros with the label -1."""
    best, index = graph.ops("TopK", 2, scores, graph.size(scores, 1), axis=1, largest=1, sorted=1)
    found = graph.op("Greater", best, graph.const(0.0, np.float32))
    labels = graph.op("Where", found, graph.op("GatherElements", labels, index, axis=1), graph.const(-1))
    boxes = graph.op("GatherND", boxes, graph.op("Unsqueeze", index, graph.const([2])), batch_dims=1)
    boxes = graph.op("Mul", boxes, graph.op("Unsqueeze", graph.cast(found, FLOAT), graph.const([2])))
    columns = [graph.op("Unsqueeze", column, graph.const([2])) for column in (best, graph.cast(labels, FLOAT))]
    return graph.op("Concat", boxes, *columns, axis=2)
