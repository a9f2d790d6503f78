"""A study beside published numbers: what a row may be called, and which pictures are shown."""

from pathlib import Path

import pytest
from reports import QUICK, ROOT
from study_factory import add_job, boxes

from lightdet.core.errors import LightdetError
from lightdet.report.build import report_study
from lightdet.report.paper import find_paper, read_paper


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightdet.report.build.draw_figures", lambda rows, out: {})


PAPER = "epochs: 6\nrows:\n  a=1: {source: Table 1, mAP50: %s}\n  a=nosuch: {source: Table 1, mAP50: 50}\n"


@pytest.mark.parametrize(
    ("published", "seeds", "asked", "extra", "said"),
    [
        ("0.1", 3, 6, "", "reproduced"),
        ("100.0", 3, 6, "", "trained in full, mAP50 not reached"),
        ("98.5 %", 3, 6, "", "trained in full, no published score to compare with"),
        ("0.1", 2, 6, "", "trained in full, too few seeds to decide"),
        ("0.1", 2, 4, "", "trained shorter, 4 of 6 epochs"),
        ("0.1", 2, 6, "other_data: photos of their own\n", "trained in full, on other data"),
    ],
)
def test_a_row_is_called_what_it_is_beside_a_published_one(
    published: str, seeds: int, asked: int, extra: str, said: str, tmp_path: Path, without_figures: None
) -> None:
    for seed in range(seeds):
        add_job(tmp_path, {"a": "1"}, seed, epochs=asked, asked=asked, made=boxes(0.9, seed))
    out = tmp_path / "report"
    out.mkdir()
    (out / "paper.yaml").write_text(extra + PAPER % published)  # beside the report
    report_study(tmp_path, out, QUICK)
    text = (out / "report.md").read_text(encoding="utf-8")
    assert f"| a=1 | 1 | {said} |" in text and "| a=nosuch | - | not run |" in text
    assert ("No row is called reproduced: photos of their own" in text) == bool(extra)


def test_published_numbers_that_are_not_there_are_missed(tmp_path: Path) -> None:
    with pytest.raises(LightdetError, match=r"--paper .*papper\.yaml: no such file"):
        find_paper(tmp_path / "papper.yaml", tmp_path, tmp_path)
    assert find_paper(None, tmp_path, tmp_path) == tmp_path / "paper.yaml"


def test_the_paper_of_the_seed_study_is_shown_with_its_doubts() -> None:
    paper = read_paper(ROOT / "experiments" / "neu_det" / "paper.yaml", [])
    printed = {entry.words: entry.cells for entry in paper.published}
    assert len(printed) == 8 and printed["model=proposed"]["mAP50"] == "98.5"
    for words in printed:
        assert (ROOT / "conf" / "model" / f"{words.removeprefix('model=')}.yaml").exists()
    told = " ".join(paper.notes)
    assert "53.21 both as parameters and as FLOPs" in told and "2 x MAC" in told and paper.other_data


def test_rows_that_share_a_training_show_its_pictures_once(tmp_path: Path, without_figures: None) -> None:
    add_job(tmp_path, {"attention": "none", "head": "76"})
    add_job(tmp_path, {"attention": "none", "head": "38"}, run="attention-none__head-76/s0")
    add_job(tmp_path, {"attention": "cbam", "head": "76"}, made=boxes(0.9))
    report_study(tmp_path, tmp_path / "report", QUICK)
    assert sorted(path.name for path in (tmp_path / "report" / "examples").iterdir()) == ["row-1.jpg", "row-3.jpg"]
    text = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "One training, rows 1: attention=none head=76; 2: attention=none head=38" in text
    assert text.count("![worst images]") == 2
