"""Rows of YOLO label files: classes as decimals, outlines, key points, tracks, boxes at and over the border."""

from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from tiny_datasets import BOX, HEIGHT, STEMS, TRAIN, WIDTH, write_yolo, yolo_row

from lightdet.core.errors import LightdetError
from lightdet.core.left_out import LeftOut
from lightdet.data.labels import Claim, checked_box
from lightdet.data.reader.yolo_rows import Rows
from lightdet.data.record import doubts_of

CORNERS = [(4 / 32, 6 / 24), (20 / 32, 6 / 24), (20 / 32, 18 / 24), (4 / 32, 18 / 24)]  # of BOX
HERE = Path("a.txt")


def rows_of(kpt_shape: object = None) -> Rows:
    return Rows(("scratch", "dent"), kpt_shape, Path("data.yaml"))


def with_points(seen: str = "") -> str:
    return yolo_row(0).strip() + "".join(f" {x} {y}{seen}" for x, y in CORNERS) + "\n"


@pytest.mark.parametrize("word", ["1", "1.0", "1.", "1.000000000000000000e+00"])
def test_a_class_may_be_written_as_a_decimal(word: str) -> None:
    assert rows_of().claim(f"{word} .5 .5 .25 .25", "line 1", HERE, (HEIGHT, WIDTH)).label == 1


@pytest.mark.parametrize("word", ["0.5", "-1", "2.0", "nan", "inf", "1e30", "one", "0_1", "9" * 500])
def test_a_class_that_is_none_is_refused(word: str) -> None:
    with pytest.raises(LightdetError, match=r"a\.txt: line 1: unknown class"):
        rows_of().claim(f"{word} .5 .5 .25 .25", "line 1", HERE, (HEIGHT, WIDTH))


@pytest.mark.parametrize(("shape", "seen"), [("[4, 2]", ""), ("[4, 3]", " 2")])
def test_key_points_are_refused_until_kpt_shape_names_them(shape: str, seen: str, tmp_path: Path) -> None:
    settings = write_yolo(tmp_path)
    for stem in TRAIN:
        (tmp_path / "labels" / "train" / f"{stem}.txt").write_text(with_points(seen))
    if seen == "":
        with pytest.raises(LightdetError, match=r"a\.txt: line 1: .* box around the others, in 4 of 4 .*kpt_shape"):
            instantiate(settings).read()
    else:
        with pytest.raises(LightdetError, match=r"(a\.txt: line 1: 17 values|box around the others).*kpt_shape"):
            instantiate(settings).read()
    with (tmp_path / "data.yaml").open("a") as file:
        file.write(f"kpt_shape: {shape}\n")
    for record in instantiate(settings).read()["train"]:
        np.testing.assert_allclose(record.boxes_xyxy, [BOX], atol=1e-5)


@pytest.mark.parametrize("points", [" 0.3 0.5 2 0.4 0.6 1", " 0.3 0.5 2 0.4 0.6 0"])
def test_key_points_with_visibility_are_no_outline(points: str, tmp_path: Path) -> None:
    settings = write_yolo(tmp_path)
    (tmp_path / "labels" / "train" / "a.txt").write_text(yolo_row(0).strip() + points + "\n")
    with pytest.raises(LightdetError, match=r"a\.txt: line 1: .*kpt_shape"):
        instantiate(settings).read()


@pytest.mark.parametrize("more", [" 0.93 1", " 0.93 0", " 0.87 17", " 3 0.5"])
def test_a_score_and_a_track_behind_a_box_are_no_outline(more: str, tmp_path: Path) -> None:
    settings = write_yolo(tmp_path)
    for stem in TRAIN:
        (tmp_path / "labels" / "train" / f"{stem}.txt").write_text(yolo_row(0).strip() + more + "\n")
    with pytest.raises(LightdetError, match="other columns are to be removed"):
        instantiate(settings).read()


def test_outlines_are_read_also_where_a_few_look_like_a_box_with_key_points(tmp_path: Path) -> None:
    settings = write_yolo(tmp_path)
    outline = "0 0.125 0.25 0.625 0.25 0.625 0.75 0.125 0.75\n"
    for stem in TRAIN:
        (tmp_path / "labels" / "train" / f"{stem}.txt").write_text(outline)
    reader = instantiate(settings)
    assert all(record.boxes_xyxy.tolist() == [list(BOX)] for record in reader.read()["train"])
    assert doubts_of(reader) == ()
    (tmp_path / "labels" / "train" / "a.txt").write_text(with_points())
    reader = instantiate(settings)
    reader.read()
    (doubt,) = doubts_of(reader)
    assert "a.txt: line 1, taken as an outline" in doubt and "in 1 of 4" in doubt
    with (tmp_path / "data.yaml").open("a") as file:
        file.write("kpt_shape: [0, 2]\n")
    reader = instantiate(settings)
    assert len(reader.read()["train"]) == 4 and doubts_of(reader) == ()


def test_key_points_in_the_middle_of_their_boxes_are_noticed_by_the_equal_length_of_all_rows(tmp_path: Path) -> None:
    settings = write_yolo(tmp_path)
    middle = " 0.36 0.48 0.4 0.5 0.38 0.52 0.37 0.5 0.39 0.49"
    for stem in TRAIN:
        (tmp_path / "labels" / "train" / f"{stem}.txt").write_text(yolo_row(0).strip() + middle + "\n")
    with pytest.raises(LightdetError, match=r"in 4 of 4 rows .*kpt_shape"):
        instantiate(settings).read()
    (tmp_path / "labels" / "train" / "a.txt").write_text("0 0.125 0.25 0.625 0.25 0.625 0.75 0.125 0.75\n")
    assert len(instantiate(settings).read()["train"]) == 4


@pytest.mark.parametrize("shape", ["[4]", "[4, 5]", "4", "[-1, 2]", "[0.5, 2]", "[4.0, 2]"])
def test_a_broken_kpt_shape_is_named(shape: str, tmp_path: Path) -> None:
    settings = write_yolo(tmp_path)
    with (tmp_path / "data.yaml").open("a") as file:
        file.write(f"kpt_shape: {shape}\n")
    with pytest.raises(Exception, match="'kpt_shape' is"):
        instantiate(settings)


def test_rows_that_do_not_fit_the_kpt_shape_are_refused() -> None:
    with pytest.raises(LightdetError, match="9 values where `class cx cy w h` is expected, or 13 with the key points"):
        rows_of([4, 2]).claim("0 .5 .5 .5 .5 .1 .1 .2 .2", "line 1", HERE, (HEIGHT, WIDTH))
    assert rows_of([4, 2]).claim("0 .5 .5 .5 .5", "line 1", HERE, (HEIGHT, WIDTH)).box_xyxy == (8, 6, 24, 18)


@pytest.mark.parametrize(
    ("side", "over", "fits"), [(100, 1.0, True), (100, 1.1, False), (4000, 20.0, True), (4000, 20.1, False)]
)
def test_what_reaches_a_little_outside_is_cut_by_a_share_of_the_side_and_told(
    side: int, over: float, fits: bool
) -> None:
    for box in ((-over, 5, 50, 50), (5, -over, 50, 50), (5, 5, side + over, 50), (5, 5, 50, side + over)):
        left_out = LeftOut()
        claim = Claim("line 3", 0, box)
        if fits:
            x1, y1, x2, y2 = checked_box(claim, side, side, HERE, left_out)
            assert min(x1, y1) >= 0 and max(x2, y2) <= side
            assert left_out.lines() == (
                "left out: 1 parts of boxes that reach a little outside their image, e.g. a.txt: line 3",
            )
        else:
            with pytest.raises(LightdetError, match=rf"line 3: .*reaches outside the image of {side} x {side} px"):
                checked_box(claim, side, side, HERE, left_out)
    left_out = LeftOut()
    checked_box(Claim("line 1", 0, (0, 0, side + 1e-4, 5)), side, side, HERE, left_out)
    assert not left_out  # the last digit of a label


@pytest.mark.parametrize("width", [1e-9, 1e-8])
def test_a_box_that_float32_cannot_tell_from_a_line_is_empty(width: float, tmp_path: Path) -> None:
    settings = write_yolo(tmp_path)
    with (tmp_path / "labels" / "train" / "b.txt").open("a") as file:
        file.write(f"1 0.731077 0.496214 {width} 0.164858\n")
    with pytest.raises(LightdetError, match=r"b\.txt: line 2: box .* is empty"):
        instantiate(settings).read()
    with (tmp_path / "labels" / "train" / "b.txt").open("w") as file:
        file.write("1 0.731077 0.496214 1e-6 0.164858\n")
    record = instantiate(settings).read()["train"][STEMS.index("b")]
    assert record.boxes_xyxy[0, 2] > record.boxes_xyxy[0, 0]


def test_a_number_with_an_underscore_is_none() -> None:
    with pytest.raises(LightdetError, match=r"a\.txt: line 1: '0_0\.5' is not a number"):
        rows_of().claim("0 0_0.5 .5 .25 .25", "line 1", HERE, (HEIGHT, WIDTH))
