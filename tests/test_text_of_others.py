"""Names and reasons that other people chose are text: in a terminal, in Markdown, in CSV and in HTML."""

import csv
import io
import json
from pathlib import Path

import pytest
from reports import QUICK, Elements
from study_factory import add_job

from lightdet.cli.main import complain, main
from lightdet.core.shown import shown, shown_lines
from lightdet.core.table import as_text, to_csv, to_markdown, to_text
from lightdet.report.build import report_study
from lightdet.runs.jobs import read_jobs
from lightdet.runs.scores import write_scores
from lightdet.runs.table import write_tables
from lightdet.study.command import run as study_command

TERMINAL = "\x1b[2J\x1b]8;;http://x\x07link\x1b]8;;\x07 \r\x08\u202eevil\u2066\x9b31m\ud800\u2028"
MARKUP = "a|b`c`[l](http://x)<img src=x onerror=alert(1)>\\|$x$ *b* _i_"


def test_what_a_terminal_acts_on_is_written_out() -> None:
    text = shown(TERMINAL)
    assert text.isprintable() and "\\x1b[2J" in text and "\\u202eevil\\u2066\\x9b31m\\ud800\\u2028" in text
    for plain in (
        "scratch",
        "Kratzer, tief",
        "\u5212\u75d5",
        "\u05e9\u05e8\u05d9\u05d8\u05d4",
        "\U0001f469\u200d\U0001f527",
        "a\u00a0b",
        "",
    ):
        assert shown(plain) == plain
    assert shown_lines("a\nb\x1bc") == "a\nb\\x1bc"


def test_an_error_line_is_one_line_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    assert complain(f"{TERMINAL}\nlightdet: all is well") == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and told.strip().isprintable()


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", "\uff1d1", "-"])
def test_no_cell_of_a_spreadsheet_is_computed(text: str) -> None:
    (cell,) = next(csv.reader(io.StringIO(to_csv([[text]]), newline="")))
    assert cell == {"-": "-", "\t=1": "\\t=1", "\r=1": "\\r=1"}.get(text, f"'{text}")


def test_numbers_stay_numbers() -> None:
    assert to_csv([["a", -0.5, "-0.5", "+1e-3", "-inf", None, 3]]) == "a,-0.5,-0.5,+1e-3,-inf,,3\n"


def test_a_cell_of_markdown_opens_nothing() -> None:
    line = to_markdown(["h"], [[MARKUP]], [False]).splitlines()[-1]
    assert line == (r"| a\|b\`c\`\[l\](http://x)&lt;img src=x onerror=alert(1)>\\\|\$x\$ \*b\* \_i\_ |")
    assert as_text("pitted_surface mAP50-95 a\nb") == "pitted_surface mAP50-95 a b"
    assert "\\x1b" in to_text(["[red]h"], [["\x1b[1m[bold]x"]], [False]) and "[bold]x" in to_text(
        ["h"], [["[bold]x"]], [False]
    )


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Hostile text wherever a study holds text."""
    folder = add_job(
        tmp_path / "mine", {"a": TERMINAL.replace("\ud800", "")}, classes=("=1+1|x", MARKUP, TERMINAL[:-2])
    )
    failed = add_job(tmp_path / "mine", {"a": MARKUP}, state="failed", reason=TERMINAL + MARKUP)
    failed.write_status("failed", reason=TERMINAL + MARKUP, traceback=TERMINAL)
    scores = json.loads((folder.path / "results.json").read_text())
    scores["metrics"][MARKUP] = 0.5
    (folder.path / "results.json").write_text(json.dumps(scores))
    return tmp_path / "mine"


def test_hostile_text_reaches_no_terminal(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert study_command([str(study)]) == 1
    assert main(["report", str(study), "--sizes", "none", "--resamples", "100"]) in (0, 1)
    told = capsys.readouterr()
    for line in (told.out + told.err).split("\n"):
        assert line.isprintable(), line


def test_hostile_text_is_text_in_every_file(study: Path) -> None:
    report_study(study, study / "report", QUICK)
    write_tables(study, read_jobs(study))
    for path in [study / "table.csv", *(study / "report").glob("*.csv")]:
        cells = [cell for row in csv.reader(io.StringIO(path.read_text(), newline="")) for cell in row]
        assert not [cell for cell in cells if cell[:1] in ("=", "@", "\t") or cell.startswith("+cmd")], path
    for path in (study / "table.md", study / "report/report.md"):
        assert "<img" not in path.read_text() and "[l](" not in path.read_text() and "\x1b" not in path.read_text()
    page = Elements((study / "report/report.html").read_text())
    assert not [image for image in page.all("img") if "onerror" in image]
    assert not page.all("a") or all(str(link.get("href")).startswith("data:") for link in page.all("a"))
    assert MARKUP in json.dumps(page.details()).encode().decode("unicode_escape")


def test_the_key_of_a_score_names_no_file_elsewhere(tmp_path: Path) -> None:
    folder = add_job(tmp_path / "mine", {"a": "1"})
    jobs = read_jobs(tmp_path / "mine")
    write_scores(folder, "detection", jobs[0].scores)
    path = folder.path / "scores.json"
    path.write_text(path.read_text().replace('"map50"', '"../../../x"').replace('"ap50"', '"../y"'))
    report_study(tmp_path / "mine", tmp_path / "mine/report", QUICK)
    assert not list(tmp_path.glob("*.csv")) and not list((tmp_path / "mine").glob("*.csv"))
