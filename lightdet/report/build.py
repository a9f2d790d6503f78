"""The report of a study: the content of its run folders as tables, figures and one page."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightdet.core.errors import LightdetError
from lightdet.core.files import write_bytes, write_text
from lightdet.core.paths import is_inside
from lightdet.core.score import primary_of
from lightdet.core.table import as_text
from lightdet.draw.attempt import drawn
from lightdet.report.chain import chain_table, plot_chain, read_chain
from lightdet.report.comparison import Comparer, find_row
from lightdet.report.cost import read_costs
from lightdet.report.details import details
from lightdet.report.document import Page, document, summary
from lightdet.report.effects import effects_of
from lightdet.report.explained import explained_table, heat_maps
from lightdet.report.exports import exports_table
from lightdet.report.figures import plot_cost, plot_over_epochs
from lightdet.report.gallery import OVERVIEW, OVERVIEW_WIDTH, Gallery, relative, smaller
from lightdet.report.paper import find_paper, read_paper
from lightdet.report.rows import Row, read_study
from lightdet.report.search import plot_search, read_search, search_table
from lightdet.report.seeds import short_text
from lightdet.report.settings import Settings
from lightdet.report.table import Table, to_csv, to_markdown
from lightdet.report.tables import build_tables
from lightdet.runs.folder import RunFolder

MOST_EXAMPLES = 6
PAGE = "report.html"
EXAMPLES = "examples"  # folder of pictures beside the page
NOT_IN_NAMES = re.compile(r"[^\w.+-]+")  # the name of a table has the key of a score, which a run declares


@dataclass(frozen=True, slots=True)
class Written:
    """What `report_study` wrote."""

    page: Path
    summary: str
    table: str  # of the primary score over seeds, for a terminal
    troubles: tuple[str, ...]  # files that could not be read, a line each
    rows: tuple[Row, ...]
    baseline: Row
    tables: tuple[Table, ...]
    figures: dict[str, Path]  # by title
    examples: dict[tuple[int, ...], Path]  # numbers of rows that share a run -> an overview of its worst images


def report_study(study: Path, out: Path, settings: Settings) -> Written:
    """Read the study, write everything into `out`.

    Raises LightdetError for a folder that is no study, an `out` in it that is a link out of it, a baseline that is not
    one row, and a broken paper.yaml.
    A problem with a run appears in its row.
    """
    for folder, root in ((out, study), (out / EXAMPLES, out)):
        if folder.is_relative_to(root) and not is_inside(folder, root):
            raise LightdetError(f"{folder}: a link that leads out of {root}; give another folder with --out")
    rows = read_study(study)
    baseline = rows[0] if settings.baseline is None else find_row(rows, settings.baseline)
    paper = read_paper(find_paper(settings.paper, study, out), rows)
    search, broken = read_search(study)
    began = time.process_time()
    costs = read_costs(rows, study, out, settings.sizes, settings.seconds / 2, settings.trust_modules)
    left = max(settings.seconds / 2, settings.seconds - (time.process_time() - began))
    comparer = Comparer(baseline, settings.resamples, left)
    comparisons = comparer.compare_all(rows)
    tables = build_tables(rows, comparisons, effects_of(rows, comparer), costs, paper, settings.sizes)
    explained, unread = explained_table(rows)
    exports, damaged = exports_table(rows)
    tables += [table for table in (explained, exports) if table is not None]
    figures = draw_figures(rows, out)
    if search is not None:
        tables.insert(0, search_table(search, rows))
        figures = plot_search(search, out) | figures
    chain, torn = read_chain(study)
    if chain is not None:
        tables.insert(0, chain_table(chain))
        figures = drawn({"Chain: score and time": lambda: plot_chain(chain, out / "chain.png")}) | figures
    gallery = Gallery(out, round(settings.megabytes * 1e6))
    content = details(rows, comparisons, gallery)
    troubles = broken + torn + unread + damaged + unreadable(rows, gallery)
    notes = page_notes(baseline, gallery, settings, bool(paper.published), troubles)
    pictures = {title: path.read_bytes() for title, path in figures.items()}
    title = f"lightdet: {study.resolve().name}"
    write_text(out / PAGE, document(Page(title, rows, comparisons, tables, pictures, content, notes)))
    for table in tables:
        write_text(out / f"{NOT_IN_NAMES.sub('-', table.name)[:100]}.csv", to_csv(table))
    examples = write_examples(rows, out, "row", lambda folder: folder.pictures / OVERVIEW)
    maps = write_examples(rows, out, "explained", _first_map)
    write_text(out / "report.md", markdown(title, rows, tables, figures, examples, maps, notes))
    return Written(
        out / PAGE,
        summary(rows),
        short_text(rows, comparisons),
        tuple(troubles),
        tuple(rows),
        baseline,
        tuple(tables),
        figures,
        examples,
    )


def page_notes(
    baseline: Row, gallery: Gallery, settings: Settings, published: bool, troubles: Sequence[str]
) -> list[str]:
    """The sentences under the title."""
    notes = [f"Baseline of the differences: row {baseline.number}, {baseline.label}."]
    if gallery.linked:
        notes.append(
            f"{gallery.linked} pictures are links to the run folders: the page holds {settings.megabytes:g} MB of them."
        )
    if published:
        notes.append('Columns headed "paper" are published elsewhere; Table 7 compares each row with them.')
    return [*notes, *troubles[:20], *([f"... and {len(troubles) - 20} more files"] if len(troubles) > 20 else [])]


def draw_figures(rows: Sequence[Row], out: Path) -> dict[str, Path]:
    """The plots by title; a line for one that cannot be drawn."""
    title = primary_of(rows[0].scores).title
    sizes = list(dict.fromkeys(row.words(lambda job: job.image_size) for row in rows))
    at = f"at {sizes[0]} px" if len(sizes) == 1 else "at each row's own input size"

    def parameters(row: Row) -> float | None:
        return row.cost("parameters")

    def gflops(row: Row) -> float | None:
        return row.cost("gflops")

    by_parameters, by_gflops = out / "pareto_parameters.png", out / "pareto_gflops.png"
    return drawn(
        {
            f"{title} over the epochs": lambda: plot_over_epochs(rows, out / "score_over_epochs.png"),
            f"{title} and parameters": lambda: plot_cost(rows, parameters, "parameters, millions", 1e6, by_parameters),
            f"{title} and operations": lambda: plot_cost(rows, gflops, f"GFLOPs (2 x MAC) {at}", 1.0, by_gflops),
        }
    )


def write_examples(
    rows: Sequence[Row], out: Path, name: str, choose: Callable[[RunFolder], Path | None]
) -> dict[tuple[int, ...], Path]:
    """Smaller copies of a picture that `choose` finds in each run, for the first trainings, as files that begin with
    `name`: numbers of the rows that share it -> file."""
    sharing: dict[Path, list[Row]] = {}
    for row in rows:
        folder = next((job.folder for job in row.finished if job.folder), None)
        if folder is None:
            continue
        overview = choose(folder)
        if overview is not None and overview.is_file() and is_inside(overview, folder.path):
            sharing.setdefault(overview, []).append(row)
    written: dict[tuple[int, ...], Path] = {}
    for overview, shown in sharing.items():
        if len(written) == MOST_EXAMPLES:
            break
        try:
            content = smaller(overview, OVERVIEW_WIDTH, plot=False)
        except LightdetError:
            continue  # listed with the unreadable pictures
        path = out / EXAMPLES / f"{name}-{shown[0].number}.jpg"
        write_bytes(path, content)
        written[tuple(row.number for row in shown)] = path
    return written


def _first_map(folder: RunFolder) -> Path | None:
    try:
        return next((path for path, _ in heat_maps(folder)), None)
    except LightdetError:
        return None  # listed with the unreadable files


def unreadable(rows: Sequence[Row], gallery: Gallery) -> list[str]:
    """A line for every row, file and picture that cannot be read."""
    lines = [f"{job.name}: {job.status()}" for row in rows for job in row.jobs if job.damaged]
    notes = [note for row in rows for job in row.jobs for note in job.notes]
    return list(dict.fromkeys([*lines, *notes, *gallery.broken]))


def markdown(
    title: str,
    rows: Sequence[Row],
    tables: Sequence[Table],
    figures: dict[str, Path],
    examples: dict[tuple[int, ...], Path],
    maps: dict[tuple[int, ...], Path],
    notes: Sequence[str],
) -> str:
    """The report as Markdown; figures and pictures are links to the files beside it."""

    parts = [f"# {as_text(title)}", summary(rows) + ".", *map(as_text, notes), *map(to_markdown, tables), "## Figures"]
    parts += [f"![{as_text(name)}]({path.name})" for name, path in figures.items()]
    labels = {row.number: row.label for row in rows}
    for heading, alt, pictures in (("Examples", "worst images", examples), ("Explanations", "heat map", maps)):
        parts += [f"## {heading}"] if pictures else []
        for numbers, path in pictures.items():
            names = "; ".join(f"{number}: {as_text(labels[number])}" for number in numbers)
            parts += [f"{'Row' if len(numbers) == 1 else 'One training, rows'} {names}"]
            parts += [f"![{alt}]({relative(path, path.parent.parent)})"]
    return "\n\n".join(parts) + "\n"
