"""Properties of boxes: formats and frames invert each other, and boxes around shapes hold them."""

import math

import numpy as np
import torch
from generated import boxes_in, sides
from hypothesis import given, settings
from hypothesis import strategies as st

from lightdet.data.shapes import Shape, box_around, ellipse_box, joined, turned_box
from lightdet.ops.boxes import area, clip, cxcywh_to_xyxy, pairwise_iou, xyxy_to_cxcywh
from lightdet.ops.frames import boxes_to_input, boxes_to_original
from lightdet.ops.letterbox import letterbox_image, place

many = settings(max_examples=60, derandomize=True, deadline=None, database=None)
sizes = st.tuples(st.integers(1, 4000), st.integers(1, 4000))
inputs = st.one_of(st.sampled_from((32, 224, 608)), st.tuples(st.integers(32, 640), st.integers(32, 640)))
coordinates = st.floats(-100, 100)


@st.composite
def some_boxes(draw: st.DrawFn) -> tuple[int, int, torch.Tensor]:
    width, height = draw(sides), draw(sides)
    boxes, _ = draw(boxes_in(width, height, 1, 6))
    return width, height, torch.from_numpy(boxes)


@given(some_boxes())
@many
def test_the_two_formats_of_boxes_invert_each_other(drawn: tuple[int, int, torch.Tensor]) -> None:
    _, _, boxes = drawn
    torch.testing.assert_close(cxcywh_to_xyxy(xyxy_to_cxcywh(boxes)), boxes, rtol=0, atol=1e-5)


@given(some_boxes())
@many
def test_iou_is_symmetric_and_one_with_itself(drawn: tuple[int, int, torch.Tensor]) -> None:
    width, height, boxes = drawn
    iou = pairwise_iou(boxes, boxes)
    assert bool((iou >= 0).all()) and bool((iou <= 1 + 1e-6).all()) and torch.equal(iou, iou.T)
    large = area(boxes) > 1e-6
    torch.testing.assert_close(iou.diagonal()[large], torch.ones(int(large.sum())))
    assert torch.equal(clip(boxes, height, width), boxes)


@given(sizes, inputs, st.data())
@many
def test_the_letterbox_inverts_itself(size: tuple[int, int], image_size: object, data: st.DataObject) -> None:
    height, width = size
    wanted = list(image_size) if isinstance(image_size, tuple) else image_size
    placed = place(height, width, wanted)
    input_height, input_width = wanted if isinstance(wanted, list) else (wanted, wanted)
    x = data.draw(st.tuples(st.floats(0, width), st.floats(0, width)).map(sorted))
    y = data.draw(st.tuples(st.floats(0, height), st.floats(0, height)).map(sorted))
    boxes = torch.tensor([[x[0], y[0], x[1], y[1]]], dtype=torch.float64)
    there = boxes_to_input(boxes, placed)
    assert bool((there >= -1e-6).all()) and bool((there[:, 2] <= input_width + 1e-6).all())
    assert bool((there[:, 3] <= input_height + 1e-6).all())
    torch.testing.assert_close(boxes_to_original(there, placed), boxes, rtol=0, atol=1e-6)


@given(st.tuples(st.integers(1, 90), st.integers(1, 90)), st.sampled_from((32, 64, [32, 96])))
@settings(many, max_examples=30)
def test_a_letterboxed_image_lies_where_its_boxes_say(size: tuple[int, int], image_size: object) -> None:
    image = np.zeros((*size, 1), np.uint8)
    boxed, placed = letterbox_image(image, image_size)  # type: ignore[arg-type]
    ((x1, y1, x2, y2),) = boxes_to_input(torch.tensor([[0.0, 0, size[1], size[0]]]), placed).round().int().tolist()
    assert (boxed[y1:y2, x1:x2] == 0).all() and int((boxed == 0).sum()) == (y2 - y1) * (x2 - x1)


@given(st.lists(st.tuples(coordinates, coordinates), min_size=4, max_size=4), st.floats(-720, 720))
@many
def test_a_turned_box_holds_the_centre_and_turns_back(corners: list[tuple[float, float]], degrees: float) -> None:
    box = box_around(corners)
    turned = turned_box(box, degrees)
    middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    assert math.isclose((turned[0] + turned[2]) / 2, middle[0], abs_tol=1e-6)
    assert math.isclose((turned[1] + turned[3]) / 2, middle[1], abs_tol=1e-6)
    whole = turned_box(turned_box(box, 90), 90)
    assert all(math.isclose(one, other, abs_tol=1e-6) for one, other in zip(whole, box, strict=True))
    ellipse = ellipse_box(middle, ((box[2] - box[0]) / 2, (box[3] - box[1]) / 2), degrees)
    inside = (turned[0] - 1e-6, turned[1] - 1e-6, turned[2] + 1e-6, turned[3] + 1e-6)
    assert ellipse[0] >= inside[0] and ellipse[1] >= inside[1]
    assert ellipse[2] <= inside[2] and ellipse[3] <= inside[3]


shapes = st.builds(
    lambda name, group, outline, x, y: Shape("", name, (x, y, x + 1, y + 1), group, outline),
    st.sampled_from("ab"),
    st.sampled_from((None, 1, 2)),
    st.booleans(),
    coordinates,
    coordinates,
)


@given(st.lists(shapes, max_size=8))
@many
def test_joining_keeps_boxes_and_joins_once(drawn: list[Shape]) -> None:
    once = joined(drawn)
    assert joined(once) == once
    assert [one for one in drawn if not one.outline] == [one for one in once if not one.outline]
    assert {one.name for one in once} == {one.name for one in drawn}
