"""Parameters, MACs and FLOPs of every preset at 608 and 640 px, beside what Huang 2024 prints in Table 3.

    python experiments/count_operations.py --keep

For a printed row the reading that fits best is named: MACs or 2 x MAC, at 608 or at 640 px.
"""

import argparse
import copy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a bare clone works too

import torch
import yaml
from bench.publish import command, publish
from hydra import compose, initialize_config_dir

from lightdet.benchmark.candidate import PLACEHOLDER_CLASSES
from lightdet.benchmark.report import markdown_table
from lightdet.config.conf_folder import conf_folder
from lightdet.engine.load import build_model
from lightdet.metric.footprint import footprint

SIZES = (608, 640)  # px
PRESETS = sorted(path.stem for path in (conf_folder() / "model").glob("*.yaml"))
FOLDER = Path(__file__).resolve().parent / "flops"


def count(preset: str) -> dict[str, Any]:
    """{"parameters": M, "608": {"MACs": G, "2 x MAC": G}, ...}: of a preset with 6 classes."""
    found: dict[str, Any] = {}
    for size in SIZES:
        with initialize_config_dir(str(conf_folder()), version_base="1.3"):
            config = compose("train", overrides=[f"model={preset}", f"image_size={size}"])
        torch.manual_seed(0)
        network = build_model(config, PLACEHOLDER_CLASSES).network
        try:
            cost = footprint(copy.deepcopy(network).to("meta"), size)  # shapes alone, nothing is computed
        except (NotImplementedError, RuntimeError):  # regions cannot be suppressed without numbers
            cost = footprint(network, size)
        found["parameters"] = cost["parameters"] / 1e6
        found[str(size)] = {"MACs": cost["macs"] / 1e9, "2 x MAC": cost["gflops"]}
    return found


def reading(printed: float, counted: Mapping[str, Any]) -> tuple[str, float]:
    """The unit and size whose count is nearest to a printed number, and by what share that number differs from it."""
    every = {f"{unit} at {size}": printed / value - 1 for size in SIZES for unit, value in counted[str(size)].items()}
    return min(every.items(), key=lambda item: abs(item[1]))


def cells(counts: Mapping[str, Mapping[str, Any]], paper: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Header and rows; the paper's numbers stand in columns of their own."""
    header = ["model", "parameters, M"]
    header += [f"{unit} at {size}, G" for size in SIZES for unit in ("MACs", "2 x MAC")]
    header += [
        "paper's row",
        "paper: parameters, M",
        "paper: FLOPs, G",
        "parameters printed / ours",
        "FLOPs printed are",
    ]
    rows = [header]
    for preset, found in counts.items():
        row = [preset, f"{found['parameters']:.2f}"]
        row += [f"{value:.2f}" for size in SIZES for value in found[str(size)].values()]
        rows.append(row + (_printed(paper[preset], found) if preset in paper else ["-"] * 5))
    return rows


def _printed(printed: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    parameters = printed["parameters"] / found["parameters"] - 1
    unit, off = reading(printed["flops"], found)
    copied = printed["flops"] == printed["parameters"]
    return [
        str(printed["row"]),
        f"{printed['parameters']:.2f}",
        f"{printed['flops']:.2f}",
        f"{parameters:+.1%}",
        "its number of parameters once more" if copied else f"{unit}, {off:+.1%}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=PRESETS, choices=PRESETS, metavar="MODEL")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", action="store_true", help="put the table into experiments/flops/README.md")
    options = parser.parse_args()
    paper = yaml.safe_load((FOLDER / "paper.yaml").read_text(encoding="utf-8"))
    counts = {preset: count(preset) for preset in options.models}
    text = f"    {command()}\n\n{markdown_table(cells(counts, paper))}"
    publish("counts", text, counts, options.json, options.keep, FOLDER / "README.md")


if __name__ == "__main__":
    main()
