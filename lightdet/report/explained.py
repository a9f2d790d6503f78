"""What reports show of explanations: heat maps and numbers in the folder `explain` of a run. No torch here."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from lightdet.config.refusals import is_user_error
from lightdet.core.errors import LightdetError, one_line
from lightdet.core.files import read_json
from lightdet.core.paths import is_inside
from lightdet.core.reading import read_text
from lightdet.core.shown import shown
from lightdet.engine.found import EXPLANATIONS
from lightdet.report.rows import Row
from lightdet.report.table import DASH, Cell, Column, Table, choice_names, head, opening
from lightdet.runs.folder import RunFolder

MOST_MAPS = 6  # heat maps of a run
NUMBERS = "table.csv"  # of `lightdet explain RUN --measure`, beside the heat maps
MOST_BYTES, MOST_LINES, MOST_COLUMNS = 2**20, 200, 20  # of it


def heat_maps(folder: RunFolder) -> list[tuple[Path, str]]:
    """The pictures of a run's explanations with a title each, at most `MOST_MAPS`; [] where there are none.

    Raises LightdetError for an explanations.json that is damaged or names a picture outside of the run.
    """
    report = folder.explain / EXPLANATIONS
    images = read_json(report).get("images", []) if is_inside(report, folder.path) else []
    found: list[tuple[Path, str]] = []
    try:
        for image in images:
            if image["explanations"] and image["picture"] and len(found) < MOST_MAPS:
                first = image["explanations"][0]
                title = f"{Path(image['file']).name}: why {first['class']} {first['score']:.2f}, {first['method']}"
                found.append((folder.explain / image["picture"], shown(title)))
    except (KeyError, TypeError, ValueError) as error:
        raise LightdetError(f"{report}: not as `lightdet explain` writes it; remove it") from error
    return found


def explained_table(rows: Sequence[Row]) -> tuple[Table | None, list[str]]:
    """The numbers of every row's first measured run, a line for each of its lines, and what could not be read; None
    where no run is measured."""
    names, troubles = choice_names(rows), []
    measured: list[tuple[Row, list[dict[str, str]]]] = []
    for row in rows:
        for folder in _folders(row):
            try:
                lines = _numbers(folder)
            except LightdetError as error:
                troubles.append(str(error))
                continue
            if lines:
                measured.append((row, lines))
                break
    if not measured:
        return None, troubles
    columns = list(dict.fromkeys(name for _, lines in measured for line in lines for name in line))
    numeric = {
        name: any(_number(line.get(name, "")) is not None for _, ls in measured for line in ls) for name in columns
    }
    table = Table("explanations", "Explanations, measured", [*head(rows), *(Column(n, numeric[n]) for n in columns)])
    for row, lines in measured:
        for line in lines:
            cells = [Cell(shown(line.get(name, DASH)), _number(line.get(name, ""))) for name in columns]
            table.lines.append([*opening(row, names), *cells])
            table.rows.append(row.number)
    table.notes.append(
        "From one seed of each row: the first whose explanations were measured. docs/explain.md has the terms."
    )
    return table, troubles


def explain_missing(rows: Sequence[Row], trust_modules: bool = False) -> list[str]:
    """Explains the worst validation images of one finished run of each row where none of its runs has explanations.

    Imports torch. Returns a line for each run that cannot be explained, such as one whose data is elsewhere.
    """
    troubles, tried = [], set()
    for row in rows:
        folders = _folders(row)
        if not folders or any((each.explain / EXPLANATIONS).is_file() or each.path in tried for each in folders):
            continue
        tried.add(folders[0].path)
        from lightdet.explain.of_run import explain_run

        try:
            explain_run(folders[0].path, trust_modules)
        except Exception as error:  # the data of a run may be anything
            if not is_user_error(error):
                raise
            troubles.append(f"{folders[0].path}: not explained: {one_line(error)}")
    return troubles


def _folders(row: Row) -> list[RunFolder]:
    return [job.folder for job in row.finished if job.folder is not None]


def _numbers(folder: RunFolder) -> list[dict[str, str]]:
    """The lines of a run's table, by the names of its columns."""
    path = folder.explain / NUMBERS
    if not path.is_file():
        return []
    if not is_inside(path, folder.path):
        raise LightdetError(f"{path}: a link that leads out of its run; not shown")
    try:
        reader = csv.DictReader(io.StringIO(read_text(path, MOST_BYTES), newline=""), restval="")
        lines = [{str(name): str(value) for name, value in line.items() if name} for line in reader]
    except csv.Error as error:
        raise LightdetError(f"{path}: not readable as CSV ({error}); delete it") from error
    if len(lines) > MOST_LINES or len(lines[0] if lines else ()) > MOST_COLUMNS:
        raise LightdetError(f"{path}: more than {MOST_LINES} lines or {MOST_COLUMNS} columns; not shown")
    return lines


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None
