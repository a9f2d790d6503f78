"""A study's report: its numbers, what it says of noise and of damaged rows, and a page that is safe to open."""

import csv
import errno
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from study_factory import CLASSES, SPLITS, add_job, boxes

import lightdet.cli.main as cli
import lightdet.report.cost as cost
from lightdet.config.compose import compose_config
from lightdet.core.errors import LightdetError
from lightdet.core.files import write_json
from lightdet.metric.detection_scores import MAP50_95
from lightdet.metric.detections_file import read_detections, write_detections
from lightdet.metric.match_record import ImageBoxes
from lightdet.report.build import report_study
from lightdet.report.comparison import NOTHING_KEPT, Comparer, find_row
from lightdet.report.document import as_json
from lightdet.report.figures import NAMED, legend_name, pareto
from lightdet.report.rows import Row, Value, read_study
from lightdet.report.settings import Settings
from lightdet.report.tables import attention_table, difference_text
from lightdet.runs.fingerprint import network_digest
from lightdet.runs.jobs import read_jobs

ROOT = Path(__file__).resolve().parent.parent
QUICK = Settings(resamples=200, sizes=())


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text of each script and cell."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = dict(attrs).get("id") or tag

    def handle_data(self, data: str) -> None:
        self.text[self._open] = self.text.get(self._open, "") + data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def details(self) -> dict[str, Any]:
        content = json.loads(self.text["details"])
        assert isinstance(content, dict)
        return content


def build(study: Path, settings: Settings = QUICK, figures: bool = False) -> tuple[Elements, str, tuple[str, ...]]:
    """The page's elements, report.md, and what could not be read; without figures it is quicker."""
    with pytest.MonkeyPatch.context() as patch:
        if not figures:
            patch.setattr("lightdet.report.build.draw_figures", lambda rows, out: {})
        written = report_study(study, study / "report", settings)
    text = written.page.read_text(encoding="utf-8")
    return Elements(text), (study / "report" / "report.md").read_text(encoding="utf-8"), written.troubles


def lines(study: Path, name: str) -> list[dict[str, str]]:
    with (study / "report" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def six(tmp_path: Path) -> Path:
    """Attention by grid, two seeds of the first row; without attention the grid is one training."""
    study = tmp_path / "six"
    add_job(study, {"attention": "cbam", "head": "76"}, 0, made=boxes(0.9, 1))
    add_job(study, {"attention": "cbam", "head": "76"}, 1, made=boxes(0.8, 2))
    add_job(study, {"attention": "cbam", "head": "38"}, made=boxes(0.7, 3))
    add_job(study, {"attention": "none", "head": "76"}, made=boxes(0.4, 4), parameters=1_400_000)
    add_job(study, {"attention": "none", "head": "38"}, run="attention-none__head-76/s0")
    add_job(study, {"attention": "se", "head": "76"}, state="failed", reason="loss is nan", epochs=3)
    add_job(study, {"attention": "se", "head": "38"}, state="queued")
    return study


def test_the_tables_hold_what_the_runs_measured(six: Path) -> None:
    page, text, troubles = build(six, figures=True)
    assert troubles == ()
    assert {path.name for path in (six / "report").iterdir()} == {
        "report.html", "report.md", "examples", "score_over_epochs.png", "pareto_parameters.png", "pareto_gflops.png",
        "table1_ap50.csv", "table2_scores.csv", "table3_cost.csv", "table4_attention_head.csv",
        "table5_seeds_map50_95.csv", "table6_seeds_map50.csv", "table8_choices.csv",
    }  # fmt: skip
    runs = [json.loads((six / f"attention-cbam__head-76/s{seed}/results.json").read_text()) for seed in (0, 1)]
    means = [run["metrics"]["map50_95"] for run in runs]
    first = lines(six, "table2_scores")[0]
    assert float(first["mAP50-95"]) == pytest.approx(statistics.fmean(means))
    assert float(first["mAP50-95 spread"]) == pytest.approx(statistics.stdev(means))
    assert f"{statistics.fmean(means):.3f} ± {statistics.stdev(means):.3f}" in text
    assert (first["seeds"], first["epochs"], first["input px"]) == ("2 seeds", "6", "224")
    dents = [run["metrics"]["per_class"]["dent"]["ap50"] for run in runs]
    assert float(lines(six, "table1_ap50")[0]["dent"]) == pytest.approx(statistics.fmean(dents))
    second = lines(six, "table2_scores")[1]
    assert (second["seeds"], second["mAP50-95 spread"]) == ("one seed, no spread", "")
    failed = lines(six, "table2_scores")[4]
    assert (failed["status"], failed["mAP50"]) == ("failed after 3 of 6 epochs: loss is nan", "-")
    assert lines(six, "table3_cost")[0]["parameters"] == "1500000.0"
    assert "GFLOPs are 2 x MAC" in text and "reproduced" not in text
    assert len(page.all("table")) == 8


def test_attention_and_grid_cross_in_a_table_of_their_own(six: Path) -> None:
    table = attention_table(read_study(six))
    assert table is not None
    assert [column.name for column in table.columns][:3] == ["attention", "mAP50 head=76", "mAP50 head=38"]
    assert [line[0].text for line in table.lines] == ["cbam", "none", "se"]
    none = table.lines[1]
    assert none[1].text == none[2].text != "-"
    assert table.lines[2][1].text == "-"


def test_without_a_swept_grid_there_is_no_such_table(tmp_path: Path) -> None:
    add_job(tmp_path, {"attention": "cbam"})
    assert attention_table(read_study(tmp_path)) is None


# ---------------------------------------------------------------- the page


def test_the_page_needs_nothing_else(six: Path) -> None:
    page, _, _ = build(six)
    text = (six / "report" / "report.html").read_text()
    assert not re.search(r"(src|href)=\"(?!data:)", text) and "@import" not in text and "url(" not in text
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv")]
    assert policy is not None and policy.startswith("default-src 'none'; img-src data:")
    told = page.details()
    assert set(told["rows"]) == {"1", "2", "3", "4", "5", "6"}
    assert [job["seed"] for job in told["rows"]["1"]["jobs"]] == ["0", "1"]
    assert told["rows"]["3"]["jobs"][0]["run"] == told["rows"]["4"]["jobs"][0]["run"]
    run = told["runs"]["attention-cbam__head-76/s0"]
    assert run["curves"]["mAP50"][0] == [2, 4, 6], "epochs without validation are no points"
    assert run["pictures"][0]["src"].startswith("data:image/jpeg;base64,")
    assert run["point"]["escape_rate"] == 0 and "overkill_rate" not in run["point"]


def test_names_and_overrides_cannot_become_markup(tmp_path: Path) -> None:
    bad = "</script><img src=x onerror=alert(1)>"
    add_job(tmp_path, {"note": f"{bad}\"'&|`$x$"}, classes=(bad, "b&amp;", "c|d"), pictures=3)
    add_job(tmp_path, {"note": "plain"}, state="failed", reason=f"ValueError: {bad}")
    page, text, _ = build(tmp_path)
    assert not [image for image in page.all("img") if not (image["src"] or "").startswith("data:")]
    assert len(page.all("script")) == 2
    told = page.details()
    assert next(iter(next(iter(told["runs"].values()))["classes"])) == bad
    assert told["rows"]["1"]["options"]["note"].startswith(bad)
    assert bad not in text and "\\|" in text
    assert json.loads(as_json({bad: "\u2028&"})) == {bad: "\u2028&"}


def test_beyond_its_room_the_page_links_pictures_and_says_so(six: Path) -> None:
    page, text, _ = build(six, Settings(resamples=100, sizes=(), megabytes=0.0))
    sources = [p["src"] for run in page.details()["runs"].values() for p in run["pictures"]]
    assert len(sources) == 4 and "4 pictures are links" in text
    assert all((six / "report" / source).is_file() for source in sources)


# ---------------------------------------------------------------- noise


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


DAMAGED = {
    "config.yaml": ["model: null", "model: [1]", "model: abc", "model: &a\n  x: *a", "&a\nx: *a"],
    "metrics.csv": ["epoch,val/map50_95\ninf,0.1\n", "epoch,val/map50_95\nnan,0.1\n"],
    "results.json": ['{"metrics": {"map50": 1' + "0" * 400 + "}}"],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in DAMAGED.items() for text in texts])
def test_a_damaged_file_takes_no_other_row_along(name: str, text: str, tmp_path: Path) -> None:
    folder = add_job(tmp_path, {"a": "1"})
    add_job(tmp_path, {"a": "2"})
    (folder.path / name).write_text(text)
    _, report, _ = build(tmp_path)
    assert float(lines(tmp_path, "table2_scores")[1]["mAP50"]) > 0
    assert name == "results.json" or f"{folder.path / name}: " in report


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


# ---------------------------------------------------------------- damage, publications, cost


def test_damaged_rows_say_so_and_the_report_still_comes(tmp_path: Path) -> None:
    folders = [add_job(tmp_path, {"attention": name}) for name in "abcdefgh"]
    folders[1].results_path.write_text('{"metrics": {')
    folders[2].status_path.unlink()
    folders[3].metrics_csv.write_text("epoch,val/map50\n,x\n")
    folders[4].config_path.write_text("trainer: [")
    (folders[5].pictures / "overview.png").write_bytes(b"no picture")
    folders[6].results_path.write_text('{"metrics": [1, 2], "footprint": 7, "epochs": "many"}')
    folders[7].results_path.write_bytes(b"\xff\xfe\x00")
    (folders[0].path / "detections.json").write_text("{")
    (tmp_path / "jobs" / "zz__s0.json").write_text("[1")
    (tmp_path / "jobs" / "yy__s0.json").write_text('{"overrides": 5, "choices": [], "number": "x", "run": 3}')
    page, text, troubles = build(tmp_path)
    told = "\n".join(troubles)
    for name in ("results.json", "status.json", "metrics.csv", "overview.png", "zz__s0", "yy__s0", "config.yaml"):
        assert name in told or name == "config.yaml"
    assert len(page.details()["rows"]) == 10
    assert "unreadable" in text and "missing" in text
    assert cli.main(["report", str(tmp_path), "--sizes", "none", "--resamples", "100"]) == 1


def test_a_study_that_was_moved_is_read_where_it_lies_and_needs_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = add_job(tmp_path / "old", {"a": "1"}, state="failed", reason="loss is nan")
    failed.write_status("failed", reason="loss is nan", traceback=str(failed.traceback_path))
    killed = add_job(tmp_path / "old", {"a": "2"}, state="running", epochs=1)
    with killed.lock():
        pass
    (tmp_path / "old").rename(tmp_path / "new")
    opened = open

    def read_only(file: Any, mode: str = "r", *rest: Any, **more: Any) -> Any:
        if mode != "r":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(file))
        return opened(file, mode, *rest, **more)

    monkeypatch.setattr("builtins.open", read_only)
    rows = read_jobs(tmp_path / "new")
    assert [(row.state, row.reason) for row in rows] == [("failed", "loss is nan"), ("killed", "")]
    assert rows[0].traceback == str(tmp_path / "new" / failed.path.relative_to(tmp_path / "old") / "traceback.txt")


def test_a_study_without_any_finished_run_is_reported(tmp_path: Path) -> None:
    add_job(tmp_path, {"a": "1"}, state="queued")
    add_job(tmp_path, {"a": "2"}, state="running", epochs=1)
    page, text, troubles = build(tmp_path, figures=True)
    assert "killed" in text and "queued" in text and troubles == ()
    assert page.details()["runs"]


def test_published_numbers_stand_apart_with_their_source(six: Path) -> None:
    before = lines_without_paper(six)
    (six / "paper.yaml").write_text(
        "rows:\n  attention=cbam head=76: {source: 'Somebody 2024, Table 1', mAP50: 98.5}\n"
        "  attention=nosuch: {source: x, FPS: 12}\n"
    )
    _, text, _ = build(six)
    first, second = lines(six, "table2_scores")[:2]
    assert (first["paper: mAP50"], first["paper: source"]) == ("98.5", "Somebody 2024, Table 1")
    assert second["paper: mAP50"] == ""
    assert lines_without_paper(six, again=False) == before
    assert "| attention=nosuch | - | not run |" in text and "Table 7 compares each row with them" in text
    (six / "paper.yaml").write_text("rows: {attention=cbam: {mAP50: 98.5}}\n")
    with pytest.raises(LightdetError, match="source"):
        build(six)


def lines_without_paper(study: Path, again: bool = True) -> list[dict[str, str]]:
    if again:
        build(study)
    found = lines(study, "table2_scores")
    return [{key: value for key, value in line.items() if not key.startswith("paper")} for line in found]


def test_latency_comes_from_a_measurement_of_the_same_network(six: Path) -> None:
    networks = {"attention-cbam__head-76/s0": "one", "attention-none__head-76/s0": "another"}
    for place, name in networks.items():
        path = six / place / "config.yaml"
        path.write_text(path.read_text() + f"model: {{network: {{made: {name}}}}}\nnum_classes: 3\n")
    measured = {"model": {"network": {"made": "one"}, "loss": "any"}, "num_classes": 3}
    facts = {
        "settings": {"image_size": 608, "threads": 2, "ways": ["eager", "detect"]},
        "machine": {"processor": "some"},
        "rows": [{"network": network_digest(measured), "batches": {"1": {"eager": {"ms": {"median": 60.2}}}}}],
    }
    write_json(six / "benchmark.json", facts)
    build(six)
    found = lines(six, "table3_cost")
    assert found[0]["ms (eager, 608 px, 2 threads)"] == "60.2"
    assert found[2]["ms (eager, 608 px, 2 threads)"] == "-", "another network"


def test_what_a_model_from_elsewhere_says_of_itself_stands_beside_our_measurement(six: Path) -> None:
    path = six / "attention-cbam__head-76/s0/results.json"
    write_json(path, {**json.loads(path.read_text()), "own_evaluator": {"map50": 0.625}})
    build(six)
    found = [line["mAP50 by its own evaluator"] for line in lines(six, "table2_scores")]
    assert (float(found[0]), set(found[1:])) == (0.625, {"-"})
    assert "mAP75 by its own evaluator" not in lines(six, "table2_scores")[0]


def test_operations_at_other_sizes_are_counted_and_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = add_job(tmp_path, {"model": "proposed"})
    broken = add_job(tmp_path, {"model": "gone"})
    foreign = add_job(tmp_path, {"model": "foreign"})
    config = compose_config(["width=0.125", "num_classes=3", "logger=none"])
    targets = (config.model, {"_target_": "lightdet.model.Gone"}, {"_target_": "pathlib.Path"})
    for place, target in zip((folder, broken, foreign), targets, strict=True):
        OmegaConf.save(OmegaConf.create({**config, "model": target}), place.config_path, resolve=True)
    settings = Settings(resamples=100, sizes=(64,))
    _, text, _ = build(tmp_path, settings)
    counted = [line["GFLOPs at 64 px"] for line in lines(tmp_path, "table3_cost")]
    assert 0 < float(counted[0]) < 1 and counted[1] == "-"
    assert "Row 2: not counted at other sizes" in text
    assert "Row 3: not counted at other sizes (pathlib.Path is no part of lightdet; --own-modules" in text
    monkeypatch.setattr(cost, "find_spec", lambda name: None)
    _, text, _ = build(tmp_path, settings)
    assert [line["GFLOPs at 64 px"] for line in lines(tmp_path, "table3_cost")] == counted
    assert "torch is not installed" in text


@pytest.mark.parametrize(
    "target",
    ["os.system", "lightdet.core.files.write_text", "lightdet.nn.blocks.torch.load", "lightdet.nn.blocks.torch.Tensor"],
)
def test_a_study_from_elsewhere_cannot_choose_what_is_called(target: str) -> None:
    assert cost.foreign_target({"_target_": "lightdet.model.yolo.Yolo", "neck": [{"_target_": target}]}) == target
    assert cost.foreign_target({"_target_": "hydra.utils.get_object", "path": target}) == target
    assert cost.foreign_target({"_target_": "lightdet.model.yolo.Yolo", "width": 0.25}) is None
    assert cost.foreign_target({"_target_": "lightdet.model.yolo.Yolo", "neck": ["${payload}"]}) == "${payload}"


def test_a_run_outside_of_its_study_is_not_read(tmp_path: Path) -> None:
    add_job(tmp_path / "other", {"a": "1"})
    add_job(tmp_path / "mine", {"a": "2"})
    add_job(tmp_path / "mine", {"a": "1"}, run="../other/a-1/s0")
    states = {row.choices["a"]: (row.state, row.reason) for row in read_jobs(tmp_path / "mine")}
    assert states["2"][0] == "done" and states["1"][0] == "unreadable" and "outside" in states["1"][1]


def test_a_default_that_was_typed_is_no_row_of_its_own(tmp_path: Path) -> None:
    for seed in (0, 1):
        add_job(tmp_path, {"a": "1"}, seed, options={"b": "2"})
        add_job(tmp_path, {"a": "0"}, seed, options={"b": "2"})
    add_job(tmp_path, {"a": "1", "b": "2"}, 2)
    add_job(tmp_path, {"a": "1", "b": "3"})
    rows = read_study(tmp_path)
    assert [(row.choices["a"], row.choices["b"], len(row.jobs)) for row in rows] == [
        ("1", "2", 3),
        ("0", "2", 2),
        ("1", "3", 1),
    ]


def test_numbers_are_kept_to_their_last_digit(tmp_path: Path) -> None:
    boxes = np.float32([[118.11001, 34.640003, 141.46222, 56.423334], [0, 0, 1 / 3, 9], [1e-7, 2, 3, 4000.0002]])
    scores = np.float32([[3.0000001e-05], [3e-05], [2.9999e-05]])
    table = np.concatenate([boxes, scores, np.zeros((3, 1))], axis=1)
    truth = np.concatenate([boxes, np.zeros((3, 1))], axis=1)
    write_detections(tmp_path / "d.json", ["dent"], ["a.png"], [ImageBoxes(table, truth)])
    (kept,) = read_detections(tmp_path / "d.json").images
    assert np.array_equal(kept.detections.astype(np.float32), table.astype(np.float32))
    assert np.array_equal(kept.ground_truth.astype(np.float32), truth.astype(np.float32))


def test_the_front_holds_the_rows_that_none_beats(six: Path) -> None:
    rows = read_study(six)
    prices, values = (3.0, 1.0, 2.0, 2.0), (0.5, 0.2, 0.1, 0.4)
    points = [(row, x, Value(y, None, 1, y, y)) for row, x, y in zip(rows, prices, values, strict=False)]
    assert [point[1] for point in pareto(points, MAP50_95)] == [1.0, 2.0, 3.0]
    assert pareto([*points, (rows[4], 0.5, Value(0.6, None, 1, 0.6, 0.6))], MAP50_95) == [
        (rows[4], 0.5, Value(0.6, None, 1, 0.6, 0.6))
    ]


def test_a_name_says_what_the_row_chose_in_as_many_lines_as_there_is_room_for() -> None:
    choices = {"model": "ultralytics", "optimizer": "-", "architecture": "yolo11n.yaml", "trainer.max_epochs": "60"}
    row = Row(3, choices, {}, [])
    assert row.label == "model=ultralytics architecture=yolo11n.yaml trainer.max_epochs=60"
    assert legend_name(row, 4).splitlines() == [
        "3: model=ultralytics architecture=yolo11n.yaml",
        "trainer.max_epochs=60",
    ]
    assert re.fullmatch(r"3: model=ultralytics architecture=yolo.*…", legend_name(row, NAMED))


# ---------------------------------------------------------------- the prompt


@pytest.mark.parametrize(
    ("words", "named"),
    [([], "no study here"), (["--baseline", "a=9"], "fits no row"), (["--paper", "broken.yaml"], "rows")],
)
def test_what_a_person_gave_wrong_is_one_line_and_exit_code_2(
    words: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("study").mkdir()
    Path("broken.yaml").write_text("[]")
    if words:
        add_job(Path("study"), {"a": "1"})
    assert cli.main(["report", "study", *words]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert named in line
    assert not Path("study/report").exists()


def test_the_command_does_without_torch(tmp_path: Path) -> None:
    add_job(tmp_path, {"a": "1"})
    add_job(tmp_path, {"a": "2"})
    script = (
        "import sys; from lightdet.cli.main import main\n"
        f"code = main(['report', {str(tmp_path)!r}, '--sizes', 'none', '--out', {str(tmp_path / 'out')!r}])\n"
        "sys.exit(code or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "2 rows, 2 jobs: 2 done" in done.stdout
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000
    assert CLASSES[0] in (tmp_path / "out" / "report.md").read_text()
