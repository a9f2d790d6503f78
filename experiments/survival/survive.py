"""Kills a sweep of twelve short trainings with SIGKILL at random moments, and compares it with an undisturbed one.

python experiments/survival/survive.py FOLDER [--kills 20] [--seed 0] [launcher=parallel ...]

Each time the whole process group dies: the command, its server and every child alike; then the same command is given
again. Writes survival.json into FOLDER and prints it: what each kill met, and whether the results are equal at the end.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent.parent
SWEEP = (
    "attention=cbam,none",
    "seed=0,1,2,3,4,5",
    "data.reader.train_images=32",
    "data.reader.val_images=12",
    "data.reader.size=96",
    "image_size=96",
    "width=0.125",
    "data.batch_size=4",
    "trainer.max_epochs=3",
    "trainer.checkpoint_seconds=0.2",
    "trainer.precision=32-true",
    "trainer.channels_last=true",
    "study=twelve",
)


def start(folder: Path, words: list[str]) -> subprocess.Popen[bytes]:
    """The sweep, in a separate process group."""
    command = [sys.executable, str(ROOT / "train.py"), "-m", *SWEEP, f"runs_dir={folder / 'runs'}", *words]
    environment = {**os.environ, "WANDB_MODE": "offline", "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    with open(folder / "log.txt", "ab") as log:
        return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=environment, start_new_session=True)


def progress(folder: Path) -> dict[str, tuple[str, int]]:
    """State and steps in the last checkpoint (-1: none) of every run; a file that cannot be read is an error."""
    found = {}
    for path in sorted((folder / "runs" / "twelve").glob("*/s*/status.json")):
        state, last = json.loads(path.read_text())["state"], path.parent / "checkpoints" / "last.ckpt"
        steps = int(torch.load(last, weights_only=True)["global_step"]) if last.exists() else -1
        found[f"{path.parent.parent.name}/{path.parent.name}"] = (state, steps)
    return found


def steps(folder: Path) -> int:
    """Optimizer steps that all runs together have reported."""
    statuses = [json.loads(path.read_text()) for path in (folder / "runs" / "twelve").glob("*/s*/status.json")]
    return sum(status.get("step", 0) for status in statuses)


def outcome(folder: Path) -> dict[str, Any]:
    """Metrics, per-epoch numbers and weights of every run that is done."""
    results = {}
    for path in sorted((folder / "runs" / "twelve").glob("*/s*/results.json")):
        weights = torch.load(path.parent / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        digest = {name: value.double().sum().item() for name, value in weights.items()}
        numbers = json.loads(path.read_text())
        name = f"{path.parent.parent.name}/{path.parent.name}"
        metrics = {"metrics": numbers["metrics"], "best_epoch": numbers["best_epoch"], "weights": digest}
        results[name] = {**metrics, "epochs": (path.parent / "metrics.csv").read_text()}
    return results


def main() -> int:
    """0 when all twelve results equal the undisturbed ones and nothing was begun again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("override", nargs="*")
    options = parser.parse_args()
    calm, killed = options.folder / "undisturbed", options.folder / "killed"
    for folder in (calm, killed):
        folder.mkdir(parents=True, exist_ok=True)
    assert start(calm, options.override).wait() == 0, f"see {calm}/log.txt"
    moments, kills, before = random.Random(options.seed), [], {}
    while len(kills) < options.kills:
        process = start(killed, options.override)
        # one in four dies while it starts, the others after some further steps, whichever run makes them
        further = moments.randint(1, 14) if moments.random() < 0.75 else 0
        wanted = steps(killed) + further
        while further and steps(killed) < wanted and process.poll() is None:
            time.sleep(0.05)
        time.sleep(moments.uniform(0.0, 2.0 if further else 10.0))
        if process.poll() is not None:
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        after = progress(killed)
        backwards = [name for name, (state, steps) in before.items() if after[name][1] < steps or
                     (state == "done" and after[name][0] != "done")]  # fmt: skip
        kills.append({"states": sorted(state for state, _ in after.values()), "begun_again": backwards})
        print(f"kill {len(kills)}: {kills[-1]}", flush=True)
        before = after
    code = start(killed, options.override).wait()
    expected, found = outcome(calm), outcome(killed)
    verdict = {
        "kills": len(kills),
        "exit_code": code,
        "runs": len(found),
        "equal": found == expected,
        "begun_again": sum(len(kill["begun_again"]) for kill in kills),
    }
    (options.folder / "survival.json").write_text(json.dumps({**verdict, "each": kills}, indent=1) + "\n")
    print(json.dumps(verdict, indent=1))
    good = code == 0 and len(found) == 12 and verdict["equal"] and not verdict["begun_again"]
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
