"""Rows over their seeds: mean, spread, range, paired difference to the baseline, and the least difference to detect.

`seed_tables` returns them as plain data.
"""

import statistics
from collections.abc import Sequence
from pathlib import Path

from lightdet.core.score import Score, leading, primary_of
from lightdet.core.table import to_text
from lightdet.metric.paired import detectable_over_images, detectable_over_seeds
from lightdet.report.comparison import Comparer, Comparison, find_row
from lightdet.report.difference import Difference
from lightdet.report.rows import Row, read_study
from lightdet.report.table import (
    DASH,
    Cell,
    Column,
    PlainTable,
    Table,
    chance,
    choice_names,
    head,
    measured,
    opening,
    plain,
)

FIRST_NUMBER = 5  # of these tables in a report
COLUMNS = ("n", "min", "max", "pairs", "- baseline", "95 % low", "95 % high", "p", "p (Holm)")
MOST_LINES = 30  # of a terminal
DIFFERS = "differs"


def seed_tables(
    study: Path, baseline: str | None = None, resamples: int = 1000, seconds: float = 20.0
) -> list[PlainTable]:
    """Name, title, header, rows and notes of a study's statistics, the primary score first; empty cells are None.

    `baseline`: number or choices of a row (None: the first row); `seconds` of processor time bound the resampling.
    Raises LightdetError for a folder that is no study and for a baseline that is not one row.
    """
    rows = read_study(study)
    first = rows[0] if baseline is None else find_row(rows, baseline)
    comparisons = Comparer(first, resamples, seconds).compare_all(rows)
    return [plain(table) for table in build_seed_tables(rows, comparisons)]


def build_seed_tables(rows: Sequence[Row], comparisons: dict[int, Comparison]) -> list[Table]:
    """One per leading score, the primary one first; `comparisons` by row number."""
    scores = sorted(leading(rows[0].scores), key=lambda score: not score.primary)
    return [seed_table(number, score, rows, comparisons) for number, score in enumerate(scores, start=FIRST_NUMBER)]


def seed_table(number: int, score: Score, rows: Sequence[Row], comparisons: dict[int, Comparison]) -> Table:
    """A line per row: its seeds, then its difference to the baseline on the seeds that both have."""
    names, key = choice_names(rows), score.key
    columns = [*head(rows), Column(score.title), *map(Column, COLUMNS), Column("verdict", numeric=False)]
    columns += [Column("visible, seeds"), Column("visible, images")]
    table = Table(f"table{number}_seeds_{key}", f"Table {number}: {score.title} over seeds and images", columns)
    for row in rows:
        value, found = row.value(score), comparisons[row.number]
        extent = [_number(None), _number(None)] if value is None else [_number(value.least), _number(value.most)]
        count = Cell(str(value.seeds), value.seeds) if value else Cell(DASH)
        difference = found.differences.get(key)
        cells = [measured(value), count, *extent, *_difference_cells(found, difference)]
        table.lines.append([*opening(row, names), *cells])
        table.rows.append(row.number)
    table.notes += [resampling_note(comparisons), *holm_notes(comparisons), *power_notes(key, comparisons)]
    return table


def _difference_cells(found: Comparison, difference: Difference | None) -> list[Cell]:
    """The cells from "pairs" to the end of the line."""
    if difference is None:
        return [Cell(DASH)] * 6 + [Cell(found.reason or DASH), Cell(DASH), Cell(DASH)]
    low, high = difference.interval
    signed = [Cell(f"{value:+.3f}", value) for value in (difference.estimate, low, high)]
    chances = [chance(p) for p in (difference.p, difference.holm)]
    seen = [_number(visible_over_seeds(found, difference)), _number(detectable_over_images(difference.image_error))]
    pairs = len(found.seeds)
    return [Cell(str(pairs), pairs), *signed, *chances, Cell(verdict(difference)), *seen]


def _number(value: float | None) -> Cell:
    return Cell(DASH) if value is None else Cell(f"{value:.3f}", value)


def verdict(difference: Difference) -> str:
    """Within noise, not after Holm, or that the row differs; of one seed, only as far as the images go."""
    unknown = "" if difference.seed_spread is not None else ", seeds unknown"
    return difference.verdict or f"{DIFFERS}{unknown}"


def visible_over_seeds(found: Comparison, difference: Difference) -> float | None:
    """The least difference that so many seeds show with 80 % power; None for one seed: its spread is unknown."""
    if difference.seed_spread is None:
        return None
    return detectable_over_seeds(difference.seed_spread, len(found.seeds))


def resampling_note(comparisons: dict[int, Comparison]) -> str:
    """What is resampled for the intervals."""
    known = [found for found in comparisons.values() if found.differences]
    baseline = next((number for number, found in comparisons.items() if found.reason == "baseline"), None)
    words = "After ± the sample standard deviation over n seeds. "
    if not known:
        return words + f"No difference to row {baseline} could be computed."
    words += f"Differences to row {baseline} are means over pairs of equal seed. Their 95 % interval resamples whole "
    words += f"validation images ({max(found.images for found in known)}), the same for both rows and all seeds on them"
    if any(len(found.seeds) > 1 for found in known):
        words += (
            ", and, with several pairs, whole pairs, their part stretched for few seeds by sqrt(S / (S - 1)) t / z; "
        )
        words += "it is wider than over images alone because other seeds would have trained other weights"
    return words + "."


def holm_notes(comparisons: dict[int, Comparison]) -> list[str]:
    """The number of comparisons, and Holm's adjustment for it; nothing for one."""
    family = len({found.runs for found in comparisons.values() if found.differences})
    if family < 2:
        return []
    return [
        f"{family} rows are compared with one baseline: p is a row's own, p (Holm) is adjusted for all of them, and a "
        'row "differs" only if its interval leaves out 0 and p (Holm) is at most 0.05; intervals are each row\'s own.'
    ]


def power_notes(key: str, comparisons: dict[int, Comparison]) -> list[str]:
    """The least differences that these seeds and images can show."""
    seen: dict[int, list[float]] = {}
    alone: list[float] = []
    for found in comparisons.values():
        if key not in found.differences:
            continue
        difference = found.differences[key]
        over_seeds = visible_over_seeds(found, difference)
        if over_seeds is None:
            alone.append(detectable_over_images(difference.image_error))
        else:
            seen.setdefault(len(found.seeds), []).append(over_seeds)
    lines = [
        f"With {pairs} seeds a difference under {_extent(values)} cannot be seen (80 % power, two-sided 5 %, paired t "
        "test over the seeds on these images; what other images would show comes on top)."
        for pairs, values in sorted(seen.items())
    ]
    if alone:
        lines.append(
            f"With one seed, how trainings vary is unknown; from the images alone a difference under {_extent(alone)} "
            "cannot be seen (80 % power, two-sided 5 %), and no such difference separates a method from a lucky seed."
        )
    return lines


def _extent(values: Sequence[float]) -> str:
    """One number, or the median and the range over the rows."""
    least, most = f"{min(values):.3f}", f"{max(values):.3f}"
    return least if least == most else f"{statistics.median(values):.3f} (median; {least} to {most} by row)"


def short_text(rows: Sequence[Row], comparisons: dict[int, Comparison]) -> str:
    """For a terminal: choices, the primary score as mean ± sd (n), difference, interval and verdict; of many rows the
    first ones."""
    score, body = primary_of(rows[0].scores), []
    for row in rows[:MOST_LINES]:
        value = row.value(score)
        mean = DASH if value is None else f"{measured(value).text} ({value.seeds})"
        found = comparisons[row.number]
        difference = found.differences.get(score.key)
        against = DASH if difference is None else difference.text()
        outcome = found.reason if difference is None else verdict(difference)
        body.append([str(row.number), row.label, mean, against, outcome])
    header = ("row", "choices", f"{score.title} ± sd (n)", "- baseline [95 %]", "")
    text = to_text(header, body, (False, False, True, True, False))
    return text if len(rows) <= MOST_LINES else f"{text}\n... and {len(rows) - MOST_LINES} more rows"
