"""`lightdet benchmark`: parameters, operations, memory and time of detectors, measured in turns in one process."""

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from lightdet.benchmark.backend import WAYS, Call, Prepared, network_maps
from lightdet.benchmark.candidate import Candidate, candidates, patches
from lightdet.benchmark.machine import fingerprint, load
from lightdet.benchmark.measure import WARM_UP, interleaved, paired_ratio, peak_bytes, spread
from lightdet.benchmark.order import disagreements
from lightdet.benchmark.report import conditions, cost_cells, machine_line, markdown, terminal_table, time_cells
from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json, write_json, write_text
from lightdet.engine.load import require_device
from lightdet.metric.footprint import footprint
from lightdet.nn.inputs import blank_image, in_channels
from lightdet.ops.grid import COARSEST, ImageSize, check_image_size

USUAL_WAYS = ("eager", "channels-last", "onnxruntime")
DETECT = "detect"  # the way of a trained run that goes on to boxes and suppression, in eager PyTorch, batch 1
IMAGE_SIZE = 608  # px
TRIAL_ERRORS = (RuntimeError, ImportError, ValueError, TypeError, NotImplementedError, LightdetError)


def benchmark(words: list[str]) -> int:
    """Measure detectors beside each other; 0 when every way worked for every one, else 1."""
    asked = parse(words)
    torch.set_num_threads(asked.threads)
    require_device(asked.device)
    machine = fingerprint()
    if asked.out is not None:
        _require_machine(asked.out, machine)
    overrides, image_size = _image_size(asked.what)
    taking_part = candidates(overrides, image_size, asked.config_dir)
    names = [candidate.name for candidate in taking_part]
    against = asked.against or names[0]
    if against not in names:
        raise LightdetError(f"--against {against}: not one of {', '.join(names)}")
    facts: dict[str, Any] = {
        "command": shlex.join(["lightdet", "benchmark", *words]),
        "machine": machine,
        "load": load(),
        "settings": {
            "image_size": image_size,
            "batches": asked.batch,
            "threads": asked.threads,
            "rounds": asked.rounds,
            "warm_up": WARM_UP,
            "device": asked.device,
            "ways": [*asked.ways, DETECT],
            "against": against,
        },
        "rows": [_row(candidate, image_size, asked.device) for candidate in taking_part],
    }
    for batch in asked.batch:
        _measure(facts, taking_part, batch, asked)
    _show(facts)
    if asked.out is not None:
        _keep(facts, asked.out)
    return int(
        any("reason" in found for row in facts["rows"] for ways in row["batches"].values() for found in ways.values())
    )


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The words of a shell as settings."""
    parser = argparse.ArgumentParser(
        "lightdet benchmark",
        description=__doc__,
        epilog="example: lightdet benchmark model=yolov5s,proposed attention=cbam,none image_size=640 --batch 1 16",
    )
    parser.add_argument("what", nargs="*", help="overrides as for `train -m`, run folders, study folders")
    parser.add_argument("--config-dir", "-cd", type=Path, help="a folder with config groups of your own")
    parser.add_argument("--against", help="the candidate whose time the ratios divide by (default: the first)")
    parser.add_argument(
        "--ways", nargs="+", choices=list(WAYS), default=list(USUAL_WAYS), metavar="WAY", help=", ".join(WAYS)
    )
    parser.add_argument("--batch", nargs="+", type=int, default=[1], help="images per call (default: 1)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="default: what torch takes")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, help="folder for benchmark.json and benchmark.md")
    asked = parser.parse_intermixed_args(words)
    for name, values in (("--batch", asked.batch), ("--threads", [asked.threads]), ("--rounds", [asked.rounds])):
        if min(values) < 1:
            raise LightdetError(f"{name} {min(values)}: at least 1")
    return asked


def _image_size(words: Sequence[str]) -> tuple[list[str], ImageSize]:
    """The words without `image_size=`, and its value."""
    given = [word.partition("=")[2] for word in words if word.startswith("image_size=")]
    size = given[-1] if given else str(IMAGE_SIZE)
    numbers = [int(side) for side in size.removeprefix("[").removesuffix("]").split(",") if side.strip().isdigit()]
    if len(numbers) != (2 if size.startswith("[") else 1) or size.count(",") != len(numbers) - 1:
        raise LightdetError(f"image_size={size}: one multiple of {COARSEST}, or [height,width]")
    image_size: ImageSize = numbers if size.startswith("[") else numbers[0]
    check_image_size(image_size)
    return [word for word in words if not word.startswith("image_size=")], image_size


def _row(candidate: Candidate, image_size: ImageSize, device: str) -> dict[str, Any]:
    example = torch.rand(blank_image(candidate.network, image_size).shape)
    cost = footprint(candidate.network, image_size) | {"parameters": candidate.parameters}
    peak = peak_bytes(lambda: network_maps(candidate.network, example))
    candidate.model.to(device)
    return {
        "name": candidate.name,
        "network": candidate.key,
        "run": candidate.run,
        "footprint": cost,
        "peak_bytes": peak,
        "batches": {},
    }


def _measure(facts: dict[str, Any], taking_part: Sequence[Candidate], batch: int, asked: argparse.Namespace) -> None:
    """Fill the rows' results for one batch size; a way that fails keeps its reason instead of a number."""
    size = facts["settings"]["image_size"]
    torch.manual_seed(0)
    kinds = dict.fromkeys(in_channels(candidate.network) for candidate in taking_part)
    images = {channels: patches(batch, size, channels).to(asked.device) for channels in kinds}
    calls: dict[tuple[str, int], Call] = {}
    for place, candidate in enumerate(taking_part):
        _tell(f"{candidate.name} is prepared ({place + 1} of {len(taking_part)})")
        results = facts["rows"][place]["batches"].setdefault(str(batch), {})
        for way in asked.ways:
            try:
                prepared = WAYS[way](candidate.network, images[in_channels(candidate.network)], asked.threads)
            except TRIAL_ERRORS as error:
                text = str(error).strip().splitlines() or [type(error).__name__]
                results[way] = {"reason": text[0][:160]}
                continue
            calls[way, place] = prepared.call
            results[way] = {"difference": prepared.difference}
        if candidate.photo is not None and batch == 1:
            prepared = _detect(candidate, asked.device)
            calls[DETECT, place] = prepared.call
            results[DETECT] = {"difference": None}
    _fill(facts, interleaved(calls, asked.rounds, tell=_tell), batch)


def _tell(words: str) -> None:
    """How far it is, on stderr: the largest models take minutes, and the numbers come at the end."""
    print(f"lightdet: {words}", file=sys.stderr, flush=True)


def _detect(candidate: Candidate, device: str) -> Prepared:
    assert candidate.photo is not None
    photo, model = candidate.photo.to(device), candidate.model

    def call() -> Any:
        with torch.inference_mode():
            return model.predict(photo)

    return Prepared(call)


def _fill(facts: dict[str, Any], times: Mapping[tuple[str, int], Sequence[float]], batch: int) -> None:
    names = [row["name"] for row in facts["rows"]]
    reference = names.index(facts["settings"]["against"])
    for (way, place), values in times.items():
        found = facts["rows"][place]["batches"][str(batch)][way]
        found["ms"] = spread(values)
        if (way, reference) in times:
            found["ratio"] = paired_ratio(values, times[way, reference])


def _show(facts: Mapping[str, Any]) -> None:
    console = Console(width=None if Console().is_terminal else 140)
    console.print(terminal_table(cost_cells(facts)))
    for batch in facts["settings"]["batches"]:
        console.print(f"\nbatch {batch}")
        console.print(terminal_table(time_cells(facts, batch), text_columns=2))
        for line in disagreements(facts, batch):
            console.print(line, highlight=False)
    console.print(f"\n{conditions(facts)}\n{machine_line(facts)}", highlight=False)


def _require_machine(folder: Path, machine: Mapping[str, str]) -> None:
    """Raises LightdetError where numbers of another machine lie."""
    before = read_json(folder / "benchmark.json").get("machine")
    if before is not None and before != machine:
        raise LightdetError(f"{folder}/benchmark.json is of another machine or other versions: take another folder")


def _keep(facts: Mapping[str, Any], folder: Path) -> None:
    """benchmark.json and benchmark.md."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "benchmark.json", dict(facts))
    write_text(folder / "benchmark.md", markdown(facts))
    print(f"written to {folder}")
