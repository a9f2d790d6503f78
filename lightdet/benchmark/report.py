"""The tables and texts of a benchmark."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from lightdet.benchmark.order import disagreements, timed
from lightdet.core.table import rich_table, to_markdown
from lightdet.ops.grid import size_text

Cells = list[list[str]]


def cost_cells(facts: Mapping[str, Any]) -> Cells:
    """Header and rows: cost of every candidate, with its input size where the sizes differ."""
    size = facts["settings"]["image_size"]
    at, column = (f" at {size_text(size)}", []) if size else ("", ["input"])
    header = ["model", *column, "parameters", f"GMAC{at}", f"GFLOPs{at} (2 x MAC)", "activations, MB"]
    return [header] + [
        [
            row["name"],
            *([] if size else [size_text(row["footprint"]["image_size"])]),
            f"{row['footprint']['parameters']:,}",
            f"{row['footprint']['macs'] / 1e9:.3f}",
            f"{row['footprint']['gflops']:.2f}",
            "-" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 1e6:.1f}",
        ]
        for row in facts["rows"]
    ]


def time_cells(facts: Mapping[str, Any], batch: int) -> Cells:
    """Header and rows: milliseconds of a batch in each backend, and the ranks by operations and by time.

    The ratio is to `against`, within a round.
    """
    against = facts["settings"]["against"]
    header = ["backend", "model", "p50 ms", "p95 ms", "images/s", f"ratio to {against}"]
    header += ["place by FLOPs", "place by time", "largest difference"]
    rows: Cells = []
    for backend in facts["settings"]["ways"]:
        places = {row["name"]: (row["by_flops"], row["by_time"]) for row in timed(facts, batch, backend)}
        for row in facts["rows"]:
            found = row["batches"][str(batch)].get(backend)
            if found is None:
                continue
            if "reason" in found:
                rows.append([backend, row["name"], *["-"] * 6, found["reason"]])
                continue
            rows.append(
                [
                    backend,
                    row["name"],
                    f"{found['ms']['median']:.1f}",
                    f"{found['ms']['p95']:.1f}",
                    f"{batch / found['ms']['median'] * 1e3:.1f}",
                    ratio_cell(found.get("ratio")),
                    *(str(place) for place in places[row["name"]]),
                    "-" if found["difference"] is None else f"{found['difference']:.1e}",
                ]
            )
    return [header, *rows]


def ratio_cell(ratio: Mapping[str, float] | None) -> str:
    """A paired ratio: median and quartiles over the rounds."""
    return "-" if ratio is None else f"{ratio['median']:.3f} ({ratio['q25']:.3f}-{ratio['q75']:.3f})"


def conditions(facts: Mapping[str, Any]) -> str:
    """The conditions of the measurement."""
    measured = facts["settings"]
    size = size_text(measured["image_size"]) if measured["image_size"] else "each at its own input size"
    return (
        f"{size} on {measured['device']}, {measured['threads']} threads, {measured['rounds']} interleaved "
        f"rounds in one process, {measured['warm_up']} warm-up calls of each before. BatchNorm folded into "
        "convolutions. "
        "The network alone, without letterbox and suppression, unless the backend is detect: raw maps, boxes and "
        "suppression on a validation image of the run, an exported file in its own runtime. The norms of a preset got "
        "the statistics of random patches. "
        "Largest difference: of a raw value from eager PyTorch, a map off by half of its root mean square a failure; "
        "that of Faster R-CNN includes the order of its regions. Ratios are taken within a round; median (quartiles). "
        "Activations: the most bytes that eager tensors hold at one moment, batch 1, weights apart."
    )


def machine_line(facts: Mapping[str, Any]) -> str:
    """The machine in one line."""
    return (
        "; ".join(f"{key}: {value}" for key, value in {**facts["machine"], "load before": facts["load"]}.items()) + "."
    )


def markdown(facts: Mapping[str, Any]) -> str:
    """The whole benchmark as Markdown."""
    parts = [f"    {facts['command']}", markdown_table(cost_cells(facts))]
    for batch in facts["settings"]["batches"]:
        parts += [f"Batch {batch}:", markdown_table(time_cells(facts, batch), text_columns=2)]
        parts += ["\n".join(f"- {line}" for line in disagreements(facts, batch))]
    return "\n\n".join([*filter(None, parts), conditions(facts), machine_line(facts)]) + "\n"


def markdown_table(cells: Sequence[Sequence[str]], text_columns: int = 1) -> str:
    """A Markdown table whose first columns are text and the others numbers."""
    header, *lines = cells
    return to_markdown(header, lines, [place >= text_columns for place in range(len(header))])


def terminal_table(cells: Sequence[Sequence[str]], text_columns: int = 1) -> Table:
    """The same for a terminal."""
    header, *lines = cells
    return rich_table(header, lines, [place >= text_columns for place in range(len(header))])
