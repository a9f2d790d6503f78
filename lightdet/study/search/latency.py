"""The time of one image through a run's network, as a number that a search can make small.

Measured by a process of its own, `python -m lightdet.study.search.latency RUN_FOLDER ROUNDS THREADS`, so that the
search itself stays small. No torch before that process.
"""

import subprocess
import sys

from lightdet.config.saved import read_config
from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json, write_json
from lightdet.runs.folder import RunFolder

FILE_NAME = "latency.json"


def latency_ms(folder: RunFolder, rounds: int, threads: int) -> float:
    """Median milliseconds of a batch of one at the run's input size, BatchNorm folded, eager PyTorch on the CPU.

    Noted in the run's folder with the machine, and measured once. Raises LightdetError when the measurement fails.
    """
    noted = folder.path / FILE_NAME
    if not noted.exists():
        words = [sys.executable, "-m", __name__, str(folder.path), str(rounds), str(threads)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no word"])[-1]
            raise LightdetError(f"{folder.path}: its latency could not be measured: {last}")
    return float(read_json(noted)["ms"]["median"])


def main(path: str, rounds: int, threads: int) -> None:
    """Measure and write latency.json."""
    import torch

    from lightdet.benchmark.backend import eager
    from lightdet.benchmark.machine import fingerprint, load
    from lightdet.benchmark.measure import interleaved, spread
    from lightdet.engine.load import build_model
    from lightdet.model.folded import folded

    torch.set_num_threads(threads)
    config = read_config(RunFolder(path).config_path)
    model = folded(build_model(config, len(config.classes), fetch=False), config.image_size)
    images = torch.rand(1, 3, config.image_size, config.image_size)
    times = interleaved({"eager": eager(model.network, images, threads).call}, rounds)["eager"]
    settings = {"image_size": config.image_size, "threads": threads, "rounds": rounds, "way": "eager"}
    facts = {"ms": spread(times), "settings": settings, "machine": fingerprint(), "load": load()}
    write_json(RunFolder(path).path / FILE_NAME, facts)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
