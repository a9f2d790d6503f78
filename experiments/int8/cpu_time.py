"""CPU time of exported files on one thread, in turns: python experiments/int8/cpu_time.py ROUNDS IMAGE FILE ...

Time of the processor and not of the clock, so that other work on the machine disturbs little. The first file is the
reference of the ratios, which are taken within each round.
"""

import sys
import time
from pathlib import Path

import numpy as np

from lightdet.data.image import read_image
from lightdet.runtime.session import Exported, placing


def main(rounds: int, image: str, files: list[str]) -> None:
    pixels = read_image(Path(image), None)
    runs = {}
    for name in files:
        file = Exported(name, threads=1)
        placed, letterbox = file.place(pixels)
        runs[name] = (file, placed[None], placing(letterbox)[None])
    times: dict[str, list[float]] = {name: [] for name in files}
    order = list(files)
    for _ in range(rounds + 5):
        for name in order:
            file, placed, place = runs[name]
            began = time.process_time()
            file.run(placed, place)
            times[name].append(1e3 * (time.process_time() - began))
        order = order[1:] + order[:1]
    reference = np.array(times[files[0]][5:])
    print("| file | CPU ms, median | ratio, median (quartiles) |\n|---|---|---|")
    for name in files:
        found = np.array(times[name][5:])
        low, middle, high = np.percentile(found / reference, (25, 50, 75))
        print(f"| {name} | {np.median(found):.2f} | {middle:.2f} ({low:.2f} to {high:.2f}) |")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
