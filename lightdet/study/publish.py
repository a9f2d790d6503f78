"""`lightdet study NAME publish`: the report of a study as one W&B run beside its trainings. No torch.

The summary run has job_type "study" and an id that depends on the name of the study alone, so that publishing again
continues it: it shows the newest tables.
"""

import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightdet.core.errors import LightdetError, first_cause
from lightdet.core.score import best_of, primary_of
from lightdet.core.shown import shown
from lightdet.logger.names import column, stable_id
from lightdet.logger.wandb_run import open_run
from lightdet.report.build import Written, report_study
from lightdet.report.rows import Row
from lightdet.report.settings import Settings
from lightdet.report.table import Table, choice_names, plain

JOB_TYPE = "study"
FINISH_SECONDS = 120.0  # to wait for the upload; what is left stays on disk for `wandb sync`
MOST_LINES = 20  # in one chart


def publish(
    study_path: Path, project: str, entity: str | None, mode: str = "auto", chosen: Settings | None = None
) -> int:
    """Writes the report of the study and logs it as one W&B run. Returns exit code 0, or 1 for unreadable files.

    Offline by the rules of training (`wandb_mode`); `report/wandb/` then keeps the run for `wandb sync`. Raises
    LightdetError for a folder that is no study, and where W&B is switched off or fails.
    """
    out = study_path / "report"
    written = report_study(study_path, out, chosen or Settings())
    name = name_of(study_path, written.rows)
    settings = {
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
        tracked = open_run(mode, settings, FINISH_SECONDS)
        if tracked is None:
            raise LightdetError("W&B is switched off (WANDB_MODE, WANDB_DISABLED or --mode): nothing is published")
        log(tracked, written, len(list((out / "wandb").glob(f"*run-*-{tracked.id}"))) - 1)
        run_id = tracked.id
        tracked.finish()
    except LightdetError:
        raise
    except Exception as error:
        raise LightdetError(f"W&B failed ({first_cause(error)}); the report is in {written.page}") from error
    print(f"{written.summary}\npublished as W&B run {shown(run_id)}")
    return 1 if written.troubles else 0


def name_of(study_path: Path, rows: Sequence[Row]) -> str:
    """The name of the study in its runs; that of its folder where no run exists."""
    folders = [job.folder for row in rows for job in row.jobs if job.folder is not None]
    for folder in folders:
        with suppress(LightdetError, OSError):
            if study := folder.read_status().get("study"):
                return str(study)
    return study_path.resolve().name


def columns(name: str, written: Written) -> dict[str, Any]:
    """The configuration of the summary run: what is compared, and what all rows have in common."""
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
    """The choices in which the rows differ, named as the columns of their trainings at W&B."""
    return [column(key) for key in choice_names(rows)]


def log(tracked: Any, written: Written, earlier: int) -> None:
    """The whole report as one row of the run's history; `earlier`: how often it was published before."""
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
    score = primary_of(written.rows[0].scores)
    means = {row.label: value.mean for row in written.rows if (value := row.value(score)) is not None}
    if not means:
        return facts
    best = best_of(score, list(means.values()))
    label = next(label for label, mean in means.items() if mean == best)
    return facts | {f"study/best_{score.key}": best, "study/best_row": label}


def as_wandb(table: Table) -> Any:
    """A table of the report as W&B's: numbers stay numbers, a dash is an empty cell, the words beside a number get a
    separate column."""
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
    """W&B's charts of the primary score: over the epochs, by row as bars, over parameters and operations as points."""
    import wandb

    score = primary_of(rows[0].scores)
    shown: dict[str, Any] = {}
    points: list[list[Any]] = []
    lines: dict[str, tuple[list[float], list[float]]] = {}
    for row in rows:
        value = row.value(score)
        if value is not None:
            points.append([f"{row.number}: {row.label}", value.mean, row.cost("parameters"), row.cost("gflops")])
        for job in row.jobs:
            if score.title in job.curves and not job.shared_with and len(lines) < MOST_LINES:
                lines[f"{row.number}: {row.label}, seed {job.seed}"] = job.curves[score.title]
    if lines:
        shown["charts/score_over_epochs"] = wandb.plot.line_series(
            xs=[epochs for epochs, _ in lines.values()],
            ys=[values for _, values in lines.values()],
            keys=list(lines),
            title=f"{score.title} over the epochs",
            xname="epoch",
        )
    if points:
        table = wandb.Table(columns=["row", score.title, "parameters", "GFLOPs"], data=points)
        shown["charts/score"] = wandb.plot.bar(table, "row", score.title, f"{score.title}, mean over seeds")
        for name in ("parameters", "GFLOPs"):
            title = f"{score.title} and {name}"
            shown[f"charts/score_and_{name.lower()}"] = wandb.plot.scatter(table, name, score.title, title)
    return shown
