"""GPUs and memory of this machine. No torch here: a parent process that only waits stays small."""

import functools
import os
import shutil
import subprocess

from lightdet.core.cores import cores

GIGABYTES_PER_WORKER = 4  # of memory: a training with its images, its libraries and its pictures


@functools.cache
def gpus() -> tuple[str, ...]:
    """Names of the NVIDIA GPUs, as CUDA_VISIBLE_DEVICES leaves them or as `nvidia-smi -L` lists them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return tuple(part.strip() for part in named.split(",") if part.strip() not in ("", "-1"))
    if shutil.which("nvidia-smi") is None:
        return ()
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=False)
    return tuple(str(index) for index in range(listed.stdout.count("GPU ")))


def workers_that_fit(runs: int, per_gpu: int) -> int:
    """Number of trainings side by side: `per_gpu` on each GPU, or one per core as far as memory allows."""
    if gpus():
        return min(runs, len(gpus()) * per_gpu)
    return max(1, min(runs, cores(), int(free_gigabytes() // GIGABYTES_PER_WORKER)))


def free_gigabytes() -> float:
    """Memory available to new processes; a generous guess where the system does not report it."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            kilobytes = next(int(line.split()[1]) for line in file if line.startswith("MemAvailable"))
        return kilobytes / 2**20
    except (OSError, StopIteration, ValueError):
        return float(GIGABYTES_PER_WORKER * cores())
