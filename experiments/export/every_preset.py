"""Every preset in every format: made, loaded in its runtime, and judged by the gate.

    python experiments/export/every_preset.py FOLDER [preset ...]

Writes FOLDER/cells.jsonl, a line for each cell, and prints the table of all lines there. Cells that are there already
are not made again. The networks are random, with the statistics of the images, and a threshold that some boxes of each
image reach: enough for parity, and meaningless for accuracy. A file that the gate rejects, or that cannot be made, has
its reason in its line.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from lightdet.cli.main import main
from lightdet.config.conf_folder import conf_folder
from lightdet.core.errors import LightdetError
from lightdet.core.table import to_markdown
from lightdet.engine.load import load_run
from lightdet.export.choice import format_names, format_of
from lightdet.export.gate import Gate
from lightdet.export.source import source_of
from lightdet.export.write import write_checked
from lightdet.model.detector import DenseDetector
from lightdet.runs.folder import BEST, RunFolder

SIZE = 96  # px
DATA = ("data=synthetic", "data.reader.train_images=8", "data.reader.val_images=8", "data.reader.size=160")
BESIDE = {"openvino": (".bin",), "ncnn": (".bin", ".json")}  # files that belong to the main one
KEPT = 10  # boxes of an image, about, that reach the threshold


def presets() -> list[str]:
    return sorted(path.stem for path in (conf_folder() / "model").glob("*.yaml"))


def cells() -> Iterator[tuple[str, str]]:
    for form in format_names():
        yield form, "float32"  # of random weights, rounding to half is amplified beyond meaning


def untrained(preset: str, folder: Path) -> RunFolder:
    """The run of a preset that has seen its images and was not trained."""
    words = [f"model={preset}", *DATA, f"image_size={SIZE}", "data.batch_size=4", "trainer.max_epochs=1", "logger=none"]
    words += ["trainer.device=cpu", "trainer.progress=none", f"name={preset}", f"data.reader.cache={folder}/cache"]
    label = (
        ["data.label=first"] if "family/classifier" in (conf_folder() / "model" / f"{preset}.yaml").read_text() else []
    )
    if main(["train", *words, *label]):
        raise LightdetError("not trained")
    run = RunFolder(Path("runs/single") / preset / "s0")
    loaded = load_run(run.path)
    source = source_of(run)
    images = next(iter(source.data.loader("val"))).images_on("cpu")
    model = loaded.model
    torch.manual_seed(0)
    for module in model.network.modules():
        if isinstance(module, torch.nn.BatchNorm2d) and module.running_mean is not None:
            module.momentum = None  # the mean of what it sees from here
            module.reset_running_stats()
    with torch.no_grad():
        model.network.train()(images)
        model.eval()
        if isinstance(model, DenseDetector):
            found = [each.scores.sort(descending=True).values for each in model.detect(images)]
            least = [float(scores[min(KEPT, len(scores) - 1)]) for scores in found if len(scores)]
            results = json.loads(run.results_path.read_text())
            results["metrics"].setdefault("operating_point", {})["threshold"] = sum(least) / max(len(least), 1)
            run.results_path.write_text(json.dumps(results))
    state = torch.load(run.checkpoints / BEST, weights_only=True)
    state["ema"]["weights"] = model.state_dict()
    torch.save(state, run.checkpoints / BEST)
    return run


def measure(preset: str, missing: list[tuple[str, str]], folder: Path) -> Iterator[dict[str, Any]]:
    run = untrained(preset, folder)
    source = source_of(run)
    gate = Gate(source)
    for form, precision in missing:
        cell: dict[str, Any] = {"preset": preset, "format": form, "precision": precision}
        try:
            out = run.path / f"model-{precision}{format_of(form).ending}"
            place, verdict = write_checked(source, gate, form, precision, out)
            cell |= {"passed": verdict.passed, "reasons": verdict.reasons()}
            cell |= {"checks": {check.name: check.found for check in verdict.checks}}
            parts = [place, *(place.with_suffix(each) for each in BESIDE.get(form, ()))]
            cell["megabytes"] = round(sum(each.stat().st_size for each in parts) / 1e6, 2)
        except LightdetError as error:
            cell |= {"passed": False, "reasons": [str(error)]}
        except Exception as error:
            cell |= {"passed": False, "reasons": [f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"]}
        yield cell


def table(lines: list[dict[str, Any]]) -> str:
    every = list(cells())
    found = {(line["preset"], line["format"], line["precision"]): line for line in lines}
    reasons: list[str] = []

    def cell(preset: str, form: str, precision: str) -> str:
        line = found.get((preset, form, precision))
        if line is None:
            return ""
        if line["passed"]:
            return "passed"
        reason = "; ".join(line["reasons"])
        if reason not in reasons:
            reasons.append(reason)
        return f"({reasons.index(reason) + 1})"

    names = list(dict.fromkeys(line["preset"] for line in lines))
    rows = [[name, *(cell(name, *each) for each in every)] for name in names]
    header = ["preset", *(form for form, _ in every)]
    notes = "\n".join(f"{number}. {reason}" for number, reason in enumerate(reasons, 1))
    return to_markdown(header, rows, [False, *(True for _ in every)]) + "\n\n" + notes


def run(folder: Path, wanted: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    file = Path("cells.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    for preset in wanted or presets():
        done = {(line["format"], line["precision"]) for line in lines if line["preset"] == preset}
        missing = [each for each in cells() if each not in done]
        if not missing:
            continue
        print(f"{preset} ...", file=sys.stderr, flush=True)
        try:
            for cell in measure(preset, missing, folder):
                lines.append(cell)
                with open(file, "a") as out:
                    out.write(json.dumps(cell) + "\n")
        except LightdetError as error:
            print(f"{preset}: {error}", file=sys.stderr)
        shutil.rmtree(Path("runs/single") / preset, ignore_errors=True)
    print(table(lines))


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(Path(sys.argv[1]).absolute(), sys.argv[2:])
