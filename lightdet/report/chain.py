"""What a chain of compressions cost, step by step, for its report: from chain.json, which the chain keeps. No torch."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json
from lightdet.core.shown import shown
from lightdet.draw.curves import dress, hex_colour
from lightdet.draw.palette import FAINT, class_colour
from lightdet.report.figures import empty, finish
from lightdet.report.rows import Value
from lightdet.report.table import DASH, Cell, Column, Table, amount, measured
from lightdet.runs.jobs import finite, inside

FILE_NAME = "chain.json"
MOST_ROWS, LONGEST = 100, 300


@dataclass(frozen=True, slots=True)
class Link:
    """A row. value: the primary score over seeds; bytes: of the file; ms: the median; ratio: of the times within a
    round, median and quartiles, to the whole network's in float32."""

    name: str
    told: str
    value: Value | None
    parameters: float | None
    gflops: float | None
    bytes: float | None
    ms: float | None
    ratio: tuple[float, float, float] | None
    verdict: str


@dataclass(frozen=True, slots=True)
class Chain:
    wish: str
    title: str  # of the primary score
    higher_is_better: bool
    links: Sequence[Link]
    verdict: str
    measured: str  # where and how


def read_chain(study: Path) -> tuple[Chain | None, list[str]]:
    """The content of chain.json, None for a study that is no chain; and a line about a broken file."""
    try:
        facts = read_json(study / FILE_NAME)
        if not facts:
            return None, []
        links = [_link(row) for row in list(facts["rows"])[:MOST_ROWS]]
        machine = facts.get("machine")
        where = f"{facts.get('threads')} threads, {facts.get('rounds')} rounds, load {facts.get('load')}, on "
        where += "; ".join(f"{key} {value}" for key, value in (machine if isinstance(machine, dict) else {}).items())
        score = facts["score"]
        texts = [_text(each) for each in (facts["wish"], score["title"], facts["verdict"], where)]
        return Chain(texts[0], texts[1], score["higher_is_better"] is True, links, texts[2], texts[3]), []
    except (LightdetError, OSError) as error:
        return None, [str(error)]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return None, [f"{study / FILE_NAME}: not what a chain writes ({error!r})"]


def _link(row: Mapping[str, Any]) -> Link:
    """Raises KeyError, TypeError or ValueError for what is no row."""
    scores = [value for each in row["scores"] if (value := finite(each)) is not None]
    ratio = [finite(inside(row.get("ratio"), key)) for key in ("median", "q25", "q75")]
    median, low, high = ratio
    return Link(
        _text(row["name"]),
        _text(row["told"]),
        _value(scores),
        finite(row.get("parameters")),
        finite(row.get("gflops")),
        finite(row.get("bytes")),
        finite(row.get("ms")),
        None if median is None or low is None or high is None else (median, low, high),
        _text(row["verdict"]),
    )


def _value(scores: Sequence[float]) -> Value | None:
    if not scores:
        return None
    spread = statistics.stdev(scores) if len(scores) > 1 else None
    return Value(statistics.fmean(scores), spread, len(scores), min(scores), max(scores))


def _text(value: Any) -> str:
    return shown(str(value))[:LONGEST]


def chain_table(chain: Chain) -> Table:
    """A line per step."""
    columns = [Column("step", False), Column("what", False), Column(chain.title), Column("seeds"), Column("parameters")]
    columns += [Column("GFLOPs"), Column("ms"), Column("x the time"), Column("file MB"), Column("checks", False)]
    table = Table("chain", f"Chain: {chain.wish}", columns)
    for link in chain.links:
        ratio = Cell(DASH) if link.ratio is None else Cell(f"{link.ratio[0]:.2f}", link.ratio[0])
        table.lines.append(
            [
                *(Cell(link.name), Cell(link.told), measured(link.value)),
                amount(None if link.value is None else link.value.seeds),
                *(amount(link.parameters), amount(link.gflops, 3), amount(link.ms, 2), ratio),
                amount(None if link.bytes is None else link.bytes / 1e6, 2),
                Cell(link.verdict or DASH),
            ]
        )
        table.rows.append(0)
    table.notes += [
        f"The chain: {chain.verdict}.",
        f"{chain.title} on the validation images, mean and spread over seeds; that of a file in another precision is "
        "the file's own. Files, parameters and times are of the seed that scores best. The time is of one image, the "
        "whole file with its selection of boxes, all files in turns in one process: median, and median of the ratios "
        f"within a round to the whole network in float32; {chain.measured}.",
    ]
    return table


def plot_chain(chain: Chain, path: Path) -> Path:
    """The score over the share of the time; the line joins the steps that no other beats."""
    figure, axes = empty()
    points = [
        (link.ratio[0], link.value, number, link)
        for number, link in enumerate(chain.links)
        if link.ratio is not None and link.value is not None
    ]
    sign = 1 if chain.higher_is_better else -1
    front: list[tuple[float, float]] = []
    for time, value, _, _ in sorted(points, key=lambda point: (point[0], -sign * point[1].mean)):
        if not front or sign * value.mean > sign * front[-1][1]:
            front.append((time, value.mean))
    axes.step([x for x, _ in front], [y for _, y in front], where="post", color=hex_colour(FAINT), alpha=0.6)
    for time, value, number, link in points:
        colour = hex_colour(class_colour(number))
        if value.spread is not None:
            axes.errorbar([time], [value.mean], yerr=[value.spread], color=colour, capsize=3, fmt="none")
        axes.plot([time], [value.mean], "o", color=colour, markersize=7, label=f"{link.name}: {link.told}")
    axes.set_xlim(0, 1.1 * max([1.0, *(time for time, _, _, _ in points)]))
    axes.margins(y=0.2)
    axes.set(xlabel="time of one image, x that of the whole network in float32", ylabel=f"{chain.title} on validation")
    dress(axes, f"{chain.title} and time, step by step")
    return finish(figure, axes, path, "nothing was timed", "step")
