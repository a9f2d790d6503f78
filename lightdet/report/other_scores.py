"""The differences to the baseline of the scores that have no table over seeds of their own. No torch here."""

from collections.abc import Sequence

from lightdet.core.score import leading
from lightdet.report.comparison import Comparison
from lightdet.report.rows import Row, whole
from lightdet.report.seeds import verdict
from lightdet.report.table import Cell, Column, Table, chance, choice_names, head, measured, opening


def other_scores_table(rows: Sequence[Row], comparisons: dict[int, Comparison]) -> Table | None:
    """A line for each row and score that is compared; `comparisons` by row number. None where there is none."""
    names, shown = choice_names(rows), leading(rows[0].scores)
    others = [score for score in whole(rows) if score not in shown]
    columns = [*head(rows), Column("score", numeric=False), Column("mean"), Column("- baseline")]
    columns += [*map(Column, ("95 % low", "95 % high", "p", "p (Holm)")), Column("verdict", numeric=False)]
    table = Table("other_scores", "Differences to the baseline in the other scores", columns)
    for score in others:
        for row in rows:
            difference = comparisons[row.number].differences.get(score.key)
            if difference is None:
                continue
            low, high = difference.interval
            signed = [Cell(f"{value:+.3f}", value) for value in (difference.estimate, low, high)]
            title = score.title if score.higher_is_better else f"{score.title} (less is better)"
            cells = [Cell(title), measured(row.value(score)), *signed, chance(difference.p), chance(difference.holm)]
            table.lines.append([*opening(row, names), *cells, Cell(verdict(difference))])
            table.rows.append(row.number)
    table.notes.append(
        "Intervals and p as in the tables over seeds, each score by itself: with many scores one may differ by chance."
    )
    return table if table.lines else None
