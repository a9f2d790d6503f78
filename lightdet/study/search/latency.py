"""Latency of a run's network for one image, as an objective of a search.

Measured in a separate process, `python -m lightdet.study.search.latency RUN_FOLDER ROUNDS THREADS`, so that the search
itself imports no torch.
"""

import subprocess
import sys

from lightdet.config.saved import read_config
from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json, write_json
from lightdet.ops.grid import plain_size
from lightdet.runs.folder import RunFolder
from lightdet.runs.jobs import finite, inside

FILE_NAME = "latency.json"


def latency_ms(folder: RunFolder, rounds: int, threads: int) -> float:
    """Median milliseconds of a batch of one at the run's input size, BatchNorm folded, eager PyTorch on the CPU.

    Measured once and stored in the run's folder together with the machine. Raises LightdetError when it fails.
    """
    measured = folder.path / FILE_NAME
    if not measured.exists():
        words = [sys.executable, "-P", "-m", __name__, str(folder.path), str(rounds), str(threads)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise LightdetError(f"{folder.path}: measuring its latency failed: {last}")
    median = finite(inside(read_json(measured), "ms", "median"))
    if median is None:
        raise LightdetError(f"{measured}: no measured latency in it; delete it, and it is measured again")
    return median


def main(path: str, rounds: int, threads: int) -> None:
    """Measures and writes latency.json."""
    import torch

    from lightdet.benchmark.machine import load, machine_facts
    from lightdet.core.timing import interleaved, spread
    from lightdet.engine.load import build_model
    from lightdet.model.folded import folded
    from lightdet.nn.backend import eager
    from lightdet.nn.inputs import blank_image

    torch.set_num_threads(threads)
    config = read_config(RunFolder(path).config_path, sections=("model",))
    model = folded(build_model(config, len(config.classes), fetch=False), config.image_size)
    images = torch.rand(blank_image(model.network, config.image_size).shape)
    times = interleaved({"eager": eager(model.network, images, threads).call}, rounds)["eager"]
    settings = {"image_size": plain_size(config.image_size), "threads": threads, "rounds": rounds, "way": "eager"}
    facts = {"ms": spread(times), "settings": settings, "machine": machine_facts(), "load": load()}
    write_json(RunFolder(path).path / FILE_NAME, facts)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
