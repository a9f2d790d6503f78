"""How long `lightdet report` and `read_jobs` take on a study of many finished runs, made up and thrown away.

    python experiments/bench_report.py --runs 1000

Three seeds a row, 180 validation images of 200 px, six classes, 60 epochs, four small pictures a run. Processor seconds
are printed beside those of the clock: a busy machine stretches only the latter.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a bare clone works too
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from bench.publish import command, publish
from study_factory import add_job, boxes

from lightdet.report.build import report_study
from lightdet.report.settings import Settings
from lightdet.runs.jobs import read_jobs

CLASSES = tuple("abcdef")
IMAGES = 180


def make_study(study: Path, runs: int) -> None:
    """The folder that a sweep of so many jobs leaves."""
    splits = {"train": [f"train/{k}.png" for k in range(1260)], "val": [f"val/{k}.png" for k in range(IMAGES)]}
    skills = [boxes(0.3 + 0.02 * k, k, images=IMAGES, num_classes=len(CLASSES)) for k in range(24)]
    synchronise = os.fsync
    os.fsync = lambda file: None  # a made-up study needs no safety
    try:
        for k in range(runs):
            add_job(
                study,
                {"attention": f"a{k // 3}"},
                seed=k % 3,
                made=skills[k % len(skills)],
                classes=CLASSES,
                epochs=60,
                asked=60,
                splits=splits,
                pictures=4,
            )
    finally:
        os.fsync = synchronise


def timed(name: str, work: Callable[[], object]) -> str:
    """A line of the table."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return f"| {name} | {time.perf_counter() - clock:.1f} | {time.process_time() - processor:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", action="store_true", help="write the table into experiments/bench/README.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "study"
        make_study(study, options.runs)
        lines = [
            timed("`read_jobs`", lambda: read_jobs(study)),
            timed("`lightdet report --sizes none`", lambda: report_study(study, study / "report", Settings(sizes=()))),
        ]
        table = (study / "report" / "table5_seeds_map50_95.csv").read_text(encoding="utf-8")
    text = "\n".join(
        [
            "## A report of many runs",
            "",
            f"`{command()}`: {options.runs} finished runs; the budget of 20 s of processor time left "
            f"{table.count('spent')} of {(options.runs + 2) // 3} rows without an interval.",
            "",
            "| work | seconds | processor seconds |",
            "|---|---:|---:|",
            *lines,
        ]
    )
    publish("bench_report", text, {"lines": lines}, options.json, options.keep)


if __name__ == "__main__":
    main()
