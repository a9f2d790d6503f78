"""Kills `lightdet compress` with SIGKILL at five moments, and compares it with an undisturbed one.

python experiments/compress/kill.py FOLDER RUN [--flops 0.5] [settings of lightdet compress ...]

Each time the whole process group dies: the command, its server and the child that trains; then the same command is
given again. The moments: while it starts, in the training of each of the two cuts, while a file is judged, while the
files are timed. Writes kill.json into FOLDER and prints it: what each kill met, and whether all is equal at the end.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent.parent
MOMENTS = (  # a line of the output after which it dies, and seconds after it
    ("looking for what the teacher can teach", 1.0),
    ("1-prune/s0\n  ", 6.0),
    ("2-prune/s0\n  ", 6.0),
    ("is made and judged", 4.0),
    ("files are timed", 0.2),
)
EQUAL = ("name", "told", "precision", "scores", "parameters", "gflops", "bytes", "verdict")


def start(folder: Path, run: str, words: list[str]) -> tuple[subprocess.Popen[bytes], int]:
    """The chain in a separate process group, and where its output begins in the log."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "lightdet.cli", "compress", run, "--out", str(folder / "chain"), *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "WANDB_MODE": "offline"}
    with open(folder / "log.txt", "ab") as log:
        begins = log.tell()
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True), begins


def finished(folder: Path) -> dict[str, int]:
    """What is done, with the time of its last change: results of runs, and verdicts of files."""
    done = {}
    for path in sorted((folder / "chain").rglob("*")):
        if path.name == "results.json" and json.loads((path.parent / "status.json").read_text())["state"] != "done":
            continue
        if path.name == "results.json" or path.name.endswith(".verdict.json"):
            done[str(path.relative_to(folder))] = path.stat().st_mtime_ns
    return done


def outcome(folder: Path) -> dict[str, Any]:
    """Scores and weights of every run, and the rows of the table without their times."""
    found: dict[str, Any] = {}
    for path in sorted((folder / "chain").glob("*/s*/results.json")):
        weights = torch.load(path.parent / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        numbers = json.loads(path.read_text())
        digest = {name: value.double().sum().item() for name, value in weights.items()}
        epochs = (path.parent / "metrics.csv").read_text()
        found[str(path.parent.relative_to(folder))] = [numbers["metrics"], numbers["footprint"], digest, epochs]
    rows = json.loads((folder / "chain" / "chain.json").read_text())["rows"]
    return {**found, "rows": [{name: row[name] for name in EQUAL} for row in rows]}


def main() -> int:
    """0 when the killed chain ends complete, with equal numbers, and nothing that was done was done again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("run")
    options, words = parser.parse_known_args()
    calm, killed = options.folder / "undisturbed", options.folder / "killed"
    if not (calm / "chain" / "chain.json").exists():
        process, _ = start(calm, options.run, words)
        assert process.wait() == 0, f"see {calm}/log.txt"
    kills = []
    for line, further in MOMENTS:
        before = finished(killed)
        process, begins = start(killed, options.run, words)
        while process.poll() is None and line.encode() not in (killed / "log.txt").read_bytes()[begins:]:
            time.sleep(0.05)
        time.sleep(further)
        alive = process.poll() is None
        if alive:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        after = finished(killed)
        again = [name for name, changed in before.items() if after.get(name) != changed]
        kills.append({"at": line.strip(), "alive": alive, "done": len(after), "done_again": again})
        print(f"kill {len(kills)}: {kills[-1]}", flush=True)
    before = finished(killed)
    process, _ = start(killed, options.run, words)
    code, after = process.wait(), finished(killed)
    verdict = {
        "kills": sum(kill["alive"] for kill in kills),
        "exit_code": code,
        "equal": outcome(killed) == outcome(calm),
        "done_again": [name for kill in kills for name in kill["done_again"]]
        + [name for name, changed in before.items() if after.get(name) != changed],
    }
    (options.folder / "kill.json").write_text(json.dumps({**verdict, "each": kills}, indent=1) + "\n")
    print(json.dumps(verdict, indent=1))
    good = verdict["kills"] == len(MOMENTS) and code == 0 and verdict["equal"] and not verdict["done_again"]
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
