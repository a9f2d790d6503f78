"""Images per second from files to JSON, on two threads: exported files, `lightdet predict` of today and of an earlier
commit, and a rival that is run by its own tool. One process each, in turns, a round after the other.

python experiments/line/bench.py RUN --file placed.onnx photo.onnx --before CLONE
    --rival-python RIVAL/bin/python --rival yolo26n.onnx yolo26n_openvino_model

Every candidate decodes, places, runs the network on one image at a time, selects boxes and writes JSON; none draws.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # a bare clone works too

import cv2
import numpy as np

from experiments.rivals.environment import rival_environment
from lightdet.benchmark.machine import load, machine_facts

HERE = Path(__file__).resolve().parent
CLONE = HERE.parents[1]
SMALL, LARGE = "200 px", "2000 px"


class Worker:
    """A process that predicts on all images of a folder at each call."""

    def __init__(self, name: str, words: Sequence[str], environment: dict[str, str]) -> None:
        self.name = name
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "2")
        self._process = subprocess.Popen(
            list(words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment | limits | {"OMP_WAIT_POLICY": "PASSIVE"},
        )
        self.seconds: dict[str, list[float]] = {}
        self.boxes: dict[str, int] = {}

    def __call__(self, size: str, folder: Path) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{folder}\n")
        self._process.stdin.flush()
        told = json.loads(self._process.stdout.readline())
        self.seconds.setdefault(size, []).append(told["seconds"] / told["images"])
        self.boxes[size] = told["boxes"]

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def main() -> None:
    options = arguments()
    ours = dict(os.environ)
    with tempfile.TemporaryDirectory() as name:
        folders = images(options.images, Path(name), options.small, options.large)
        worker = [sys.executable, str(HERE / "worker.py")]
        workers = [Worker("predict RUN", [*worker, str(CLONE), "predict", str(options.run)], ours)]
        for number, file in enumerate(map(str, options.file)):
            short = Path(file).name
            if number == 0:
                workers.append(Worker(f"predict {short}", [*worker, str(CLONE), "predict", file], ours))
            workers.append(Worker(f"runtime {short}", [*worker, str(CLONE), "runtime", file], ours))
        if options.before:
            workers.append(Worker("before", [*worker, str(options.before), "before", str(options.run)], ours))
        if options.rival_python:
            theirs = rival_environment(Path(name))
            for file in map(str, options.rival):
                words = [str(options.rival_python), str(HERE / "rival_worker.py"), file, str(options.image_size)]
                workers.append(Worker(f"rival {Path(file).name}", words, theirs))
        start = load()
        for number in range(options.rounds + 1):
            for each in workers:
                for size, folder in folders.items():
                    each(size, folder)
            if number == 0:  # warms up
                for each in workers:
                    each.seconds.clear()
            print(f"round {number} of {options.rounds}", file=sys.stderr, flush=True)
        report(workers, list(folders), start)
        for each in workers:
            each.close()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--file", type=Path, nargs="+", default=[])
    parser.add_argument("--before", type=Path, help="a clone of the earlier commit")
    parser.add_argument("--rival-python", type=Path)
    parser.add_argument("--rival", type=Path, nargs="+", default=[])
    parser.add_argument("--images", type=Path, required=True, help="folder of small JPEGs, such as NEU-DET's IMAGES")
    parser.add_argument("--image-size", type=int, default=224, help="of the rival's input, px")
    parser.add_argument("--small", type=int, default=60)
    parser.add_argument("--large", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    return parser.parse_args()


def images(source: Path, folder: Path, small: int, large: int) -> dict[str, Path]:
    """Two folders: JPEGs as they are, and JPEGs of 2000 x 2000 px that are made of them."""
    paths = sorted(source.glob("*.jpg"))
    chosen = [paths[at] for at in np.linspace(0, len(paths) - 1, small).astype(int)]
    folders = {SMALL: folder / "small", LARGE: folder / "large"}
    for each in folders.values():
        each.mkdir()
    for path in chosen:
        (folders[SMALL] / path.name).write_bytes(path.read_bytes())
    generator = np.random.default_rng(0)
    for number in range(large):
        parts = [cv2.imread(str(paths[at])) for at in generator.integers(0, len(paths), 100)]
        board = np.concatenate([np.concatenate(parts[at : at + 10], 1) for at in range(0, 100, 10)])
        cv2.imwrite(str(folders[LARGE] / f"{number}.jpg"), board, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return folders


def report(workers: Sequence[Worker], sizes: Sequence[str], start: str) -> None:
    """Prints images per second and, of each round, the ratio to every rival and to the earlier commit."""
    print(f"machine: {machine_facts()}; load at the start {start}, at the end {load()}")
    for size in sizes:
        print(f"\n{size}")
        for each in workers:
            rates = sorted(1 / seconds for seconds in each.seconds[size])
            print(
                f"{each.name}: {median(rates):.1f} images/s [{rates[0]:.1f}, {rates[-1]:.1f}], {each.boxes[size]} boxes"
            )
        for other in workers:
            if other.name.startswith(("rival", "before")):
                for each in workers:
                    if not each.name.startswith(("rival", "before")):
                        pairs = zip(each.seconds[size], other.seconds[size], strict=True)
                        ratios = sorted(their / our for our, their in pairs)
                        spread = f"[{ratios[0]:.2f}, {ratios[-1]:.2f}]"
                        print(f"  {each.name} / {other.name}: {median(ratios):.2f} {spread}")


if __name__ == "__main__":
    main()
