"""`lightdet benchmark`: parameters, operations, memory and time of detectors, interleaved in one process."""

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from lightdet.benchmark.candidate import Candidate, candidates, patches
from lightdet.benchmark.machine import load, machine_facts
from lightdet.benchmark.memory import peak_bytes
from lightdet.benchmark.order import disagreements
from lightdet.benchmark.report import conditions, cost_cells, machine_line, markdown, terminal_table, time_cells
from lightdet.config.trust import HELP, WORD
from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json, write_json, write_text
from lightdet.core.options import OptionParser
from lightdet.core.timing import WARM_UP, interleaved, paired_ratio, spread
from lightdet.engine.load import require_device
from lightdet.metric.footprint import footprint
from lightdet.model.exported import as_pixels
from lightdet.nn.backend import BACKENDS, Call, Prepared, network_maps
from lightdet.nn.inputs import blank_image, in_channels
from lightdet.ops.grid import COARSEST, ImageSize, check_image_size, height_width
from lightdet.runs.jobs import finite, inside
from lightdet.runtime.session import Exported

USUAL_BACKENDS = ("eager", "channels-last", "onnxruntime")
# The whole detection, boxes and suppression included: of a run in eager PyTorch and batch 1, of a file in its runtime.
DETECT = "detect"
TRIAL_ERRORS = (RuntimeError, ImportError, ValueError, TypeError, NotImplementedError, LightdetError)


def benchmark(words: list[str]) -> int:
    """Measures several detectors; returns 0 when every backend worked for each, else 1."""
    options = parse(words)
    torch.set_num_threads(options.threads)
    require_device(options.device)
    machine = machine_facts()
    if options.out is not None:
        _require_machine(options.out, machine)
    words_of_candidates, image_size = _image_size(options.what)
    compared = candidates(words_of_candidates, image_size, options.config_dir, options.trust_modules)
    if options.device != "cpu" and (files := [each.name for each in compared if each.file is not None]):
        raise LightdetError(f"--device {options.device}: {files[0]} is an exported file, which runs on the cpu here")
    sizes = [candidate.image_size for candidate in compared]
    same = all(height_width(size) == height_width(sizes[0]) for size in sizes)
    names = [candidate.name for candidate in compared]
    as_given = dict(zip(options.what, names, strict=True)) if len(options.what) == len(names) else {}
    against = as_given.get(options.against, options.against or names[0])
    if against not in names:
        raise LightdetError(f"--against {against}: not one of {', '.join(names)}")
    facts: dict[str, Any] = {
        "command": shlex.join(["lightdet", "benchmark", *words]),
        "machine": machine,
        "load": load(),
        "settings": {
            "image_size": sizes[0] if same else None,  # None: they differ
            "batches": options.batch,
            "threads": options.threads,
            "rounds": options.rounds,
            "warm_up": WARM_UP,
            "device": options.device,
            "ways": [*options.backends, DETECT],
            "against": against,
        },
        "rows": [_row(candidate, options.device) for candidate in compared],
    }
    for batch in options.batch:
        _measure(facts, compared, batch, options)
    _show(facts)
    if options.out is not None:
        _keep(facts, options.out)
    return int(
        any(
            "reason" in found
            for row in facts["rows"]
            for backends in row["batches"].values()
            for found in backends.values()
        )
    )


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The settings of a command line."""
    parser = OptionParser(
        "lightdet benchmark",
        description=__doc__,
        epilog="example: lightdet benchmark model=yolov5s,proposed attention=cbam,none image_size=640 --batch 1 16",
    )
    parser.add_argument(
        "what",
        nargs="*",
        help="overrides as for `train -m`, runs, studies, exported files; image_size=N is the input size of all, px "
        "(default: a run's input size, 608 for a preset)",
    )
    parser.add_argument("--config-dir", "-cd", type=Path, help="a folder with further options")
    parser.add_argument("--against", help="the candidate whose time the ratios divide by (default: the first)")
    parser.add_argument(
        "--backends",
        "--ways",
        nargs="+",
        choices=list(BACKENDS),
        default=list(USUAL_BACKENDS),
        metavar="BACKEND",
        help=", ".join(BACKENDS),
    )
    parser.add_argument("--batch", nargs="+", type=int, default=[1], help="images per call (default: 1)")
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="of the CPU (default: those of torch)"
    )
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, help="folder for benchmark.json and benchmark.md")
    parser.add_argument(WORD, action="store_true", help=HELP)
    options = parser.parse_intermixed_args(words)
    for name, values in (("--batch", options.batch), ("--threads", [options.threads]), ("--rounds", [options.rounds])):
        if min(values) < 1:
            raise LightdetError(f"{name} {min(values)}: at least 1")
    return options


def _image_size(words: Sequence[str]) -> tuple[list[str], ImageSize | None]:
    """The words without `image_size=`, and its value in px; None where it is not given."""
    given = [word.partition("=")[2] for word in words if word.startswith("image_size=")]
    if not given:
        return list(words), None
    size = given[-1]
    numbers = [int(side) for side in size.removeprefix("[").removesuffix("]").split(",") if side.strip().isdigit()]
    if len(numbers) != (2 if size.startswith("[") else 1) or size.count(",") != len(numbers) - 1:
        raise LightdetError(f"image_size={size}: one multiple of {COARSEST}, or [height,width]")
    image_size: ImageSize = numbers if size.startswith("[") else numbers[0]
    check_image_size(image_size)
    return [word for word in words if not word.startswith("image_size=")], image_size


def _row(candidate: Candidate, device: str) -> dict[str, Any]:
    size = candidate.image_size
    peak: int | None = None
    if candidate.file is None:
        example = torch.rand(blank_image(candidate.network, size).shape)
        cost = footprint(candidate.network, size) | {"parameters": candidate.parameters}
        peak = peak_bytes(lambda: network_maps(candidate.network, example))
        candidate.model.to(device)
    else:
        macs = int(finite(inside(candidate.file.content, "model", "macs")) or 0)
        cost = {"parameters": candidate.parameters, "macs": macs, "gflops": 2 * macs / 1e9, "image_size": size}
    return {
        "name": candidate.name,
        "network": candidate.key,
        "run": candidate.run,
        "footprint": cost,
        "peak_bytes": peak,
        "batches": {},
    }


def _measure(facts: dict[str, Any], compared: Sequence[Candidate], batch: int, options: argparse.Namespace) -> None:
    """Adds the results for one batch size; a backend that fails has a reason instead of numbers."""
    images: dict[tuple[int, int, int], Tensor] = {}
    for kind in {_input(candidate) for candidate in compared}:
        torch.manual_seed(0)
        images[kind] = patches(batch, kind[:2], kind[2]).to(options.device)
    calls: dict[tuple[str, int], Call] = {}
    for index, candidate in enumerate(compared):
        _report(f"{candidate.name} is prepared ({index + 1} of {len(compared)})")
        results = facts["rows"][index]["batches"].setdefault(str(batch), {})
        if candidate.file is not None:
            if batch > 1 and candidate.file.one_image:
                results[DETECT] = {"reason": "the file takes one image at a time"}
                continue
            image = _image_for(candidate, compared).expand(batch, -1, -1, -1)
            calls[DETECT, index] = _of_file(candidate, image, options.threads)
            results[DETECT] = {"difference": None}
            continue
        for backend in options.backends:
            try:
                prepared = BACKENDS[backend](candidate.network, images[_input(candidate)], options.threads)
            except TRIAL_ERRORS as error:
                text = str(error).strip().splitlines() or [type(error).__name__]
                results[backend] = {"reason": text[0][:160]}
                continue
            calls[backend, index] = prepared.call
            results[backend] = {"difference": prepared.difference}
        if candidate.image is not None and batch == 1:
            prepared = _detect(candidate, options.device)
            calls[DETECT, index] = prepared.call
            results[DETECT] = {"difference": None}
    _fill(facts, interleaved(calls, options.rounds, report=_report), batch)


def _image_for(candidate: Candidate, compared: Sequence[Candidate]) -> Tensor:
    """(1, C, H, W) 0..1: the validation image of a run with the same input, if one is compared; else random patches."""
    kind = _input(candidate)
    images = [each.image for each in compared if each.image is not None and _input(each) == kind]
    torch.manual_seed(0)
    return images[0] if images else patches(1, kind[:2], kind[2])


def _of_file(candidate: Candidate, images: Tensor, threads: int) -> Call:
    """The file from placed images to their detections or probabilities."""
    file = Exported(candidate.run, threads)
    pixels = as_pixels(images.cpu())
    height, width = pixels.shape[1:3]
    if file.contract.photo:
        return lambda: file.answer(pixels[0])
    places = np.tile(np.array([1, 1, 0, 0, width, height], np.float32), (len(pixels), 1))
    return lambda: file.run(pixels, places)


def _input(candidate: Candidate) -> tuple[int, int, int]:
    """Height and width, px, and channels of the candidate's input."""
    return *height_width(candidate.image_size), in_channels(candidate.network)


def _report(words: str) -> None:
    """Progress on stderr: the largest models take minutes, and the numbers come at the end."""
    print(f"lightdet: {words}", file=sys.stderr, flush=True)


def _detect(candidate: Candidate, device: str) -> Prepared:
    assert candidate.image is not None
    image, model = candidate.image.to(device), candidate.model

    def call() -> Any:
        with torch.inference_mode():
            return model.predict(image)

    return Prepared(call)


def _fill(facts: dict[str, Any], times: Mapping[tuple[str, int], Sequence[float]], batch: int) -> None:
    names = [row["name"] for row in facts["rows"]]
    reference = names.index(facts["settings"]["against"])
    for (backend, index), values in times.items():
        found = facts["rows"][index]["batches"][str(batch)][backend]
        found["ms"] = spread(values)
        if (backend, reference) in times:
            found["ratio"] = paired_ratio(values, times[backend, reference])


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
    """Raises LightdetError where the folder holds numbers of another machine."""
    before = read_json(folder / "benchmark.json").get("machine")
    if before is not None and before != machine:
        raise LightdetError(f"{folder}/benchmark.json is of another machine or other versions: take another folder")


def _keep(facts: Mapping[str, Any], folder: Path) -> None:
    """benchmark.json and benchmark.md."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "benchmark.json", dict(facts))
    write_text(folder / "benchmark.md", markdown(facts))
    print(f"written to {folder}")
