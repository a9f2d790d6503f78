"""Tables of what a line needs to know of a classifier: whether its probabilities can be believed, and what of the parts
it lets pass or rejects without need. No torch here."""

from collections.abc import Sequence

from lightdet.metric.binomial import exact_interval
from lightdet.report.rows import LoadedJob, Row
from lightdet.report.table import DASH, Cell, Column, Table, choice_names, head, measured, opening
from lightdet.runs.jobs import Job, finite, inside

CALIBRATED = "ece_with_temperature_of_other_half"
PLACES = ("inspection", "operating_point")  # of the counts of whole images, in a run's metrics
SHARES = (("escaped", "escaped_images", "defective_images"), ("overkill", "rejected_images", "good_images"))


def calibration_table(rows: Sequence[Row]) -> Table | None:
    """The calibration error of each row before and after a temperature, which is not fitted on the images of that
    error; None where no run has one."""

    def after(job: Job) -> float | None:
        return finite(inside(job.results, "metrics", "calibration", CALIBRATED))

    def temperature(job: Job) -> float | None:
        return finite(inside(job.results, "metrics", "calibration", "temperature"))

    def change(job: Job) -> float | None:
        before, now = job.metric("ece"), after(job)
        return None if before is None or now is None else now - before

    names = choice_names(rows)
    columns = [Column("calibration error"), Column("with temperature"), Column("change"), Column("temperature")]
    table = Table("calibration", "Calibration", [*head(rows), *columns, Column("seeds", numeric=False)])
    for row in rows:
        numbers = [row.over_seeds(read) for read in (lambda job: job.metric("ece"), after, change, temperature)]
        table.lines.append([*opening(row, names), *map(measured, numbers), Cell(row.seeds())])
        table.rows.append(row.number)
    table.notes.append(
        "Calibration error: how far the greatest probability is from how often its class is right, the mean over "
        "validation images in 15 bins; of images with several classes, over all their answers. With temperature: the "
        "logits of each half of the images are divided by the temperature that fits the other half. Temperature: the "
        "one that fits all of them, above 1 where the model is too sure, below 1 where it is not sure enough. After ± "
        "the standard deviation over seeds."
    )
    return table if any(cells[len(names) + 2].number is not None for cells in table.lines) else None


def inspection_table(rows: Sequence[Row]) -> Table | None:
    """Escape and overkill of each training, counted, with exact intervals; None where no run saw good parts."""
    names = choice_names(rows)
    columns = [Column("seed", numeric=False)]
    for word, _, _ in SHARES:
        columns += [Column(f"{word} of", numeric=False), Column(word), Column(f"{word}, 95 % low"), Column("high")]
    table = Table("inspection", "Defective parts that escape, good ones that are rejected", [*head(rows), *columns])
    for row in rows:
        for job in row.finished:
            counted = counts_of(job)
            if counted is None:
                continue
            cells = [Cell(job.seed)]
            for part, whole in counted:
                low, high = exact_interval(part, whole) if whole else (None, None)
                cells.append(Cell(f"{part} of {whole}"))
                cells += [_share(part / whole if whole else None), _share(low), _share(high)]
            table.lines.append([*opening(row, names), *cells])
            table.rows.append(row.number)
    table.notes.append(
        "A line for each training, because its seeds are measured on the same images: counts of several are no larger "
        "sample. 95 % intervals of Clopper and Pearson, over other images alone. Where a threshold was chosen on these "
        "images, as a detector's is by its F1, the shares flatter it."
    )
    return table if table.lines else None


def counts_of(job: LoadedJob) -> list[tuple[int, int]] | None:
    """Escaped of defective images and rejected of good ones; None of a run that saw no good part, or whose counts are
    damaged."""
    for place in PLACES:
        found = inside(job.results, "metrics", place)
        pairs = [(inside(found, part), inside(found, whole)) for _, part, whole in SHARES]
        if all(_is_share(part, whole) for part, whole in pairs) and pairs[1][1]:
            return pairs
    return None


def _is_share(part: object, whole: object) -> bool:
    numbers = all(isinstance(value, int) and not isinstance(value, bool) for value in (part, whole))
    return numbers and 0 <= part <= whole < 2**53  # type: ignore[operator]


def _share(value: float | None) -> Cell:
    return Cell(DASH) if value is None else Cell(f"{value:.3f}", value)
