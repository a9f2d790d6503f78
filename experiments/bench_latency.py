"""Parameters, operations and CPU latency of the proposed model beside YOLOv5s.

Latency is of the network alone (image in, raw maps out; no letterbox, no suppression of overlaps), batch 1, BatchNorm
folded into the convolutions, in eager PyTorch (both memory layouts) and in ONNX Runtime, float32. All contenders are
called in turn, round after round, in one process, so that whatever else the machine does hits them alike; what is
compared is the ratio within a round. `python experiments/bench_latency.py`
"""

import os

os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # before torch is imported: waiting threads sleep, they do not disturb

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a bare clone works too

import numpy as np
import onnxruntime
import torch
from bench.machine import command, fingerprint, publish, ratio_cell, spread, table
from hydra import compose, initialize_config_dir
from torch import nn

from lightdet.conf_dir import conf_dir
from lightdet.load import build_detector
from lightdet.metric.footprint import footprint
from lightdet.nn.fuse import fuse

PACKAGES = ("torch", "onnxruntime", "onnx", "numpy")
OPSET = 17
WARM_UP = 5  # calls of each contender before the first round
LAYOUTS = {"eager": torch.contiguous_format, "eager, channels last": torch.channels_last}
RUNTIME = "ONNX Runtime"
Run = Callable[[], object]


def main() -> None:
    asked = arguments()
    torch.set_num_threads(asked.threads)
    machine = fingerprint(PACKAGES)
    torch.manual_seed(0)
    images = torch.rand(1, 3, asked.image_size, asked.image_size)
    networks = {name: build(name, asked.classes) for name in (asked.model, asked.baseline)}
    costs = {name: footprint(network, asked.image_size) for name, network in networks.items()}
    contenders: dict[tuple[str, str], Run] = {}
    differences = {}
    for name, network in networks.items():
        fused = fuse(network)
        differences[name], session = exported(fused, images, asked.threads)
        contenders |= {(way, name): eager(fused, images, layout) for way, layout in LAYOUTS.items()}
        contenders[RUNTIME, name] = session
    times = measure(contenders, asked.rounds)
    facts = {
        "command": command(),
        "machine": machine,
        "threads": asked.threads,
        "rounds": asked.rounds,
        "footprint": costs,
        "largest_difference": differences,
        "milliseconds": {f"{way} / {name}": spread(values) for (way, name), values in times.items()},
        "ratio": {way: spread(ratios(times, way, asked)) for way in ways(times)},
    }
    publish("latency", report(asked, machine, costs, differences, times), facts, asked.json, asked.keep)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="proposed")
    parser.add_argument("--baseline", default="yolov5s")
    parser.add_argument("--classes", type=int, default=6)
    parser.add_argument("--image-size", type=int, default=608, help="px, side of the square input")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    parser.add_argument("--keep", action="store_true", help="replace the section in experiments/bench/README.md")
    return parser.parse_args()


def build(name: str, num_classes: int) -> nn.Module:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return build_detector(compose("train", overrides=[f"model={name}"]), num_classes).network


def eager(fused: nn.Module, images: torch.Tensor, layout: torch.memory_format) -> Run:
    network = fuse(fused).to(memory_format=layout)
    given = images.contiguous(memory_format=layout)

    def run() -> None:
        with torch.inference_mode():
            network(given)

    return run


def exported(fused: nn.Module, images: torch.Tensor, threads: int) -> tuple[float, Run]:
    """The largest difference between the exported network's maps and the eager ones, and a call of the former."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = f"{folder}/network.onnx"
        torch.onnx.export(fused, (images,), path, dynamo=False, opset_version=OPSET)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    given = {session.get_inputs()[0].name: images.numpy()}
    with torch.inference_mode():
        expected = fused(images)
    found = session.run(None, given)
    difference = max(float(np.abs(a.numpy() - b).max()) for a, b in zip(expected, found, strict=True))
    return difference, lambda: session.run(None, given)


def measure(contenders: dict[tuple[str, str], Run], rounds: int) -> dict[tuple[str, str], list[float]]:
    """Milliseconds of every contender in every round; each round starts with another one."""
    for run in contenders.values():
        for _ in range(WARM_UP):
            run()
    times: dict[tuple[str, str], list[float]] = {key: [] for key in contenders}
    order = list(contenders)
    for _ in range(rounds):
        for key in order:
            began = time.perf_counter()
            contenders[key]()
            times[key].append((time.perf_counter() - began) * 1e3)
        order = order[1:] + order[:1]
    return times


def ways(times: dict[tuple[str, str], list[float]]) -> list[str]:
    return list(dict.fromkeys(way for way, _ in times))


def ratios(times: dict[tuple[str, str], list[float]], way: str, asked: argparse.Namespace) -> list[float]:
    return [a / b for a, b in zip(times[way, asked.model], times[way, asked.baseline], strict=True)]


def report(
    asked: argparse.Namespace,
    machine: dict[str, str],
    costs: dict[str, dict[str, float]],
    differences: dict[str, float],
    times: dict[tuple[str, str], list[float]],
) -> str:
    size = f"{asked.image_size} px"
    cost_rows = [
        [
            name,
            f"{cost['parameters']:,}",
            f"{cost['macs'] / 1e9:.3f}",
            f"{cost['gflops']:.3f}",
            f"{differences[name]:.1e}",
        ]
        for name, cost in costs.items()
    ]
    time_rows = []
    for way in ways(times):
        for name in (asked.model, asked.baseline):
            found = spread(times[way, name])
            ratio = ratio_cell(ratios(times, way, asked)) if name == asked.model else "1"
            time_rows.append([way, name, f"{found['median']:.1f}", f"{found['p95']:.1f}", ratio])
    lines = [
        f"## Latency of `{asked.model}` and `{asked.baseline}`",
        "",
        "Question: does the light model's smaller number of operations arrive as time on a CPU?",
        "",
        f"    {command()}",
        "",
        table(
            ["model", "parameters", f"GMAC at {size}", "GFLOPs (2 x MAC)", "ONNX Runtime against eager, largest"],
            cost_rows,
        ),
        "",
        table(["way", "model", "median ms", "p95 ms", f"ratio to {asked.baseline} in a round"], time_rows),
        "",
        f"{size}, batch 1, {asked.classes} classes, float32, {asked.threads} threads (OMP_WAIT_POLICY=PASSIVE; ONNX "
        f"Runtime without spinning, opset {OPSET}), {asked.rounds} interleaved rounds in one process after {WARM_UP} "
        "warm-up calls of each. BatchNorm folded into the convolutions; no letterbox and no suppression. Ratio: median "
        "(quartiles) over the rounds.",
        "",
        "; ".join(f"{key}: {value}" for key, value in machine.items()) + ".",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
