"""Published numbers beside measured ones: `paper.yaml`, written by hand, shown in separate columns.

epochs: 300                      # of the published trainings; leave out where they are not known
other_data: why                  # where the images of the paper are not available: no row is then called reproduced
notes: [what to doubt, ...]
rows:
  model=proposed:                # choices that a row must have
    source: Huang et al. 2024, Table 1
    mAP50: 98.5                  # any names; shown as written, in the unit of the paper
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lightdet.core.errors import LightdetError
from lightdet.core.paths import is_inside
from lightdet.core.safe_yaml import load_yaml
from lightdet.core.score import Score
from lightdet.report.comparison import fits
from lightdet.report.rows import Row, Value, whole
from lightdet.report.table import DASH, Cell, Column, Table, amount, measured
from lightdet.runs.jobs import inside

FILE_NAME = "paper.yaml"
SOURCE = "source"
NOT_RUN = "not run"
REPRODUCED = "reproduced"
FEWEST_SEEDS = 3
SPREADS = 2  # sample standard deviations over seeds by which a published score may be better than the measured mean


@dataclass(frozen=True, slots=True)
class Published:
    """One row of a paper, and the rows of the study that it belongs beside."""

    words: str
    cells: dict[str, str]
    rows: tuple[Row, ...]


@dataclass(slots=True)
class Paper:
    """Columns in order, their words per published row, and what the numbers of the paper are compared with."""

    columns: list[str] = field(default_factory=list)
    published: list[Published] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    epochs: int | None = None
    other_data: str = ""

    def cell(self, number: int, name: str) -> str:
        """The published text for a row of the study; "" for none."""
        cells = [entry.cells[name] for entry in self.published if name in entry.cells and number in _numbers(entry)]
        return cells[-1] if cells else ""


def _numbers(entry: Published) -> list[int]:
    return [row.number for row in entry.rows]


def find_paper(given: Path | None, study: Path, out: Path) -> Path:
    """The file that --paper names, else the one in the study's folder, else the one beside the report. Raises
    LightdetError for a named one that is not there."""
    if given is None:
        own = study / FILE_NAME
        if not own.exists():
            return out / FILE_NAME
        if not is_inside(own, study):
            raise LightdetError(f"{own}: a link that leads out of the study; name the file with --paper")
        return own
    if not given.is_file():
        raise LightdetError(f"--paper {given}: no such file")
    return given


def read_paper(path: Path, rows: Sequence[Row]) -> Paper:
    """Raises LightdetError for a file that is broken, and for numbers without a source."""
    paper = Paper()
    if not path.exists():
        return paper
    try:
        content = load_yaml(path)
    except OSError as error:
        raise LightdetError(f"{path}: cannot be read ({error.strerror})") from error
    entries, epochs, notes = (inside(content, key) for key in ("rows", "epochs", "notes"))
    if not isinstance(entries, dict):
        raise LightdetError(f"{path}: needs a mapping 'rows' of choices to numbers")
    if not isinstance(epochs, int | None) or not isinstance(notes, list | None):
        raise LightdetError(f"{path}: 'epochs' is a whole number and 'notes' a list of sentences")
    paper.epochs, paper.other_data = epochs, str(inside(content, "other_data") or "")
    paper.notes += map(str, notes or [])
    for words, entry in entries.items():
        if not isinstance(entry, dict) or not entry.get(SOURCE):
            raise LightdetError(f"{path}: {words}: published numbers need a source: add where they are printed")
        cells = {str(name): str(value) for name, value in entry.items()}
        paper.columns += [name for name in cells if name not in (*paper.columns, SOURCE)]
        fitting = [row for row in rows if fits(row, str(words).replace(",", " ").split())]
        paper.published.append(Published(str(words), cells, tuple(fitting)))
    paper.columns.append(SOURCE)
    return paper


def paper_table(paper: Paper, rows: Sequence[Row]) -> Table | None:
    """A line per published row and row of the study that it fits: status, measured and published numbers."""
    if not paper.published:
        return None
    scores = whole(rows)
    columns = [Column("choices", numeric=False), Column("row"), Column("here", numeric=False)]
    columns += [Column(score.title) for score in scores]
    columns += [Column("parameters"), *(Column(f"paper: {name}", numeric=False, paper=True) for name in paper.columns)]
    table = Table("table7_published", "Table 7: published and measured numbers", columns)
    for entry in paper.published:
        printed = [Cell(entry.cells.get(name, "")) for name in paper.columns]
        for row in entry.rows or (None,):
            if row is None:
                cells = [Cell(DASH), Cell(NOT_RUN), *(Cell(DASH) for _ in scores), Cell(DASH)]
            else:
                values = [measured(row.value(score)) for score in scores]
                number = Cell(str(row.number), row.number)
                cells = [number, Cell(standing(row, entry, paper)), *values, amount(row.cost("parameters"))]
            table.lines.append([Cell(entry.words), *cells, *printed])
            table.rows.append(row.number if row else 0)
    table.notes.append(_rule(paper))
    table.notes += paper.notes
    return table


def standing(row: Row, entry: Published, paper: Paper) -> str:
    """The outcome of a row of the study beside a published one, in words."""
    if not row.finished:
        return NOT_RUN if all(job.state == "queued" for job in row.jobs) else "not finished"
    shortest = min(job.epochs for job in row.finished)
    if paper.epochs is not None and shortest < paper.epochs:
        return f"trained shorter, {shortest} of {paper.epochs} epochs"
    if paper.other_data:
        return "trained in full, on other data"
    if paper.epochs is None:
        return f"trained {shortest} epochs, those of the paper are not known"
    return _reached(row, entry)


def _reached(row: Row, entry: Published) -> str:
    """Whether no published score is better than the measured one by more than trainings vary."""
    reached: dict[str, bool] = {}
    for score in row.scores:
        value = None if score.per_class else row.value(score)
        published = None if value is None else _published(entry.cells.get(score.title), value)
        if value is None or published is None:
            continue
        if value.spread is None or value.seeds < FEWEST_SEEDS:
            return "trained in full, too few seeds to decide"
        reached[score.title] = _reaches(score, value.mean, SPREADS * value.spread, published)
    if not reached:
        return "trained in full, no published score to compare with"
    short = [title for title, is_reached in reached.items() if not is_reached]
    return f"trained in full, {', '.join(short)} not reached" if short else REPRODUCED


def _reaches(score: Score, mean: float, margin: float, published: float) -> bool:
    return mean + margin >= published if score.higher_is_better else mean - margin <= published


def _published(text: str | None, own: Value) -> float | None:
    """The published number in the unit of the measured one: 98.5 is 0.985 beside a share; None for text."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value / 100 if value > 1 >= own.most else value


def _rule(paper: Paper) -> str:
    words = 'Columns headed "paper" are published, in their unit; the others are measured here. '
    if paper.other_data:
        return words + f"No row is called reproduced: {paper.other_data}."
    return words + (
        f'"Reproduced": trained at least as long with {FEWEST_SEEDS} seeds or more, and no published score is better '
        f"than the measured ones by more than {SPREADS} sample standard deviations."
    )
