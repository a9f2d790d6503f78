"""What reports show of exported files: the verdicts that `lightdet export` left in a run. No torch here."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json
from lightdet.core.paths import is_inside
from lightdet.core.shown import shown
from lightdet.report.rows import Row
from lightdet.report.table import DASH, Cell, Column, Table, amount, choice_names, head, opening
from lightdet.runs.folder import RunFolder
from lightdet.runs.jobs import finite, inside

VERDICTS = "*.verdict.json"
MOST_FILES, LONGEST = 50, 300  # files of a run that are listed; letters of a reason


def exports_table(rows: Sequence[Row]) -> tuple[Table | None, list[str]]:
    """A line for each exported file of each row, and what could not be read; None where nothing is exported."""
    names, troubles = choice_names(rows), []
    columns = [Column("file", False), Column("format", False), Column("passed", False), Column("MB")]
    columns += [Column("points lost"), Column("most by a class"), Column("reason", False)]
    table = Table("exports", "Exported files, as judged where they were made", [*head(rows), *columns])
    for row in rows:
        for folder in [job.folder for job in row.finished if job.folder is not None]:
            for path in sorted(folder.path.glob(VERDICTS))[:MOST_FILES]:
                try:
                    cells = _cells(folder, path)
                except LightdetError as error:
                    troubles.append(str(error))
                    continue
                table.lines.append([*opening(row, names), *cells])
                table.rows.append(row.number)
    table.notes.append(
        "Points (0.01) of the primary score that the file loses on the validation images against its run, and the most "
        "that a class loses of one of its scores. The verdict beside the file has all checks and the machine."
    )
    return (table if table.lines else None), troubles


def _cells(folder: RunFolder, path: Path) -> list[Cell]:
    """Raises LightdetError for a verdict that is damaged or leads out of the run."""
    if not is_inside(path, folder.path):
        raise LightdetError(f"{path}: a link out of the run; it is not read")
    told = read_json(path)
    listed = told.get("checks")
    checks = [check for check in listed if isinstance(check, dict)] if isinstance(listed, list) else []
    points = [found for check in checks if (found := finite(inside(check, "numbers", "points"))) is not None]
    failed = [check for check in checks if check.get("passed") is not True]
    passed = told.get("passed") is True
    reason = "" if passed else "; ".join(f"{check.get('name')}: {check.get('found')}" for check in failed)
    file = path.with_name(path.name.removesuffix(".verdict.json"))
    return [
        Cell(shown(file.name)),
        Cell(shown(str(told.get("format", ""))[:LONGEST]) or DASH),
        Cell("passed" if passed else "REJECTED"),
        amount(_megabytes(file), 1),
        amount(_lost(checks), 2),
        amount(max(points, default=None), 2),
        Cell(shown(reason[:LONGEST]) or DASH),
    ]


def _lost(checks: Sequence[dict[str, Any]]) -> float | None:
    """Points of the primary score."""
    for check in checks:
        model, file = finite(inside(check, "numbers", "model")), finite(inside(check, "numbers", "file"))
        if model is not None and file is not None:
            return 100 * (model - file)
    return None


def _megabytes(file: Path) -> float | None:
    """Of the file and of those that belong to it: the same stem and another ending."""
    parts = [file, *(file.with_suffix(ending) for ending in (".bin", ".json") if file.suffix in (".xml", ".param"))]
    sizes = [part.stat().st_size for part in parts if part.is_file()]
    return sum(sizes) / 1e6 if file.is_file() else None
