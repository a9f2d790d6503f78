"""A W&B report of a study's trainings, grouped over seeds, where `wandb-workspaces` is installed and W&B is online.

It was only ever composed offline, and never saved on a server.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightdet.core.errors import first_cause
from lightdet.core.files import read_json, write_json

FILE_NAME = "wandb_report.json"  # beside the study's report: the address of the one made before
NUMBERS = ("best/map50_95", "best/map50", "best/map75")
COSTS = ("footprint/parameters", "footprint/gflops")


def publish_report(entity: str, project: str, study: str, choices: Sequence[str], out: Path) -> str:
    """Make the study's W&B report, or renew the one made before. Returns what had to be left out, "" for nothing."""
    try:
        import wandb_workspaces.reports.v2 as blocks
    except ImportError:
        return "no W&B report: it needs pip install 'lightdet[workspaces]'"
    memory = out / FILE_NAME
    try:
        report = compose_report(entity, project, study, choices)
        known = read_json(memory).get("url")
        if known:
            report.id = blocks.Report.from_url(known).id
        report.save()
        write_json(memory, {"url": report.url})
        print(f"lightdet: W&B report {report.url}")
    except Exception as error:  # the run is published already; the report is an extra
        return f"no W&B report: {first_cause(error)}"
    return ""


def compose_report(entity: str, project: str, study: str, choices: Sequence[str]) -> Any:
    """The report, not yet saved: the study's trainings grouped by their choices without the seed, means with the
    deviation over seeds, choices against numbers, cost, and the tables of the summary run.

    `choices` are columns of the runs' configuration, as `names.column` makes them.
    """
    import wandb_workspaces.reports.v2 as blocks

    trainings = blocks.Runset(
        entity=entity,
        project=project,
        name="trainings, seeds together",
        filters=f"Config('study') = '{study}' and JobType = 'train'",
        groupby=["group"],
        order=[blocks.OrderBy(blocks.SummaryMetric(NUMBERS[0]), ascending=False)],
        pinned_columns=[f"summary:{name}" for name in NUMBERS],
        visible_columns=[
            *(f"config:{name}.value" for name in (*choices, "seed")),
            *(f"summary:{one}" for one in COSTS),
        ],
    )
    over_seeds = {"groupby": "Group", "groupby_aggfunc": "mean", "groupby_rangefunc": "stddev"}
    panels = [
        blocks.LinePlot(title="mAP50-95", x="epoch", y=["val/map50_95"], **over_seeds),
        blocks.LinePlot(title="mAP50", x="epoch", y=["val/map50"], **over_seeds),
        blocks.LinePlot(title="loss", x="epoch", y=["train/loss"], **over_seeds),
        *(blocks.BarPlot(title=name, metrics=[name], **over_seeds) for name in NUMBERS[:2]),
        *(
            blocks.ScatterPlot(
                title=f"{NUMBERS[0]} and {cost}", x=blocks.SummaryMetric(cost), y=blocks.SummaryMetric(NUMBERS[0])
            )
            for cost in COSTS
        ),
        blocks.ParallelCoordinatesPlot(
            title="choices and mAP50-95",
            columns=[
                *(blocks.ParallelCoordinatesPlotColumn(blocks.Config(name)) for name in (*choices, "seed")),
                blocks.ParallelCoordinatesPlotColumn(blocks.SummaryMetric(NUMBERS[0])),
            ],
        ),
    ]
    told = blocks.Runset(
        entity=entity,
        project=project,
        name="the study's report",
        filters=f"Config('study') = '{study}' and JobType = 'study'",
    )
    return blocks.Report(
        entity=entity,
        project=project,
        title=f"Study {study}"[:128],
        description="Made by lightdet from the runs of one study. Means over seeds; bands are standard deviations.",
        width="fluid",
        blocks=[
            blocks.H1("Trainings"),
            blocks.PanelGrid(runsets=[trainings], panels=panels),
            blocks.H1("Tables"),
            blocks.PanelGrid(
                runsets=[told],
                panels=[
                    blocks.WeavePanelSummaryTable(table_name=f"tables/{name}")
                    for name in ("table1_ap50", "table2_map", "table3_cost")
                ],
            ),
        ],
    )
