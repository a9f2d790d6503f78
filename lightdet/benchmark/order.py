"""Where operations and time disagree: the counted and the measured order, as numbers and in words."""

from collections.abc import Mapping, Sequence
from typing import Any


def ranks(values: Sequence[float]) -> list[int]:
    """The place of each value, the least first: 1 for it, and the same place for equal ones."""
    return [1 + sum(other < value for other in values) for value in values]


def timed(facts: Mapping[str, Any], batch: int, backend: str) -> list[dict[str, Any]]:
    """The rows that this backend worked for: name, gflops, ms (median and quartiles) and both ranks."""
    rows = [(row, row["batches"][str(batch)].get(backend, {})) for row in facts["rows"]]
    found = [
        {"name": row["name"], "gflops": row["footprint"]["gflops"], "ms": measured["ms"]}
        for row, measured in rows
        if "ms" in measured
    ]
    by_flops = ranks([row["gflops"] for row in found])
    by_time = ranks([row["ms"]["median"] for row in found])
    return [{**row, "by_flops": a, "by_time": b} for row, a, b in zip(found, by_flops, by_time, strict=True)]


def disagreements(facts: Mapping[str, Any], batch: int) -> list[str]:
    """One sentence for each backend and each model that is slower there than one with more operations.

    Two models count as different where the quartiles of their times are apart. A backend where time follows
    operations gets a sentence too; one that timed a single model gets none.
    """
    lines: list[str] = []
    for backend in facts["settings"]["ways"]:
        rows = timed(facts, batch, backend)
        slower = [
            line for row in sorted(rows, key=lambda row: row["by_flops"]) if (line := _slower(backend, row, rows))
        ]
        if len({row["gflops"] for row in rows}) > 1:
            lines += slower or [f"{backend}: time follows operations."]
    return lines


def _slower(backend: str, row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """Which models with more operations are faster than this one; "" for none."""
    beaten_by = [other for other in rows if other["gflops"] > row["gflops"] and other["ms"]["q75"] < row["ms"]["q25"]]
    others = ", ".join(
        f"{other['name']} ({row['gflops'] / other['gflops']:.2f} of its operations, "
        f"{row['ms']['median'] / other['ms']['median']:.2f} of its time)"
        for other in beaten_by
    )
    places = f"place {row['by_flops']} by FLOPs, {row['by_time']} by time"
    return f"{backend}: {row['name']} ({places}) is slower than {others}." if others else ""
