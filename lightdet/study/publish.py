"""`lightdet study NAME publish`: what `lightdet report` says of a study, as one W&B run beside its trainings. No torch.

The summary run has job_type "study" and an id of its own that depends on the study's name alone, so that publishing
again continues it: the newest tables are those that it shows.
"""

import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightdet.core.errors import LightdetError, first_cause
from lightdet.logger.names import column, stable_id
from lightdet.logger.wandb_run import open_run
from lightdet.report.build import Written, report_study
from lightdet.report.figures import MEAN
from lightdet.report.rows import Row
from lightdet.report.settings import Settings
from lightdet.report.table import Table, choice_names, plain

JOB_TYPE = "study"
FINISH_SECONDS = 120.0  # to wait for the upload; what is left stays on disk for `wandb sync`
MOST_LINES = 20  # in one chart


def publish(
    study_path: Path, project: str, entity: str | None, mode: str = "auto", chosen: Settings | None = None
) -> int:
    """Write the study's report, log it as one W&B run; exit code 0, or 1 when files of the study could not be read.

    Offline by the rules of training (`wandb_mode`); `report/wandb/` then keeps the run for `wandb sync`. Raises
    LightdetError for a folder that is no study, and where W&B is switched off or fails.
    """
    out = study_path / "report"
    written = report_study(study_path, out, chosen or Settings())
    name = name_of(study_path, written.rows)
    told = {
        "id": stable_id("study", name),
        "name": name[:128],
        "project": project,
        "entity": entity,
        "job_type": JOB_TYPE,
        "tags": [JOB_TYPE, name[:64]],
        "dir": str(out),
        "config": columns(name, written),
    }
    try:
        tracked = open_run(mode, told, FINISH_SECONDS)
        if tracked is None:
            raise LightdetError("W&B is switched off (WANDB_MODE, WANDB_DISABLED or --mode): nothing is published")
        log(tracked, written, len(list((out / "wandb").glob(f"*run-*-{tracked.id}"))) - 1)
        run_id = tracked.id
        tracked.finish()
    except LightdetError:
        raise
    except Exception as error:
        raise LightdetError(f"W&B failed ({first_cause(error)}); the report is in {written.page}") from error
    print(f"{written.summary}\npublished as W&B run {run_id}")
    return 1 if written.troubles else 0


def name_of(study_path: Path, rows: Sequence[Row]) -> str:
    """The study's name as its trainings know it; the folder's where none has begun."""
    folders = [job.folder for row in rows for job in row.jobs if job.folder is not None]
    for folder in folders:
        with suppress(LightdetError, OSError):
            if study := folder.read_status().get("study"):
                return str(study)
    return study_path.resolve().name


def columns(name: str, written: Written) -> dict[str, Any]:
    """The configuration of the summary run: what was compared, and what all rows have in common."""
    options = [{column(key): value for key, value in row.options.items()} for row in written.rows]
    common = {key: value for key, value in options[0].items() if all(one.get(key) == value for one in options)}
    return {
        **{key: value for key, value in common.items() if key != "seed"},
        "study": name,
        "choices": choices_of(written.rows),
        "baseline": written.baseline.label,
        "rows": len(written.rows),
        "jobs": sum(len(row.jobs) for row in written.rows),
        "report": str(written.page),
    }


def choices_of(rows: Sequence[Row]) -> list[str]:
    """In what the rows differ, named as the columns of their trainings at W&B."""
    return [column(key) for key in choice_names(rows)]


def log(tracked: Any, written: Written, earlier: int) -> None:
    """Everything the report has, as one row of the run's history; `earlier`: how often it was published before."""
    import wandb

    shown: dict[str, Any] = {f"tables/{table.name}": as_wandb(table) for table in written.tables}
    figures = {path.stem: wandb.Image(str(path), caption=title) for title, path in written.figures.items()}
    shown |= {f"figures/{name}": image for name, image in figures.items()}
    labels = {row.number: f"row {row.number}: {row.label}" for row in written.rows}
    examples = [
        wandb.Image(str(path), caption="; ".join(labels[number] for number in numbers))
        for numbers, path in written.examples.items()
    ]
    shown |= {"examples": examples} if examples else {}
    shown |= charts(written.rows)
    shown["page"] = wandb.Html(str(written.page), inject=False)
    tracked.log(shown, step=max(earlier, tracked.step))  # W&B drops a row whose number is not new
    tracked.summary.update(summary(written))
    artifact = wandb.Artifact(f"study-{tracked.id}", type="report", description=written.summary)
    for path in sorted(written.page.parent.iterdir()):
        if path.suffix in (".html", ".md", ".csv", ".png"):
            artifact.add_file(str(path))
    tracked.log_artifact(artifact)


def summary(written: Written) -> dict[str, Any]:
    """Columns of the runs table; named so that no chart over trainings takes them for one."""
    states = [job.state for row in written.rows for job in row.jobs]
    facts: dict[str, Any] = {f"study/{state}": states.count(state) for state in dict.fromkeys(states)}
    best: tuple[float, Row] | None = None
    for row in written.rows:
        value = row.over_seeds(lambda job: job.metric("map50_95"))
        if value is not None and (best is None or value.mean > best[0]):
            best = (value.mean, row)
    return facts | ({"study/best_map50_95": best[0], "study/best_row": best[1].label} if best else {})


def as_wandb(table: Table) -> Any:
    """A table of the report as W&B's: numbers stay numbers, a dash is an empty cell, what is told beside a number gets
    a column of its own."""
    import wandb

    content, kinds = plain(table), {one.name: one for one in table.columns}
    named: dict[str, list[Any]] = {}
    for place, name in enumerate(content.header):
        values: list[Any] = [row[place] for row in content.rows]
        numeric = name not in kinds or kinds[name].numeric
        named[name] = [as_number(value) for value in values] if numeric else values
        if name in kinds and kinds[name].worded:
            index = table.columns.index(kinds[name])
            named[f"{name} [95 %]"] = [line[index].text for line in table.lines]
    lines = [list(line) for line in zip(*named.values(), strict=True)]
    return wandb.Table(columns=list(named), data=lines, allow_mixed_types=True)


def as_number(value: float | str | None) -> float | None:
    """A finite number, or nothing."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def charts(rows: Sequence[Row]) -> dict[str, Any]:
    """W&B's own: mAP50-95 over the epochs, per row as a bar, and over parameters and operations as points."""
    import wandb

    shown: dict[str, Any] = {}
    points: list[list[Any]] = []
    lines: dict[str, tuple[list[float], list[float]]] = {}
    for row in rows:
        value = row.over_seeds(lambda job: job.metric("map50_95"))
        if value is not None:
            points.append([f"{row.number}: {row.label}", value.mean, row.cost("parameters"), row.cost("gflops")])
        for job in row.jobs:
            if MEAN in job.curves and not job.shared_with and len(lines) < MOST_LINES:
                lines[f"{row.number}: {row.label}, seed {job.seed}"] = job.curves[MEAN]
    if lines:
        shown["charts/map_over_epochs"] = wandb.plot.line_series(
            xs=[epochs for epochs, _ in lines.values()],
            ys=[means for _, means in lines.values()],
            keys=list(lines),
            title=f"{MEAN} over the epochs",
            xname="epoch",
        )
    if points:
        table = wandb.Table(columns=["row", MEAN, "parameters", "GFLOPs"], data=points)
        shown["charts/map"] = wandb.plot.bar(table, "row", MEAN, f"{MEAN}, mean over seeds")
        for name in ("parameters", "GFLOPs"):
            shown[f"charts/map_and_{name.lower()}"] = wandb.plot.scatter(table, name, MEAN, f"{MEAN} and {name}")
    return shown
