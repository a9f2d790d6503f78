"""Reports for tests: a study of six rows, and its page, tables and warnings as values."""

import csv
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from study_factory import add_job, boxes

from lightdet.report.build import report_study
from lightdet.report.settings import Settings

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
