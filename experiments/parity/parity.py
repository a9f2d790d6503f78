"""An exported file against `lightdet predict` on hundreds of images: as they are, of odd sizes, grey, of 16 bits.

python experiments/parity/parity.py RUN FILE.onnx [--python BARE/bin/python] [--as-they-are 150 --odd 100]

With --python, a file is run by `python -m lightdet.runtime` of that interpreter, whose environment may be as small as
numpy, Pillow and onnxruntime; without, by this process.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # a bare clone works too

import numpy as np
import torch

from lightdet.data.record import Record
from lightdet.engine.load import load_run
from lightdet.engine.predictor import Predictor, load_predictor
from lightdet.engine.run_data import data_of
from lightdet.export.budget import Budget
from lightdet.export.odd_images import odd_images
from lightdet.export.parity import Distance
from lightdet.runtime import load

CLONE = Path(__file__).resolve().parents[2]
KINDS = ("odd, 8 bits", "odd, grey", "odd, JPEG", "odd, 16 bits")  # in turns, as `odd_images` makes them


def main() -> None:
    options = arguments()
    torch.set_num_threads(1)
    predictor, file = load_predictor(options.run), load(options.file, 1)
    loaded = load_run(options.run)
    records = _spread(data_of(loaded.config, loaded.classes).records, options.as_they_are)
    with tempfile.TemporaryDirectory() as folder:
        images = {str(record.path): "as they are" for record in records}
        odd = _varied(records, options.odd)
        images |= {str(path): KINDS[at % 4] for at, path in enumerate(odd_images(odd, Path(folder), options.odd))}
        print(
            f"{options.file}: {len(images)} images, {', '.join(f'{least:.3g}' for least in file.contract.thresholds)}"
        )
        answers = (
            _elsewhere(options, list(images))
            if options.python
            else (each for path in images for each in [file(path)[0].to_dict()])
        )
        report(predictor, images, answers, file.contract.thresholds)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--python", type=Path, help="interpreter of another environment")
    parser.add_argument("--as-they-are", type=int, default=150)
    parser.add_argument("--odd", type=int, default=100)
    return parser.parse_args()


def report(predictor: Predictor, images: dict[str, str], answers: Iterator[dict], thresholds: Sequence[float]) -> None:
    """Prints the distances of each kind of image and of all."""
    kinds = {kind: Distance(thresholds, Budget(near=0.0)) for kind in dict.fromkeys([*images.values(), "all"])}
    for (path, kind), found in zip(images.items(), answers, strict=True):
        assert found["file"] == path, found["file"]
        expected = predictor(path)[0].to_dict()
        for name in (kind, "all"):
            kinds[name].add(path, expected, found)
    for kind, distance in kinds.items():
        print(f"{kind}: {distance.text()}{'' if distance.passed else f' MISSED, first in {distance.worst}'}")


def _spread(splits: dict[str, list[Record]], count: int) -> list[Record]:
    """Images from all over the splits, as many of each."""
    chosen = []
    for records in splits.values():
        places = np.linspace(0, len(records) - 1, min(len(records), count // len(splits))).astype(int)
        chosen += [records[place] for place in places]
    return chosen


def _varied(records: Sequence[Record], count: int) -> list[Record]:
    """In an order of chance, so that each kind has images of all classes."""
    order = np.random.default_rng(0).permutation(len(records))
    return [records[order[at % len(order)]] for at in range(count)]


def _elsewhere(options: argparse.Namespace, images: Sequence[str]) -> Iterator[dict]:
    """What `python -m lightdet.runtime` of the other interpreter prints; from this clone unless it has a lightdet."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    has = subprocess.run([options.python, "-c", "import lightdet"], cwd="/", env=environment, capture_output=True)
    if has.returncode:
        environment["PYTHONPATH"] = str(CLONE)
    words = [str(options.python), "-m", "lightdet.runtime", str(options.file.resolve()), "--threads", "1", *images]
    told = subprocess.run(words, cwd="/", env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return iter(map(json.loads, told.stdout.splitlines()))


if __name__ == "__main__":
    main()
