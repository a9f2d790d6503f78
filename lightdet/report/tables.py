"""The tables of a study: scores per class, scores with their differences, test split, cost, attention by grid."""

import math
from collections.abc import Sequence

from lightdet.core.score import leading, primary_of
from lightdet.report.comparison import Comparison
from lightdet.report.cost import Costs
from lightdet.report.difference import NOT_AFTER_HOLM, Difference
from lightdet.report.effects import Effect
from lightdet.report.inspection import calibration_table, inspection_table
from lightdet.report.other_scores import other_scores_table
from lightdet.report.paper import SOURCE, Paper, paper_table
from lightdet.report.rows import Row, all_classes, whole
from lightdet.report.seeds import build_seed_tables
from lightdet.report.table import DASH, Cell, Column, Table, amount, chance, choice_names, head, measured, opening


def build_tables(
    rows: Sequence[Row],
    comparisons: dict[int, Comparison],
    effects: Sequence[Effect],
    costs: Costs,
    paper: Paper,
    sizes: Sequence[int],
) -> list[Table]:
    """All of them; `comparisons` by row number."""
    tables = [class_table(rows), score_table(rows, comparisons, paper), cost_table(rows, costs, sizes)]
    tables += [attention_table(rows), *build_seed_tables(rows, comparisons), paper_table(paper, rows)]
    tables += [effect_table(effects, rows) if effects else None, test_table(rows)]
    tables += [other_scores_table(rows, comparisons), calibration_table(rows), inspection_table(rows)]
    return [table for table in tables if table is not None]


def class_table(rows: Sequence[Row]) -> Table | None:
    """The first per-class score, class by class, and the first score of the whole set; None without such a score."""
    names, classes, scores = choice_names(rows), all_classes(rows), rows[0].scores
    per_class = next((score for score in scores if score.per_class), None)
    if per_class is None:
        return None
    key, together = per_class.key, leading(scores)[0]
    columns = [*head(rows), *map(Column, classes), Column(f"all ({together.title})"), Column("seeds", numeric=False)]
    table = Table(f"table1_{key}", f"Table 1: {per_class.title} per class", columns)
    for row in rows:
        cells = [measured(row.over_seeds(lambda job, name=name: job.class_metric(key, name))) for name in classes]  # type: ignore[misc]
        table.lines.append([*opening(row, names), *cells, measured(row.value(together)), Cell(row.seeds())])
        table.rows.append(row.number)
    table.notes.append(spread_note(rows))
    return table


def score_table(rows: Sequence[Row], comparisons: dict[int, Comparison], paper: Paper) -> Table:
    """Every score of the whole set, its difference to the baseline, how a row was trained; published numbers last."""
    names, scores, compared = choice_names(rows), whole(rows), leading(rows[0].scores)
    shown = [name for name in paper.columns if name in (*(score.title for score in scores), SOURCE)]
    own = {
        score.title: values
        for score in scores
        if any(values := [row.over_seeds(lambda job, key=score.key: job.own_metric(key)) for row in rows])  # type: ignore[misc]
    }
    columns = [*head(rows), *(Column(score.title) for score in scores)]
    columns += [Column(f"{title} by its own evaluator") for title in own]
    columns += [Column(f"{score.title} - baseline", worded=True) for score in compared]
    columns += [Column(name, numeric=False) for name in ("epochs", "input px", "seeds", "status")]
    columns += [Column(f"paper: {name}", numeric=False, paper=True) for name in shown]
    table = Table("table2_scores", "Table 2: scores", columns)
    for place, row in enumerate(rows):
        numbers = [measured(row.value(score)) for score in scores]
        numbers += [measured(values[place]) for values in own.values()]
        published = [Cell(paper.cell(row.number, name)) for name in shown]
        training = [row.words(lambda job: job.epochs), row.words(lambda job: job.image_size), row.seeds(), row.status()]
        against = [difference_cell(comparisons[row.number], score.key) for score in compared]
        table.lines.append([*opening(row, names), *numbers, *against, *map(Cell, training), *published])
        table.rows.append(row.number)
    table.notes += [spread_note(rows), comparison_note(comparisons)]
    return table


def test_table(rows: Sequence[Row]) -> Table | None:
    """Every score of the whole set on the test split; None where no row has one."""
    names, scores = choice_names(rows), whole(rows)
    table = Table("table9_test", "Table 9: test split", [*head(rows), *(Column(score.title) for score in scores)])
    for row in rows:
        values = [row.over_seeds(lambda job, key=score.key: job.test_metric(key)) for score in scores]  # type: ignore[misc]
        table.lines.append([*opening(row, names), *map(measured, values)])
        table.rows.append(row.number)
    table.notes.append("Of the best checkpoint on validation. No number of this table chooses a checkpoint or a row.")
    return table if any(cell.number is not None for line in table.lines for cell in line[1 + len(names) :]) else None


def difference_cell(comparison: Comparison, key: str) -> Cell:
    """Such as "+0.012 [-0.003, +0.027] within noise", or why there is no number."""
    found = comparison.differences.get(key)
    if found is None:
        return Cell(comparison.reason or DASH)
    return Cell(f"{found.text()} {found.verdict}".rstrip(), found.estimate)


def difference_text(found: Difference) -> str:
    """The estimate, its interval over images, with several seeds that over images and seeds, and the verdict."""
    low, high = found.over_images
    text = f"{found.estimate:+.3f} [{low:+.3f}, {high:+.3f}]"
    if found.over_both is not None:
        text += f", with seeds [{found.over_both[0]:+.3f}, {found.over_both[1]:+.3f}]"
    return f"{text} {found.verdict}".rstrip()


def cost_table(rows: Sequence[Row], costs: Costs, sizes: Sequence[int]) -> Table:
    """Parameters, MACs and GFLOPs; latency where it is measured."""
    names = choice_names(rows)
    shown = [size for size in sizes if any((row.number, size) in costs.gflops for row in rows)]
    columns = [*head(rows), Column("parameters"), Column("input px"), Column("MACs"), Column("GFLOPs")]
    columns += [Column(f"GFLOPs at {size} px") for size in shown]
    columns += [Column(f"ms ({measured_how})") for measured_how in costs.latency]
    table = Table("table3_cost", "Table 3: cost", columns)
    for row in rows:
        size = row.words(lambda job: job.image_size)
        side = Cell(size, float(size) if size.isdigit() else None)
        own = [amount(row.cost("parameters")), side, amount(row.cost("macs"))]
        counted = [amount(costs.gflops.get((row.number, size)), 2) for size in shown]
        waited = [amount(times.get(row.number), 1) for times in costs.latency.values()]
        table.lines.append([*opening(row, names), *own, amount(row.cost("gflops"), 2), *counted, *waited])
        table.rows.append(row.number)
    table.notes.append("GFLOPs are 2 x MAC of one image: convolutions and matrix products, at the input size named.")
    table.notes += costs.notes
    return table


def attention_table(rows: Sequence[Row]) -> Table | None:
    """Attention down, grid across; None unless both were swept. Other choices get separate lines."""
    names = choice_names(rows)
    if "attention" not in names or "head" not in names:
        return None
    rest = [name for name in names if name not in ("attention", "head")]
    heads = sorted(dict.fromkeys(row.choices.get("head", DASH) for row in rows), key=lambda head: head == DASH)
    scores = leading(rows[0].scores)
    columns = [Column(name, numeric=False) for name in (*rest, "attention")]
    columns += [Column(f"{score.title} head={value}") for score in scores for value in heads]
    table = Table("table4_attention_head", "Table 4: attention in front of which grid", columns)
    groups: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in rows:
        group = tuple(row.choices.get(name, "") for name in (*rest, "attention"))
        groups.setdefault(group, {})[row.choices.get("head", DASH)] = row
    for group, placed in groups.items():
        cells = [
            measured(placed[value].value(score)) if value in placed else Cell(DASH)
            for score in scores
            for value in heads
        ]
        table.lines.append([*map(Cell, group), *cells])
        table.rows.append(next(iter(placed.values())).number)
    table.notes.append("Without attention the grid changes nothing: those cells are one training.")
    return table


def effect_table(effects: Sequence[Effect], rows: Sequence[Row]) -> Table:
    """The effect of each choice, over all settings of the others."""
    scores = leading(rows[0].scores)
    columns = [Column(name, numeric=False) for name in ("choice", "in place of")]
    columns += [Column(name) for name in ("settings", "pairs")]
    for score in scores:
        columns += [Column(f"{score.title} brought", worded=True), Column(f"{score.title}: p (Holm)")]
    columns.append(Column(f"{primary_of(scores).title} by setting", numeric=False))
    table = Table("table8_choices", "Table 8: what each choice brings, over all settings of the others", columns)
    for effect in effects:
        cells = [Cell(f"{effect.choice}={effect.value}"), Cell(effect.reference)]
        cells += [Cell(str(count), count) for count in (effect.settings, effect.pairs)]
        for score in scores:
            found = effect.comparison.differences.get(score.key)
            cells.append(difference_cell(effect.comparison, score.key))
            cells.append(Cell(DASH) if found is None else chance(found.holm))
        low, high = effect.extent
        table.lines.append([*cells, Cell(DASH if math.isnan(low) else f"{low:+.3f} to {high:+.3f}")])
        table.rows.append(effect.row)
    table.notes += [EFFECTS_NOTE, seeds_note(effects)]
    return table


EFFECTS_NOTE = (
    "A setting is one combination of all other choices that was trained with both values, one seed of it a pair; the "
    "number is the mean over the settings. 95 % intervals are over validation images and over seeds. The last column "
    "is from the setting where it brings least to the one where it brings most: where the signs differ, the mean is "
    "no advice for each of them."
)


def seeds_note(effects: Sequence[Effect]) -> str:
    """The source of the spread over trainings."""
    if any(effect.pooled for effect in effects):
        return "Some settings have one seed: how settings differ then counts as the spread of trainings, which is wide."
    return "Seeds are drawn anew within each setting, and the spread of all settings is taken as one."


def spread_note(rows: Sequence[Row]) -> str:
    """What the numbers are computed from."""
    several = any(len(row.finished) > 1 for row in rows)
    words = "Scores are those of the best checkpoint on the validation images. "
    if several:
        return words + "± is the sample standard deviation over the row's seeds; a row with one seed has no spread."
    return words + "One seed each: no spread can be given."


def comparison_note(comparisons: dict[int, Comparison]) -> str:
    """How the differences are computed, and their limits."""
    known = [found for found in comparisons.values() if found.differences]
    baseline = next((number for number, found in comparisons.items() if found.reason == "baseline"), None)
    words = f"Differences are to row {baseline}"
    if not known:
        return words + "; none could be computed."
    words += " over the seeds that both rows have, with 95 % intervals of a paired bootstrap over "
    words += f"{max(found.images for found in known)} validation images"
    if any(len(found.seeds) > 1 for found in known):
        words += ", and over seeds where there are several"
    words += '. "Within noise": an interval holds 0, or p is above 0.05.'
    if any(difference.verdict == NOT_AFTER_HOLM for found in known for difference in found.differences.values()):
        words += ' "Not after Holm": it does not, but so many rows were tried that one may by chance.'
    if any(len(found.seeds) == 1 for found in known):
        words += " Where two trainings are compared, one seed each, the interval knows nothing of how trainings vary."
    return words
