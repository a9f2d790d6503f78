"""What a study costs: seconds from the start of a command to the first finished step, with `-m` and without, in turns.

python experiments/bench_study.py [--rounds 5]

Prints both medians and the median of the differences within a round; each training is ended at its first step.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SMALL = (
    *("data.reader.train_images=64", "data.reader.val_images=12"),
    *("image_size=96", "data.batch_size=4", "logger=none"),
)
LOOK = 0.01  # seconds


def seconds_to_first_step(words: list[str], runs: Path) -> float:
    """From the start of the process until status.json reports a step."""
    began = time.monotonic()
    command = [sys.executable, str(ROOT / "train.py"), *words, *SMALL, f"runs_dir={runs}"]
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env=environment, start_new_session=True)
    try:
        while True:
            assert process.poll() is None, f"{' '.join(command)} ended early"
            for path in runs.glob("*/*/s0/status.json"):
                status = json.loads(path.read_text())
                if status.get("step"):
                    return time.monotonic() - began
            time.sleep(LOOK)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def main() -> None:
    """Alone and in a study, turn about."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    times: dict[str, list[float]] = {"alone": [], "in a study": []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds + 1):
            for name, words in (("alone", []), ("in a study", ["-m", "study=s"])):
                runs = Path(folder) / name.replace(" ", "_") / str(number)
                taken = seconds_to_first_step(words, runs)
                if number:  # the first round draws the data and fills the caches
                    times[name].append(taken)
    for name, taken in times.items():
        print(f"{name}: {statistics.median(taken):.2f} s")
    differences = [study - alone for alone, study in zip(times["alone"], times["in a study"], strict=True)]
    print(f"a study adds {statistics.median(differences):.2f} s ({min(differences):.2f} to {max(differences):.2f})")


if __name__ == "__main__":
    main()
