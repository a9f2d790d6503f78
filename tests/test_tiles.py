"""Tiles: they cover the image, and what they show is joined to what is there, each object once."""

import numpy as np
import pytest

from lightdet.core.errors import LightdetError
from lightdet.ops.overlapping import best_of_overlapping
from lightdet.ops.seams import Pieces, joined
from lightdet.ops.tiles import Tile, Tiles, starts
from lightdet.runtime.rows_in_tiles import rows_in_tiles
from lightdet.runtime.tiled import AT_ONCE, find_in_tiles

TILES = Tiles(64, 96, 16, 24)  # height, width, overlaps


def pieces_of(boxes: np.ndarray, labels: np.ndarray, tile: Tile, scores: np.ndarray | None = None) -> Pieces:
    """What a perfect detector sees of objects in a tile, in the px of the tile."""
    corner = np.array([tile.left, tile.top] * 2)
    limits = np.array([tile.right - tile.left, tile.bottom - tile.top] * 2)
    seen = np.clip(boxes - corner, 0, limits)
    there = (seen[:, 2:] - seen[:, :2] >= 2).all(axis=1)
    scores = np.full(len(boxes), 0.9, np.float32) if scores is None else scores
    return Pieces(seen[there].astype(np.float32), scores[there], labels[there])


def whole(boxes: list[list[float]], scores: list[float], labels: list[int] | None = None) -> Pieces:
    return Pieces(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        np.array(labels or [0] * len(boxes), np.int64),
    )


@pytest.mark.parametrize("size", [(64, 96), (65, 97), (30, 400), (400, 30), (201, 333), (1000, 1000), (1, 1)])
def test_every_pixel_is_in_a_tile_and_neighbours_overlap(size: tuple[int, int]) -> None:
    height, width = size
    seen = np.zeros(size, int)
    for left, top, right, bottom in TILES.over(height, width):
        assert (bottom - top, right - left) == (min(64, height), min(96, width))
        seen[top:bottom, left:right] += 1
    assert (seen > 0).all()
    for side, tile, overlap in ((height, 64, 16), (width, 96, 24)):
        places = starts(side, tile, overlap)
        steps = np.diff(places)
        assert places[0] == 0 and places[-1] == max(0, side - tile)
        assert (steps > 0).all() and (steps <= tile - overlap).all()


def test_a_box_no_larger_than_the_overlap_is_whole_in_a_tile() -> None:
    places = np.array(list(TILES.over(201, 333)))
    generator = np.random.default_rng(0)
    corners = generator.integers(0, [333 - 24, 201 - 16], (500, 2))
    boxes = np.concatenate((corners, corners + np.array([24, 16])), axis=1)
    inside = (boxes[:, None, :2] >= places[:, :2]).all(-1) & (boxes[:, None, 2:] <= places[:, 2:]).all(-1)
    assert inside.any(axis=1).all()


def test_known_objects_of_a_grid_are_each_found_once() -> None:
    """Of any size, up to several tiles; some of the same class stand close together."""
    boxes, labels = [], []
    for row, top in enumerate(range(4, 380, 45)):
        for column, left in enumerate(range(3, 560, 61)):
            width, height = 8 + (7 * column + row) % 40, 6 + (5 * row + column) % 30
            boxes.append([left, top, left + width, top + height])
            labels.append((row + column) % 3)
    boxes += [[10, 392, 500, 402], [2, 404, 590, 418], [580, 10, 598, 380]]
    labels += [0, 1, 2]
    truth, classes = np.array(boxes, float), np.array(labels)
    waiting = TILES.over(420, 600)
    found = find_in_tiles(
        np.zeros((420, 600, 3), np.uint8), TILES, lambda cut: [pieces_of(truth, classes, next(waiting)) for _ in cut]
    )
    assert len(found.scores) == len(truth)
    order = [tuple(row) for row in np.column_stack((found.labels, found.boxes)).tolist()]
    assert sorted(order) == sorted(tuple(row) for row in np.column_stack((classes, truth)).tolist())


def test_a_box_across_a_seam_is_one_with_the_right_corners_whatever_the_scores() -> None:
    places = [Tile(0, 0, 96, 64), Tile(72, 0, 168, 64)]
    for scores in ((0.9, 0.3), (0.3, 0.9)):
        cut = [whole([[50, 10, 96, 30]], [scores[0]]), whole([[72, 11, 140, 31]], [scores[1]])]
        found = joined(cut, places, 64, 168)
        assert found.boxes.shape == (1, 4) and found.scores.tolist() == pytest.approx([0.9])
        assert found.boxes[0, [0, 2]].tolist() == [50, 140]
        # Whole in the left tile, and at the edge of the right one a piece that scores more or less.
        cut = [whole([[66, 10, 82, 30]], [scores[0]]), whole([[72, 10, 81, 30]], [scores[1]])]
        found = joined(cut, places, 64, 168)
        assert len(found.scores) == 1 and found.boxes[0, 0] == 66 and found.scores[0] == pytest.approx(0.9)


def test_neighbours_and_other_classes_stay_apart() -> None:
    places = [Tile(0, 0, 96, 64), Tile(72, 0, 168, 64)]
    left = whole([[60, 10, 83, 30], [76, 40, 92, 60]], [0.9, 0.8], [0, 1])
    right = whole([[84, 10, 110, 30], [76, 40, 92, 60], [100, 1, 120, 20]], [0.9, 0.8, 0.7], [0, 2, 1])
    assert len(joined([left, right], places, 64, 168).scores) == 5


def test_a_box_that_begins_at_the_end_of_another_ones_tile_is_not_its_continuation() -> None:
    places = [Tile(0, 0, 96, 64), Tile(72, 0, 168, 64)]
    left, right = whole([[50, 10, 96, 40]], [0.9]), whole([[95, 12, 130, 38]], [0.8])
    assert joined([left, right], places, 64, 168).boxes.tolist() == [[50, 10, 96, 40], [95, 12, 130, 38]]


def test_a_weak_box_at_a_seam_changes_no_better_one() -> None:
    places = [Tile(0, 0, 96, 64), Tile(72, 0, 168, 64)]
    left = whole([[20, 5, 96, 60]], [0.05])  # cut, and around the other
    right = whole([[76, 20, 90, 40]], [0.9])
    found = joined([left, right], places, 64, 168)
    assert found.boxes.tolist() == [[76, 20, 90, 40]]


def test_few_tiles_are_cut_at_a_time_and_none_is_copied() -> None:
    image = np.zeros((900, 1500, 3), np.uint8)
    counts = []

    def look(cut: list[np.ndarray]) -> list[Pieces]:
        counts.append(len(cut))
        assert all(np.shares_memory(tile, image) for tile in cut)
        return [whole([], []) for _ in cut]

    found = find_in_tiles(image, TILES, look)  # type: ignore[arg-type]
    assert max(counts) == AT_ONCE and sum(counts) == len(list(TILES.over(900, 1500))) and not len(found.scores)


class Brightness:
    """Stands in for an exported detector: a box around what is bright, in px of the image, and an unused row."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        self.seen += 1
        rows, columns = np.nonzero(pixels[..., 0] > 200)
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1, 0.8, 1] if len(rows) else [0] * 5 + [-1]
        return np.array([box, [0] * 5 + [-1]], np.float32)


def test_an_exported_detector_is_shown_tiles_and_drops_what_overlaps_across_classes() -> None:
    image = np.zeros((150, 220, 3), np.uint8)
    image[30:44, 80:100] = 255
    image[100:110, 170:180] = 255
    file = Brightness()
    rows = rows_in_tiles(file, image, TILES, 0.5, "x")
    assert rows.dtype == np.float32 and file.seen == len(list(TILES.over(150, 220)))
    assert rows[rows[:, 0].argsort(), :4].tolist() == [[80, 30, 100, 44], [170, 100, 180, 110]]

    def two(pixels: np.ndarray) -> np.ndarray:
        row = file(pixels)[:1]
        return np.concatenate((row, row + np.array([0, 0, 0, 0, -0.3, -1], np.float32) * (row[:, 5:] >= 0)))

    assert rows_in_tiles(two, image, TILES, 0.5, "x").shape == (2, 6)
    assert rows_in_tiles(two, image, TILES, None, "x").shape == (4, 6)
    with pytest.raises(LightdetError, match=r"x\.png: the detector gave"):
        rows_in_tiles(lambda tile: file(tile) * np.nan, image, TILES, 0.5, "x.png")


def test_of_overlapping_boxes_the_best_stays() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [2, 0, 12, 10], [50, 0, 60, 10]], float)
    kept = best_of_overlapping(boxes, np.array([0.5, 0.9, 0.4, 0.95]), 0.5)
    assert kept.tolist() == [3, 1]
    assert best_of_overlapping(np.zeros((0, 4)), np.zeros(0), 0.5).tolist() == []
