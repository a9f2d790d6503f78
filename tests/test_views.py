"""Tiles and flips at the prompt: measured, written down, and a threshold promised with them holds with them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import lightdet
from lightdet.cli.main import main
from lightdet.core.errors import LightdetError
from lightdet.engine.load import load_run
from lightdet.engine.tiled import scale_of_run
from lightdet.ops.tiles import Tiles
from lightdet.runs.package import evaluation_folder
from lightdet.runs.promise import read_promise, to_promise
from lightdet.runs.trained_scale import FILE, TrainedScale, read_scale, tiles_for
from lightdet.runs.views import Views, to_views


@pytest.fixture
def run(made: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made.run.path, tmp_path / "run"))


def test_an_evaluation_with_views_tells_what_they_give_and_cost(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), "--tiles", "48", "--flips", "horizontal"]) == 0
    said = capsys.readouterr().out
    assert "with horizontal flips; beside it tiles of 48 x 48 px" in said and "ms an image, beside it" in said
    report = json.loads((run / "evaluate-val-tiles-flips" / "metrics.json").read_text())
    tiles = Tiles(**report["views"]["tiles"])
    assert (tiles.height, tiles.width) == (48, 48) and report["views"]["flips"] == ["horizontal"]
    assert 0 < tiles.overlap_x <= 24 and set(report["compared"]["scores"]) >= {"mAP50", "mAP50-95"}
    assert report["images"] == 4
    # Tiles that hold every image are whole images.
    assert main(["evaluate", str(run), "--tiles", "500"]) == 0
    scores = json.loads((run / "evaluate-val-tiles" / "metrics.json").read_text())["compared"]["scores"]
    assert all(each["with"] == each["without"] for each in scores.values())


def test_a_threshold_of_tiles_holds_with_these_tiles_alone(
    made: Any, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["threshold", str(run), "--escape", "0.9", "--confidence", "0.5", "--tiles", "48"]
    assert main(words) == 0
    loaded = load_run(run)
    tiles = tiles_for(48, loaded.image_size, loaded.scale)
    promise = loaded.promise
    assert promise is not None and promise.views == Views(tiles)
    assert to_promise(promise.as_json(), loaded.classes, "x") == promise
    image, out = str(made.image), str(tmp_path / "out")
    assert main(["predict", str(run), image, "--out", out]) == 2
    assert "holds for tiles of 48 x 48 px" in capsys.readouterr().err
    assert main(["predict", str(run), image, "--out", out, "--tiles", "40"]) == 2
    assert main(["predict", str(run), image, "--out", out, "--tiles", "48", "--flips", "both"]) == 2
    assert main(["predict", str(run), image, "--out", out, "--tiles", "48"]) == 0
    assert to_views(json.loads((Path(out) / "predictions.json").read_text())["views"]) == promise.views
    assert main(["predict", str(run), image, "--out", out, "--threshold", "0.5"]) == 0
    with pytest.raises(LightdetError, match="holds for tiles"):
        lightdet.load(run)(image)
    assert lightdet.load(run)(image, tiles=48)
    # The scores of an evaluation carry its views.
    assert main(["evaluate", str(run), "--flips", "vertical"]) == 0
    assert main([*words[:-2], "--scores", str(run / "evaluate-val-flips")]) == 0
    promise = read_promise(run, run / "checkpoints" / "best.ckpt", loaded.classes)
    assert promise is not None and promise.views == Views(flips=("vertical",))
    assert main([*words, "--scores", str(run / "evaluate-val-flips")]) == 2


def test_the_scale_of_a_training_is_kept_and_passed_on(made: Any, run: Path) -> None:
    scale = read_scale(run)
    assert scale is not None and scale.scale == pytest.approx(64 / 96, rel=0.02)  # images of 96 px, an input of 64
    assert scale.box_width is not None and 0 < scale.box_width < 96
    assert load_run(made.package).scale == scale
    assert lightdet.load(run).tiling(True) == tiles_for(True, 64, scale)
    (run / FILE).unlink()
    loaded = load_run(run)
    assert loaded.scale is None and scale_of_run(run, loaded) == scale, "of older code: from its data"
    (run / FILE).write_text('{"scale": -1, "box_height": 1, "box_width": 1}')
    with pytest.raises(LightdetError, match=r"scale\.json: the scale of the training is damaged"):
        load_run(run)


def test_a_side_and_the_sections_of_a_file_are_checked() -> None:
    assert tiles_for(True, 64, TrainedScale(0.5, 20, 100)) == Tiles(128, 128, 20, 64)
    assert tiles_for(100, [64, 32], None) == Tiles(100, 50, 25, 13)
    assert tiles_for(None, 64, None) is None and tiles_for(False, 64, None) is None
    good = {"tiles": {"height": 64, "width": 64, "overlap_y": 8, "overlap_x": 8}, "flips": ["horizontal"]}
    assert to_views(good) == Views(Tiles(64, 64, 8, 8), ("horizontal",)) and to_views(None) == Views()
    for wrong in (
        {"tiles": None},
        {"tiles": {"height": 64}, "flips": []},
        {**good, "flips": ["sideways"]},
        {**good, "flips": "horizontal"},
        {**good, "tiles": {**good["tiles"], "overlap_x": 64}},  # type: ignore[dict-item]
        {**good, "tiles": {**good["tiles"], "height": 1.5}},  # type: ignore[dict-item]
        7,
    ):
        with pytest.raises((ValueError, TypeError, KeyError)):
            to_views(wrong)


def test_the_folder_of_an_evaluation_has_its_views_in_its_name(tmp_path: Path) -> None:
    folder = evaluation_folder(tmp_path, "val", stage2=None, tiles=True, flips="both")
    assert folder == tmp_path / "evaluate-val-tiles-flips"


def test_words_that_are_no_views_are_refused_in_one_line(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(run), "--tiles", "image.png"]) == 2
    assert "'image.png' is no side of 16 to 100000 px" in capsys.readouterr().err
