"""Published numbers beside ours: `paper.yaml`, typed by a person, shown in columns of their own.

rows:
  model=proposed:                # choices that a row must have
    source: Huang et al. 2024, Table 1
    mAP50: 98.5                  # any names; shown as they are written, in the paper's own unit
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from lightdet.error import LightdetError
from lightdet.report.study.comparison import fits
from lightdet.report.study.rows import Loader, StudyRow

FILE_NAME = "paper.yaml"
SOURCE = "source"


@dataclass(slots=True)
class Paper:
    """Columns in order, and their words per row number."""

    columns: list[str] = field(default_factory=list)
    cells: dict[int, dict[str, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_paper(path: Path, rows: Sequence[StudyRow]) -> Paper:
    """Raises LightdetError for a file that is broken, and for numbers without a source."""
    paper = Paper()
    if not path.exists():
        return paper
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise LightdetError(f"{path}: not readable as YAML ({' '.join(str(error).split())[:200]})") from None
    entries = content.get("rows") if isinstance(content, dict) else None
    if not isinstance(entries, dict):
        raise LightdetError(f"{path}: needs a mapping 'rows' of choices to numbers")
    for words, entry in entries.items():
        if not isinstance(entry, dict) or not entry.get(SOURCE):
            raise LightdetError(f"{path}: {words}: published numbers need a source: say where they are printed")
        cells = {str(name): str(value) for name, value in entry.items()}
        paper.columns += [name for name in cells if name not in (*paper.columns, SOURCE)]
        found = [row for row in rows if fits(row, str(words).replace(",", " ").split())]
        for row in found:
            paper.cells.setdefault(row.number, {}).update(cells)
        if not found:
            paper.notes.append(f"{path.name}: {words} fits no row of this study")
    paper.columns.append(SOURCE)
    return paper
