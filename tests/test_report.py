"""A study's report: its tables, a page that is safe to open, and the command."""

import json
import re
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import reports
from reports import ROOT, build, lines
from study_factory import CLASSES, add_job

import lightdet.cli.main as cli
from lightdet.metric.detection_scores import MAP50_95
from lightdet.metric.detections_file import read_detections, write_detections
from lightdet.metric.match_record import ImageBoxes
from lightdet.report.document import as_json
from lightdet.report.figures import NAMED, legend_name, pareto
from lightdet.report.rows import Row, Value, read_study
from lightdet.report.settings import Settings
from lightdet.report.tables import attention_table

six = pytest.fixture(reports.six)


def test_the_tables_hold_what_the_runs_measured(six: Path) -> None:
    page, text, troubles = build(six, figures=True)
    assert troubles == ()
    assert {path.name for path in (six / "report").iterdir()} == {
        "report.html", "report.md", "examples", "score_over_epochs.png", "pareto_parameters.png", "pareto_gflops.png",
        "table1_ap50.csv", "table2_scores.csv", "table3_cost.csv", "table4_attention_head.csv",
        "table5_seeds_map50_95.csv", "table6_seeds_map50.csv", "table8_choices.csv", "other_scores.csv",
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
    assert len(page.all("table")) == 9


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
