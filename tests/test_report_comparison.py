"""What a report says of two rows: noise, seeds as blocks, which boxes count, and the time that resampling may take."""

import shutil
import statistics
from pathlib import Path

import numpy as np
import pytest
import reports
from reports import build
from study_factory import SPLITS, add_job, boxes

from lightdet.core.errors import LightdetError
from lightdet.core.files import write_json
from lightdet.report.build import report_study
from lightdet.report.comparison import NOTHING_KEPT, Comparer, find_row
from lightdet.report.rows import Row, read_study
from lightdet.report.settings import Settings
from lightdet.report.tables import difference_text

six = pytest.fixture(reports.six)


def test_the_same_boxes_differ_by_nothing_and_that_is_noise(tmp_path: Path) -> None:
    add_job(tmp_path, {"attention": "a"}, made=boxes(0.6, 1))
    add_job(tmp_path, {"attention": "b"}, made=boxes(0.6, 1))
    rows = read_study(tmp_path)
    found = Comparer(rows[0], 200).compare(rows[1]).differences["map50_95"]
    assert (found.estimate, found.over_images, found.within_noise) == (0.0, (0.0, 0.0), True)
    assert difference_text(found) == "+0.000 [+0.000, +0.000] within noise"


def test_a_better_detector_is_told_from_noise_and_both_ways_alike(tmp_path: Path) -> None:
    add_job(tmp_path, {"attention": "poor"}, made=boxes(0.1, 1))
    add_job(tmp_path, {"attention": "good"}, made=boxes(0.95, 2))
    rows = read_study(tmp_path)
    up = Comparer(rows[0], 300).compare(rows[1])
    down = Comparer(find_row(rows, "attention=good"), 300).compare(rows[0])
    found, mirrored = up.differences["map50_95"], down.differences["map50_95"]
    assert found.estimate == pytest.approx(rows[1].jobs[0].metric("map50_95") - rows[0].jobs[0].metric("map50_95"))
    assert not found.within_noise and found.over_images[0] < found.estimate < found.over_images[1]
    np.testing.assert_allclose(mirrored.over_images, [-found.over_images[1], -found.over_images[0]], atol=1e-12)
    assert (up.images, up.seeds, found.over_both) == (24, ("0",), None)


def test_seeds_are_blocks_and_their_spread_widens_the_interval(tmp_path: Path) -> None:
    skills = {"a": (0.5, 0.5), "b": (0.95, 0.1)}
    for name, pair in skills.items():
        for seed, skill in enumerate(pair):
            add_job(tmp_path, {"attention": name}, seed, made=boxes(skill, 5))
    add_job(tmp_path, {"attention": "b"}, 2, made=boxes(0.99, 5))  # a seed that the baseline lacks
    rows = read_study(tmp_path)
    found = Comparer(rows[0], 400).compare(rows[1])
    maps = {name: [job.metric("map50_95") for job in row.jobs] for name, row in zip("ab", rows, strict=True)}
    paired = statistics.fmean(maps["b"][k] - maps["a"][k] for k in (0, 1))
    difference = found.differences["map50_95"]
    assert found.seeds == ("0", "1")
    assert difference.estimate == pytest.approx(paired, abs=1e-9)
    assert difference.over_both is not None
    low, high = difference.over_images
    assert difference.over_both[0] < low < high < difference.over_both[1]
    assert difference.within_noise and "with seeds" in difference_text(difference)


def test_rows_that_saw_other_images_are_not_compared(tmp_path: Path) -> None:
    add_job(tmp_path, {"data": "a"})
    add_job(tmp_path, {"data": "b"}, splits={**SPLITS, "train": ["other.png"]})
    add_job(tmp_path, {"data": "c"}, made=boxes(0.5, images=20))
    add_job(tmp_path, {"data": "d"}, keep_boxes=False)
    add_job(tmp_path, {"data": "e"}, seed=4)
    folder = add_job(tmp_path, {"data": "f"}, made=boxes(0.9))
    write_json(folder.results_path, {"metrics": {"map50": 0.1, "map75": 0.1, "map50_95": 0.1}})
    rows = read_study(tmp_path)
    comparer = Comparer(rows[0], 100)
    reasons = [comparer.compare(row).reason for row in rows]
    assert reasons[0] == "baseline"
    assert "the splits differ" in reasons[1]
    assert "images, labels or classes differ" in reasons[2]
    assert reasons[3] == NOTHING_KEPT == "no per-image results: evaluate the run again"
    assert reasons[4] == "no seed in common with the baseline"
    assert "evaluate the run again" in reasons[5]
    _, text, _ = build(tmp_path)
    assert NOTHING_KEPT in text


def test_boxes_that_a_later_evaluation_wrote_count(tmp_path: Path) -> None:
    add_job(tmp_path, {"a": "1"})
    folder = add_job(tmp_path, {"a": "2"})
    (folder.path / "evaluate-val").mkdir()
    (folder.path / "detections.json").rename(folder.path / "evaluate-val" / "detections.json")
    rows = read_study(tmp_path)
    assert Comparer(rows[0], 100).compare(rows[1]).differences


def test_boxes_of_another_evaluation_do_not_hide_those_of_the_run(tmp_path: Path) -> None:
    add_job(tmp_path, {"a": "1"})
    folder = add_job(tmp_path, {"a": "2"})
    other = add_job(tmp_path, {"a": "3"}, made=boxes(0.9))
    (folder.path / "evaluate-val").mkdir()
    shutil.copy(other.path / "detections.json", folder.path / "evaluate-val")
    rows = read_study(tmp_path)
    expected = Comparer(rows[0], 100).compare(rows[1])
    shutil.rmtree(folder.path / "evaluate-val")
    assert expected.differences and expected == Comparer(rows[0], 100).compare(rows[1])


def test_time_for_resampling_ends(tmp_path: Path) -> None:
    for name in "abc":
        add_job(tmp_path, {"attention": name})
    rows = read_study(tmp_path)
    comparer = Comparer(rows[0], 100, seconds=0.0)
    reasons = [comparer.compare(row).reason for row in rows[1:]]
    assert all(reason.startswith("not compared: 0 s of resampling are spent") for reason in reasons), "no run is named"


def test_counting_operations_leaves_half_of_the_time_to_comparisons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        add_job(tmp_path, {"attention": name})
    clock = iter([0.0, 1000.0])  # before and after the counting
    seconds: list[float] = []

    class Noted(Comparer):
        def __init__(self, baseline: Row, resamples: int, left: float) -> None:
            seconds.append(left)
            super().__init__(baseline, resamples, left)

    monkeypatch.setattr("lightdet.report.build.Comparer", Noted)
    monkeypatch.setattr("lightdet.report.build.time.process_time", lambda: next(clock, 1000.0))
    report_study(tmp_path, tmp_path / "out", Settings(resamples=100, sizes=(), seconds=20.0))
    assert seconds == [10.0]


def test_the_baseline_is_named_by_number_or_choices(six: Path) -> None:
    rows = read_study(six)
    assert find_row(rows, "2") is rows[1]
    assert find_row(rows, "attention=none head=76") is find_row(rows, "head=76,attention=none") is rows[2]
    for words, problem in (("attention=cbam", "several"), ("attention=x", "no row"), ("9", "no row"), ("", "no row")):
        with pytest.raises(LightdetError, match=problem):
            find_row(rows, words)
