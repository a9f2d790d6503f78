"""The letterbox in front of an exported network, as ONNX operations: a file that takes images as they are.

`lightdet.ops.letterbox` places images with OpenCV, and these operations repeat its arithmetic step by step: INTER_AREA
where an image shrinks, the fixed-point INTER_LINEAR where it grows. On x86 they give the same levels, bit for bit.
"""

import numpy as np
import onnx
from onnx import helper

from lightdet.export.graph import DOUBLE, FLOAT, INT, INT32, UINT8, Graph
from lightdet.ops.grid import ImageSize, height_width
from lightdet.ops.letterbox import PADDING_GREY

IMAGE = "image"
GREY_WEIGHTS, GREY_BITS = (9798, 19235, 3735), 15  # of red, green, blue, as OpenCV adds them
COEFFICIENT_BITS = 11  # of INTER_LINEAR
NO_WEIGHT = 1e-3  # px; INTER_AREA leaves out a pixel of which less belongs to the mean
HALF_UP = 0.1  # added to means of 2 x 2 pixels: OpenCV rounds their halves up, and all others to even levels


def with_image_input(made: onnx.ModelProto, image_size: ImageSize, channels: int) -> onnx.ModelProto:
    """The model with the input `image` (height, width, 3) uint8 RGB of any size instead of `images` and `placing`.

    The output `detections` becomes (N, 6) float32 without unused rows, `probabilities` (C,); the others keep their
    first axis, which is 1. `made` is changed.
    """
    ends = {each.name for each in made.graph.input}
    front = Graph(onnx.GraphProto(), "place/")
    placed, placing = add_letterbox(front, IMAGE, image_size, channels)
    front.rename(placed, "images")
    if "placing" in ends:
        front.rename(placing, "placing")
    nodes = [*front.graph.node, *made.graph.node]
    del made.graph.node[:], made.graph.input[:]
    made.graph.node.extend(nodes)
    made.graph.initializer.extend(front.graph.initializer)
    made.graph.input.append(helper.make_tensor_value_info(IMAGE, UINT8, ["height", "width", 3]))
    _single(made)
    onnx.checker.check_model(made)
    return made


def _single(made: onnx.ModelProto) -> None:
    """The first output without the axis of images and, for detections, without unused rows."""
    back = Graph(made, "single/")
    name = made.graph.output[0].name
    several = f"{back.prefix}{name}"
    back.rename(name, several)
    found = back.op("Squeeze", several, back.const([0]))
    shape: list[str | int] = ["classes"]
    if name == "detections":
        labels = back.op("Squeeze", back.part(found, 5, 6, 1), back.const([1]))
        used = back.op("GreaterOrEqual", labels, back.const(0.0, np.float32))
        found = back.op("Compress", found, used, axis=0)
        shape = ["detections", 6]
    back.rename(found, name)
    made.graph.output[0].CopyFrom(helper.make_tensor_value_info(name, FLOAT, shape))


def add_letterbox(graph: Graph, image: str, image_size: ImageSize, channels: int) -> tuple[str, str]:
    """image (H, W, 3) uint8 -> (1, h, w, channels) uint8 of `image_size` px, and the placing (1, 6) float32: scale x,
    scale y, left, top, original width and height."""
    before = [graph.cast(graph.size(image, axis), DOUBLE) for axis in (0, 1)]
    limits = [graph.const([side], np.float64) for side in height_width(image_size)]
    scale = graph.op("Min", *(graph.op("Div", limit, side) for limit, side in zip(limits, before, strict=True)))
    one = graph.const([1.0], np.float64)
    after = [graph.op("Max", graph.op("Round", graph.op("Mul", side, scale)), one) for side in before]
    scales = [graph.op("Div", new, old) for new, old in zip(after, before, strict=True)]
    pixels = image if channels == 3 else _grey(graph, image)
    # OpenCV divides by the ratio of the sides and does not multiply with its inverse: the last bit decides ties
    steps = [graph.op("Div", one, each) for each in scales]
    sides = [graph.cast(side, INT) for side in after]

    def shrunk(branch: Graph) -> str:
        return _area(branch, pixels, steps, sides, channels)

    def grown(branch: Graph) -> str:
        return _linear(branch, pixels, steps, sides)

    shrinks = graph.op("Less", scale, one)
    resized = graph.choose(shrinks, shrunk, grown)
    gaps = [graph.op("Sub", graph.cast(limit, INT), side) for limit, side in zip(limits, sides, strict=True)]
    starts = [graph.op("Div", gap, graph.const([2])) for gap in gaps]
    ends = [graph.op("Sub", gap, start) for gap, start in zip(gaps, starts, strict=True)]
    none = graph.const([0])
    border = graph.op("Concat", *starts, none, *ends, none, axis=0)
    padded = graph.op("Pad", resized, border, graph.const(PADDING_GREY, np.uint8))
    numbers = [*reversed(scales), *(graph.cast(start, DOUBLE) for start in reversed(starts)), *reversed(before)]
    placing = graph.op("Unsqueeze", graph.cast(graph.op("Concat", *numbers, axis=0), FLOAT), none)
    return graph.op("Unsqueeze", padded, none), placing


def _grey(graph: Graph, image: str) -> str:
    """(H, W, 3) uint8 RGB -> (H, W, 1) uint8; whole numbers below 2**24, which float32 holds."""
    weights = graph.const(np.array(GREY_WEIGHTS)[:, None], np.float32)
    summed = graph.op("MatMul", graph.cast(image, FLOAT), weights)
    rounded = graph.op("Add", summed, graph.const(2 ** (GREY_BITS - 1), np.float32))
    return graph.cast(graph.op("Floor", graph.op("Mul", rounded, graph.const(2.0**-GREY_BITS, np.float32))), UINT8)


def _area(graph: Graph, image: str, steps: list[str], sides: list[str], channels: int) -> str:
    """INTER_AREA: each pixel is the mean of what it covers, added up in OpenCV's order, columns first.

    steps: original px per new px, (1,) double each, of rows and columns. Where both are whole numbers, whole numbers
    are added and divided once.
    """
    whole = graph.op("And", *(graph.op("Equal", step, graph.op("Round", step)) for step in steps))
    shape = graph.op("Concat", graph.size(image, 0), sides[1], graph.const([channels]), axis=0)
    lines = _covered(graph, image, 1, steps[1], sides[1], shape, whole)
    shape = graph.op("Concat", *sides, graph.const([channels]), axis=0)
    mean = _covered(graph, lines, 0, steps[0], sides[0], shape, whole)
    one = graph.const(1.0, np.float32)
    share = graph.cast(graph.op("Reciprocal", graph.op("Mul", *steps)), FLOAT)
    mean = graph.op("Mul", mean, graph.op("Where", whole, share, one))
    two = graph.const(2.0, np.float64)
    quarters = graph.op("And", *(graph.op("Equal", step, two) for step in steps))
    mean = graph.op("Add", mean, graph.op("Mul", graph.cast(quarters, FLOAT), graph.const(HALF_UP, np.float32)))
    return graph.cast(graph.op("Round", mean), UINT8)


def _covered(graph: Graph, image: str, axis: int, step: str, side: str, shape: str, whole: str) -> str:
    """The image with `side` px along an axis, float32 of that shape: of each pixel the sum of what it covers, which is
    divided by its width unless `whole`."""
    one = graph.const(1.0, np.float64)
    old = graph.cast(graph.size(image, axis), DOUBLE)
    begin = graph.op("Mul", _count(graph, side), step)
    end = graph.op("Add", begin, step)
    width = graph.op("Where", whole, one, graph.op("Min", step, graph.op("Sub", old, begin)))
    first, last = graph.op("Floor", begin), graph.op("Sub", old, one)

    def add_pixel(body: Graph, number: str, added: str) -> str:
        place = body.op("Add", first, body.cast(number, DOUBLE))
        covered = body.op("Sub", body.op("Min", body.op("Add", place, one), end), body.op("Max", place, begin))
        counts = body.cast(body.op("Greater", covered, body.const(NO_WEIGHT, np.float64)), FLOAT)
        weight = body.op("Mul", body.cast(body.op("Div", covered, width), FLOAT), counts)
        pixels = body.op("Gather", image, body.cast(body.op("Min", place, last), INT), axis=axis)
        along = _along(body, weight, [0, 2] if axis == 1 else [1, 2])
        return body.op("Add", added, body.op("Mul", body.cast(pixels, FLOAT), along))

    most = graph.op("Add", graph.cast(graph.op("Floor", step), INT), graph.const([2]))
    return graph.repeat(most, graph.op("Expand", graph.const(0.0, np.float32), shape), add_pixel)


def _linear(graph: Graph, image: str, steps: list[str], sides: list[str]) -> str:
    """INTER_LINEAR: between the two nearest pixels of each axis, in whole numbers of 11 bits."""
    height, width = graph.size(image, 0), graph.size(image, 1)
    first, second, *weights = _neighbours(graph, width, steps[1], sides[1], at_border=True)
    pixels = graph.cast(image, INT32)
    column = [_along(graph, weight, [0, 2]) for weight in weights]
    parts = [graph.op("Gather", pixels, index, axis=1) for index in (first, second)]
    summed = graph.op("Add", *(graph.op("Mul", part, weight) for part, weight in zip(parts, column, strict=True)))
    summed = graph.op("Div", summed, graph.const(16, np.int32))
    first, second, *weights = _neighbours(graph, height, steps[0], sides[0], at_border=False)
    row = [_along(graph, weight, [1, 2]) for weight in weights]
    parts = [graph.op("Gather", summed, index, axis=0) for index in (first, second)]
    parts = [graph.op("Mul", part, weight) for part, weight in zip(parts, row, strict=True)]
    parts = [graph.op("Div", part, graph.const(2**16, np.int32)) for part in parts]
    rounded = graph.op("Add", graph.op("Add", *parts), graph.const(2, np.int32))
    return graph.cast(graph.op("Div", rounded, graph.const(4, np.int32)), UINT8)


def _neighbours(graph: Graph, before: str, step: str, after: str, at_border: bool) -> tuple[str, str, str, str]:
    """For each new pixel the two old ones beside it (int64), and their weights (int32), which add up to 2**11.

    at_border: the first weight is whole outside of the outermost pixels' centres, as OpenCV has it for columns; for
    rows, the same pixel is taken twice, which its rounding tells from the other.
    """
    half, one = graph.const(0.5, np.float64), graph.const(1.0, np.float32)
    none, last = graph.const(0.0, np.float32), graph.cast(graph.op("Sub", before, graph.const([1])), FLOAT)
    centre = graph.op("Sub", graph.op("Mul", graph.op("Add", _count(graph, after), half), step), half)
    centre = graph.cast(centre, FLOAT)
    if at_border:
        centre = graph.op("Max", graph.op("Min", centre, last), none)
    low = graph.op("Floor", centre)
    share = graph.op("Sub", centre, low)
    inside: list[str] = []
    for index in (low, graph.op("Add", low, one)):
        inside.append(graph.cast(graph.op("Max", graph.op("Min", index, last), none), INT))
    whole = graph.const(2.0**COEFFICIENT_BITS, np.float32)
    weights = (graph.op("Round", graph.op("Mul", each, whole)) for each in (graph.op("Sub", one, share), share))
    return (*inside, *(graph.cast(each, INT32) for each in weights))  # type: ignore[return-value]


def _along(graph: Graph, values: str, axes: list[int]) -> str:
    return graph.op("Unsqueeze", values, graph.const(axes))


def _count(graph: Graph, length: str) -> str:
    """0, 1, ... as double, `length` (1,) of them."""
    none, one = graph.const(0), graph.const(1)
    return graph.cast(graph.op("Range", none, graph.op("Squeeze", length), one), DOUBLE)
