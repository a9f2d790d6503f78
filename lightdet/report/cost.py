"""The cost of the rows' networks at other input sizes, counted from their configurations, and measured latency.

Counting needs torch and some seconds per network, so counts are kept in the folder of the report.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lightdet.config.trust import check_trusted
from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json, write_json
from lightdet.report.rows import Row, sides
from lightdet.runs.fingerprint import network_digest
from lightdet.runs.jobs import finite, inside

MEMORY = "cost.json"
LATENCY = "benchmark.json"


@dataclass(slots=True)
class Costs:
    """GFLOPs (2 x MAC) per row number and input size, latencies, and notes about both."""

    gflops: dict[tuple[int, int], float] = field(default_factory=dict)
    latency: dict[str, dict[int, float]] = field(default_factory=dict)  # how measured -> row number -> median ms
    notes: list[str] = field(default_factory=list)


def read_costs(
    rows: Sequence[Row], study: Path, out: Path, sizes: Sequence[int], seconds: float, trust: bool = False
) -> Costs:
    """Counts networks that are not counted yet, while processor time is left.

    Counting builds the classes that a configuration names, and a study may come from anywhere: only options of lightdet
    are built, unless `trust` allows the code of other modules.
    """
    costs = Costs()
    memory = _remembered(out / MEMORY)
    keys = {row.number: key for row in rows if (key := _key(row)) is not None}
    wanted = {f"{key} {size}" for key in keys.values() for size in sizes}
    if wanted - memory.keys() and sizes:
        memory |= _count(rows, keys, sizes, memory, seconds, trust, costs.notes)
        write_json(out / MEMORY, memory)
    for number, key in keys.items():
        for size in sizes:
            value = memory.get(f"{key} {size}")
            if (count := finite(value)) is not None:
                costs.gflops[number, size] = count
    _read_latency(rows, study / LATENCY, costs)
    return costs


def _remembered(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except (LightdetError, OSError):
        return {}


def _config(row: Row) -> dict[str, Any] | None:
    """The configuration of a job that began training with this package; the seeds share it."""
    begun = (job.config for job in row.jobs if "model" in job.config and "num_classes" in job.config)
    return next((config for config in begun if "training" not in config["model"]), None)


def _key(row: Row) -> str | None:
    config = _config(row)
    return None if config is None else network_digest(config)


def _count(
    rows: Sequence[Row],
    keys: dict[int, str],
    sizes: Sequence[int],
    memory: dict[str, Any],
    seconds: float,
    trust: bool,
    notes: list[str],
) -> dict[str, float]:
    """`"<network> <size>"` -> GFLOPs of what the memory lacks and torch can build."""
    if find_spec("torch") is None:
        notes.append("GFLOPs at other input sizes are left out: torch is not installed.")
        return {}
    from omegaconf import OmegaConf

    from lightdet.engine.load import build_model
    from lightdet.metric.footprint import footprint

    counted: dict[str, float] = {}
    began, failed = time.process_time(), set()  # loading torch apart, or a slow machine would count nothing
    for row in rows:
        key, config = keys.get(row.number), _config(row)
        missing = [size for size in sizes if f"{key} {size}" not in {**memory, **counted}]
        if key is None or config is None or not missing or key in failed:
            continue
        if time.process_time() - began > seconds:
            notes.append(f"Row {row.number} and later ones: not counted at other sizes, {seconds:g} s are spent.")
            break
        try:
            composed = OmegaConf.create(config)
            check_trusted(composed, "config.yaml", trust, ("model",))
            network = build_model(composed, int(config["num_classes"]), fetch=False).network
            counted |= {f"{key} {size}": footprint(network, size)["gflops"] for size in missing}
        except Exception as error:  # a class that no longer exists, an invalid input size: a note names the row
            failed.add(key)
            notes.append(f"Row {row.number}: not counted at other sizes ({' '.join(str(error).split())[:160]}).")
    return counted


def _listed(tree: Any, *keys: str) -> list[Any]:
    found = inside(tree, *keys)
    return found if isinstance(found, list) else []


def _read_latency(rows: Sequence[Row], path: Path, costs: Costs) -> None:
    """From what `lightdet benchmark` writes: medians of the rows' own networks, batch 1."""
    if not path.exists():
        return
    try:
        facts = read_json(path)
    except (LightdetError, OSError) as error:
        costs.notes.append(f"Latency left out: {error}")
        return
    measured = {str(inside(entry, "network")): entry for entry in _listed(facts, "rows")}
    threads = inside(facts, "settings", "threads")
    for way in _listed(facts, "settings", "ways"):
        for row in rows:
            entry = measured.get(str(_key(row)))
            median = finite(inside(entry, "batches", "1", str(way), "ms", "median"))
            size = inside(facts, "settings", "image_size") or inside(entry, "footprint", "image_size")
            if median is not None:
                costs.latency.setdefault(f"{way}, {sides(size)} px, {threads} threads", {})[row.number] = median
    processor = inside(facts, "machine", "processor")
    costs.notes.append(f"Latency from {path.name}, measured on {processor}: median ms of a batch of one.")
