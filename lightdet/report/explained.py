"""What reports show of explanations: heat maps and numbers in the folder `explain` of a run. No torch here."""

from collections.abc import Sequence
from math import isfinite
from pathlib import Path

from lightdet.config.refusals import is_user_error
from lightdet.core.errors import LightdetError, one_line
from lightdet.core.files import read_json
from lightdet.core.paths import is_inside
from lightdet.core.shown import shown
from lightdet.explain.measured import WORDS, measured_methods
from lightdet.report.rows import Row
from lightdet.report.table import DASH, Cell, Column, Table, choice_names, head, opening
from lightdet.runs.folder import RunFolder
from lightdet.runtime.found import EXPLANATIONS

MOST_MAPS = 6  # heat maps of a run
LONGEST_TITLE = 300  # letters


def heat_maps(folder: RunFolder) -> list[tuple[Path, str]]:
    """The pictures of a run's explanations with a title each, at most `MOST_MAPS`; [] where there are none.

    Raises LightdetError for an explanations.json that is damaged.
    """
    report = folder.explain / EXPLANATIONS
    images = read_json(report).get("images", []) if is_inside(report, folder.path) else []
    found: list[tuple[Path, str]] = []
    try:
        for image in images:
            if image["explanations"] and image["picture"] and len(found) < MOST_MAPS:
                first = image["explanations"][0]
                if not 0 <= first["score"] <= 1:  # JSON has numbers that are no float, and Infinity
                    raise ValueError("a score that is none")
                title = f"{Path(image['file']).name}: why {first['class']} {first['score']:.2f}, {first['method']}"
                path = folder.explain / image["picture"]
                path.is_file()  # raises OSError for a name that no file can have
                found.append((path, shown(title)[:LONGEST_TITLE]))
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise LightdetError(f"{report}: not as `lightdet explain` writes it; remove it") from error
    return found


def explained_table(rows: Sequence[Row]) -> tuple[Table | None, list[str]]:
    """The numbers of every row's first measured run, a line for each method, and what could not be read; None where no
    run is measured."""
    names, troubles = choice_names(rows), []
    lines: list[tuple[Row, dict[str, str]]] = []
    for row in rows:
        for folder in _folders(row):
            try:
                found = measured_methods(folder)
            except LightdetError as error:
                troubles.append(str(error))
                continue
            if found:
                lines += [(row, line) for line in found]
                break
    if not lines:
        return None, troubles
    columns = list(dict.fromkeys(name for _, line in lines for name in line))
    shown_columns = [Column(name, numeric=name not in WORDS, worded=name not in WORDS) for name in columns]
    table = Table("explanations", "Explanations: the methods measured", [*head(rows), *shown_columns])
    for row, line in lines:
        cells = [
            Cell(shown(line.get(name, "")) or DASH, None if name in WORDS else _first_number(line.get(name, "")))
            for name in columns
        ]
        table.lines.append([*opening(row, names), *cells])
        table.rows.append(row.number)
    table.notes.append(
        "Of each row the first run that `lightdet explain RUN --measure` measured, with 95 % intervals over images. "
        "A trivial map looks at no network: a method that does not beat it explains nothing that it does not."
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


def _first_number(text: str) -> float | None:
    """Of a cell such as "0.94 [0.90, 0.97]"."""
    try:
        value = float(text.split()[0])
    except (ValueError, IndexError):
        return None
    return value if isfinite(value) else None
