"""Milliseconds of one image, for lightdet's and Ultralytics' detectors, as ONNX files in one process and in turns.

uv venv RIVAL && uv pip install --python RIVAL ultralytics onnx onnxslim
RIVAL_PYTHON=RIVAL/bin/python python experiments/bench_rivals.py
"""

import os

os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # before torch is imported: waiting threads sleep, they do not disturb

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a bare clone works too

import torch
from bench.publish import EXPERIMENTS, command, publish

from experiments.rivals.environment import rival_environment
from lightdet.benchmark.candidate import PLACEHOLDER_CLASSES, candidates, patches
from lightdet.benchmark.machine import load, machine_facts
from lightdet.benchmark.report import machine_line, markdown_table, ratio_cell
from lightdet.core.errors import LightdetError
from lightdet.core.timing import interleaved, paired_ratio, spread
from lightdet.nn.backend import Call, export, onnx_call, openvino_call

EXPORT = EXPERIMENTS / "rivals" / "export.py"
BACKENDS = {
    "ONNX Runtime, float32": onnx_call,
    "OpenVINO, float32": lambda *given: openvino_call(*given, "f32"),
    "OpenVINO, bfloat16": lambda *given: openvino_call(*given, "bf16"),
}


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    machine: dict[str, Any] = {"machine": machine_facts(), "load": load()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = {**rival_files(options, folder), **our_files(options, folder)}
        torch.manual_seed(0)
        calls, reasons = prepare({model: path for model, (path, _) in rows.items()}, options)
        times = interleaved(calls, options.rounds, report=lambda words: print(words, file=sys.stderr, flush=True))
    facts = {
        "command": command(),
        **machine,
        "ms": {f"{backend}, {model}": spread(found) for (backend, model), found in times.items()},
        "reasons": reasons,
    }
    parameters = {model: count for model, (_, count) in rows.items()}
    text = report(options, machine, parameters, times, reasons)
    publish("latency", text, facts, options.json, options.keep, EXPERIMENTS / "rivals" / "README.md")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rival-python", type=Path, default=os.environ.get("RIVAL_PYTHON"))
    parser.add_argument("--rivals", nargs="+", default=["yolo26n", "yolo11n", "yolov5n"])
    parser.add_argument("--ours", nargs="+", default=["model=light,proposed,yolov5s"], metavar="OVERRIDE")
    parser.add_argument("--image-size", type=int, default=608, help="px")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    parser.add_argument("--keep", action="store_true", help="replace the section in experiments/rivals/README.md")
    options = parser.parse_args()
    if options.rival_python is None:
        parser.error("set RIVAL_PYTHON, or say --rival-python: the environment that Ultralytics is installed in")
    return options


def rival_files(options: argparse.Namespace, folder: Path) -> dict[str, tuple[Path, int]]:
    """Name -> ONNX file and number of parameters."""
    words = [
        str(folder),
        str(options.image_size),
        str(PLACEHOLDER_CLASSES),
        *(f"{name}.yaml" for name in options.rivals),
    ]
    done = subprocess.run(
        [options.rival_python.absolute(), EXPORT, *words],
        cwd=folder,
        env=rival_environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit("the rivals were not exported:\n" + done.stderr[-2000:])
    counts = dict(line.split() for line in done.stdout.splitlines() if line.partition(" ")[0].endswith(".yaml"))
    return {f"{name} (Ultralytics)": (folder / f"{name}.onnx", int(counts[f"{name}.yaml"])) for name in options.rivals}


def our_files(options: argparse.Namespace, folder: Path) -> dict[str, tuple[Path, int]]:
    """The same of our own networks, BatchNorm folded, without suppression."""
    images = patches(1, options.image_size)
    files = {}
    for candidate in candidates(options.ours, options.image_size):
        place = folder / candidate.key
        place.mkdir()
        files[candidate.name] = (export(candidate.network, images, place), candidate.parameters)
    return files


def prepare(
    files: dict[str, Path], options: argparse.Namespace
) -> tuple[dict[tuple[str, str], Call], dict[tuple[str, str], str]]:
    """What can be timed, and why the rest cannot, by backend and model."""
    images = patches(1, options.image_size)
    calls: dict[tuple[str, str], Call] = {}
    reasons: dict[tuple[str, str], str] = {}
    for backend, load_file in BACKENDS.items():
        for model, path in files.items():
            try:
                calls[backend, model] = load_file(path, images, options.threads)
            except (ImportError, LightdetError) as error:
                reasons[backend, model] = str(error)
    return calls, reasons


def report(
    options: argparse.Namespace,
    machine: dict[str, Any],
    parameters: dict[str, int],
    times: dict[tuple[str, str], list[float]],
    reasons: dict[tuple[str, str], str],
) -> str:
    """The section as Markdown."""
    first = next(iter(parameters))
    cells: list[list[Any]] = [
        [
            "model",
            "parameters",
            *(f"{backend}: ms" for backend in BACKENDS),
            *(f"{backend}: ratio" for backend in BACKENDS),
        ]
    ]
    for model, count in parameters.items():
        found = [times.get((backend, model)) for backend in BACKENDS]
        milliseconds = [f"{spread(values)['median']:.1f}" if values else "-" for values in found]
        ratios = [
            ratio_cell(paired_ratio(values, times[backend, first]))
            if values and model != first
            else "1"
            if values
            else "-"
            for backend, values in zip(BACKENDS, found, strict=True)
        ]
        cells.append([model, f"{count:,}", *milliseconds, *ratios])
    lines = [
        f"## One image of {options.image_size} px, {options.threads} threads",
        "Question: what is the latency of one image on a CPU, compared with the smallest detectors of Ultralytics?",
        f"    {command()}",
        markdown_table(cells),
        f"Medians of {options.rounds} rounds, the files interleaved within a round; ratio to {first}, paired by round, "
        f"with quartiles. {PLACEHOLDER_CLASSES} classes, BatchNorm folded, no suppression (yolo26n needs none), an "
        "image of random patches.",
    ]
    lines += [
        f"{backend}: {reason}."
        for backend, reason in dict.fromkeys((backend, words) for (backend, _), words in reasons.items())
    ]
    lines.append(machine_line(machine))
    return "\n\n".join(lines)


if __name__ == "__main__":
    main()
