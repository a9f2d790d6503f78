"""Where operations and time disagree: counted and measured order beside each other, and the same in words."""

from collections.abc import Mapping, Sequence
from typing import Any


def ranks(values: Sequence[float]) -> list[int]:
    """The place of each value, the least first: 1 for it, and the same place for equal ones."""
    return [1 + sum(other < value for other in values) for value in values]


def timed(facts: Mapping[str, Any], batch: int, way: str) -> list[dict[str, Any]]:
    """The rows that this way worked for: name, gflops, ms (median and quartiles) and both ranks."""
    rows = [(row, row["batches"][str(batch)].get(way, {})) for row in facts["rows"]]
    found = [
        {"name": row["name"], "gflops": row["footprint"]["gflops"], "ms": measured["ms"]}
        for row, measured in rows
        if "ms" in measured
    ]
    by_flops = ranks([row["gflops"] for row in found])
    by_time = ranks([row["ms"]["median"] for row in found])
    return [{**row, "by_flops": a, "by_time": b} for row, a, b in zip(found, by_flops, by_time, strict=True)]


def disagreements(facts: Mapping[str, Any], batch: int) -> list[str]:
    """One sentence for each way and each model that is slower there than one with more operations.

    Two models count as different where the quartiles of their times are apart. A way in which time follows operations
    says so; one that timed a single model says nothing.
    """
    lines: list[str] = []
    for way in facts["settings"]["ways"]:
        rows = timed(facts, batch, way)
        told = [line for row in sorted(rows, key=lambda row: row["by_flops"]) if (line := _slower(way, row, rows))]
        if len(rows) > 1:
            lines += told or [f"{way}: time follows operations."]
    return lines


def _slower(way: str, row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """What this model is slower than although it computes less; "" where there is nothing."""
    beaten_by = [other for other in rows if other["gflops"] > row["gflops"] and other["ms"]["q75"] < row["ms"]["q25"]]
    others = ", ".join(
        f"{other['name']} ({row['gflops'] / other['gflops']:.2f} of its operations, "
        f"{row['ms']['median'] / other['ms']['median']:.2f} of its time)"
        for other in beaten_by
    )
    places = f"place {row['by_flops']} by FLOPs, {row['by_time']} by time"
    return f"{way}: {row['name']} ({places}) is slower than {others}." if others else ""
