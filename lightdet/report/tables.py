"""The tables of a study: AP50 per class, mean precisions with their differences, cost, attention by grid."""

import math
from collections.abc import Sequence

from lightdet.report.comparison import Comparison
from lightdet.report.cost import Costs
from lightdet.report.difference import NOT_AFTER_HOLM, Difference
from lightdet.report.effects import Effect
from lightdet.report.paper import SOURCE, Paper, paper_table
from lightdet.report.rows import MEANS, Row, all_classes
from lightdet.report.seeds import build_seed_tables
from lightdet.report.table import DASH, Cell, Column, Table, amount, chance, choice_names, head, measured, opening
from lightdet.runs.table import MEANS as COMPARED


def build_tables(
    rows: Sequence[Row],
    comparisons: dict[int, Comparison],
    effects: Sequence[Effect],
    costs: Costs,
    paper: Paper,
    sizes: Sequence[int],
) -> list[Table]:
    """All of them; `comparisons` by row number."""
    tables = [class_table(rows), mean_table(rows, comparisons, paper), cost_table(rows, costs, sizes)]
    grid = attention_table(rows)
    published = paper_table(paper)
    tables += [*([grid] if grid else []), *build_seed_tables(rows, comparisons)]
    return [*tables, *([published] if published else []), *([effect_table(effects)] if effects else [])]


def class_table(rows: Sequence[Row]) -> Table:
    """AP50 per class and their mean."""
    names, classes = choice_names(rows), all_classes(rows)
    columns = [*head(rows), *map(Column, classes), Column("mean (mAP50)"), Column("seeds", numeric=False)]
    table = Table("table1_ap50", "Table 1: AP50 per class", columns)
    for row in rows:
        cells = [measured(row.over_seeds(lambda job, name=name: job.ap50(name))) for name in classes]  # type: ignore[misc]
        mean = measured(row.over_seeds(lambda job: job.metric("map50")))
        table.lines.append([*opening(row, names), *cells, mean, Cell(row.seeds())])
        table.rows.append(row.number)
    table.notes.append(spread_note(rows))
    return table


def mean_table(rows: Sequence[Row], comparisons: dict[int, Comparison], paper: Paper) -> Table:
    """mAP50, mAP75 and mAP50-95, how far each row is from the baseline, how it was trained; published means last."""
    names = choice_names(rows)
    shown = [name for name in paper.columns if name in (*MEANS, SOURCE)]
    own = {
        name: values
        for name, key in MEANS.items()
        if any(values := [row.over_seeds(lambda job, key=key: job.own_metric(key)) for row in rows])  # type: ignore[misc]
    }
    columns = [*head(rows), *map(Column, MEANS), *(Column(f"{name} by its own evaluator") for name in own)]
    columns += [Column(f"{name} - baseline", worded=True) for name in COMPARED]
    columns += [Column(name, numeric=False) for name in ("epochs", "input px", "seeds", "status")]
    columns += [Column(f"paper: {name}", numeric=False, paper=True) for name in shown]
    table = Table("table2_map", "Table 2: mean average precision", columns)
    for place, row in enumerate(rows):
        means = [measured(row.over_seeds(lambda job, key=key: job.metric(key))) for key in MEANS.values()]  # type: ignore[misc]
        means += [measured(values[place]) for values in own.values()]
        found = comparisons[row.number]
        published = [Cell(paper.cell(row.number, name)) for name in shown]
        told = [row.said(lambda job: job.epochs), row.said(lambda job: job.image_size), row.seeds(), row.status()]
        against = [difference_cell(found, key) for key in COMPARED.values()]
        table.lines.append([*opening(row, names), *means, *against, *map(Cell, told), *published])
        table.rows.append(row.number)
    table.notes += [spread_note(rows), comparison_note(comparisons)]
    return table


def difference_cell(comparison: Comparison, name: str) -> Cell:
    """Such as "+0.012 [-0.003, +0.027] within noise", or why there is no number."""
    found = comparison.differences.get(name)
    if found is None:
        return Cell(comparison.reason)
    return Cell(f"{found.text()} {found.verdict}".rstrip(), found.estimate)


def difference_text(found: Difference) -> str:
    """The estimate, its interval over images, with several seeds that over images and seeds, and the verdict."""
    low, high = found.over_images
    text = f"{found.estimate:+.3f} [{low:+.3f}, {high:+.3f}]"
    if found.over_both is not None:
        text += f", with seeds [{found.over_both[0]:+.3f}, {found.over_both[1]:+.3f}]"
    return f"{text} {found.verdict}".rstrip()


def cost_table(rows: Sequence[Row], costs: Costs, sizes: Sequence[int]) -> Table:
    """Parameters, MACs and GFLOPs; latency where it was measured."""
    names = choice_names(rows)
    shown = [size for size in sizes if any((row.number, size) in costs.gflops for row in rows)]
    columns = [*head(rows), Column("parameters"), Column("input px"), Column("MACs"), Column("GFLOPs")]
    columns += [Column(f"GFLOPs at {size} px") for size in shown]
    columns += [Column(f"ms ({way})") for way in costs.latency]
    table = Table("table3_cost", "Table 3: cost", columns)
    for row in rows:
        own = [amount(row.cost(name)) for name in ("parameters", "image_size", "macs")]
        counted = [amount(costs.gflops.get((row.number, size)), 2) for size in shown]
        waited = [amount(times.get(row.number), 1) for times in costs.latency.values()]
        table.lines.append([*opening(row, names), *own, amount(row.cost("gflops"), 2), *counted, *waited])
        table.rows.append(row.number)
    table.notes.append("GFLOPs are 2 x MAC of one image: convolutions and matrix products, at the input size named.")
    table.notes += costs.notes
    return table


def attention_table(rows: Sequence[Row]) -> Table | None:
    """Attention down, grid across; None unless both were swept. Other choices get lines of their own."""
    names = choice_names(rows)
    if "attention" not in names or "head" not in names:
        return None
    rest = [name for name in names if name not in ("attention", "head")]
    heads = sorted(dict.fromkeys(row.choices.get("head", DASH) for row in rows), key=lambda head: head == DASH)
    keys = [name for name in MEANS if name != "mAP75"]
    columns = [Column(name, numeric=False) for name in (*rest, "attention")]
    columns += [Column(f"{name} head={value}") for name in keys for value in heads]
    table = Table("table4_attention_head", "Table 4: attention in front of which grid", columns)
    groups: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in rows:
        group = tuple(row.choices.get(name, "") for name in (*rest, "attention"))
        groups.setdefault(group, {})[row.choices.get("head", DASH)] = row
    for group, placed in groups.items():
        cells = [
            measured(placed[value].over_seeds(lambda job, key=MEANS[name]: job.metric(key)))  # type: ignore[misc]
            if value in placed
            else Cell(DASH)
            for name in keys
            for value in heads
        ]
        table.lines.append([*map(Cell, group), *cells])
        table.rows.append(next(iter(placed.values())).number)
    table.notes.append("Without attention the grid changes nothing: those cells are one training.")
    return table


def effect_table(effects: Sequence[Effect]) -> Table:
    """What each choice brings, over all settings of the others."""
    means = [name for name in MEANS if name != "mAP75"]
    columns = [Column(name, numeric=False) for name in ("choice", "in place of")]
    columns += [Column(name) for name in ("settings", "pairs")]
    for name in means:
        columns += [Column(f"{name} brought", worded=True), Column(f"{name}: p (Holm)")]
    columns.append(Column(f"{means[-1]} by setting", numeric=False))
    table = Table("table8_choices", "Table 8: what each choice brings, over all settings of the others", columns)
    for effect in effects:
        cells = [Cell(f"{effect.choice}={effect.value}"), Cell(effect.reference)]
        cells += [Cell(str(count), count) for count in (effect.settings, effect.pairs)]
        for name in means:
            found = effect.comparison.differences.get(MEANS[name])
            cells.append(difference_cell(effect.comparison, MEANS[name]))
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
    """What the spread of the trainings was taken from."""
    if any(effect.pooled for effect in effects):
        return "Some settings have one seed: how settings differ then counts as the spread of trainings, which is wide."
    return "Seeds are drawn anew within each setting, and the spread of all settings is taken as one."


def spread_note(rows: Sequence[Row]) -> str:
    """What stands behind the numbers."""
    several = any(len(row.finished) > 1 for row in rows)
    words = "Numbers are 0 to 1, in photo pixels, of the best checkpoint on the validation images. "
    if several:
        return words + "± is the sample standard deviation over the row's seeds; a row with one seed has no spread."
    return words + "One seed each: no spread can be given."


def comparison_note(comparisons: dict[int, Comparison]) -> str:
    """How the differences were made, and how far they may be trusted."""
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
