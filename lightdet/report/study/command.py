"""`lightdet report`: its words on the command line. No torch here."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lightdet.report.study.build import Settings, report_study
from lightdet.report.study.cost import SIZES


def run(words: Sequence[str]) -> int:
    """Write the report and say where; exit code 0, or 1 when files of the study could not be read."""
    options = parse(words)
    written = report_study(options.study, options.out or options.study / "report", settings(options))
    print(f"{written.summary}\n\n{written.table}\n")
    print(f"written to {written.page}, with report.md, tables as CSV and figures beside it")
    for line in written.troubles:
        print(f"lightdet: {line}", file=sys.stderr)
    return 1 if written.troubles else 0


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Exits with 2 for words that it does not know, as argparse does."""
    parser = argparse.ArgumentParser(
        "lightdet report",
        description="Tables, figures and one HTML page of a study, from the files of its runs alone.",
        epilog="paper.yaml in the study's folder or beside the report, or --paper FILE, adds published "
        "numbers in columns of their own: "
        "rows: {model=proposed: {source: where it is printed, mAP50: 98.5}}. benchmark.json in the study's "
        "folder, as `lightdet benchmark STUDY --out STUDY` writes it, adds latency.",
    )
    parser.add_argument("study", type=Path, help="folder of a study, runs/<study>")
    parser.add_argument("--out", type=Path, help="where the report goes (default: STUDY/report)")
    add_settings(parser)
    return parser.parse_args(words)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """What a person may choose of a report, whoever makes one."""
    parser.add_argument(
        "--baseline",
        metavar="CHOICES",
        help='row of the differences: its number, or "key=value ..." (default: first row)',
    )
    parser.add_argument("--resamples", type=at_least_100, default=1000, help="of the bootstrap (default: 1000)")
    parser.add_argument(
        "--seconds",
        type=float,
        default=20.0,
        help="processor time for counting operations and comparing rows (default: 20)",
    )
    parser.add_argument(
        "--sizes",
        type=input_sizes,
        default=SIZES,
        metavar="PX,PX",
        help="input sizes at which operations are counted too; none needs no torch (default: 608,640)",
    )
    parser.add_argument(
        "--inline-megabytes",
        type=float,
        default=20.0,
        help="of pictures inside the page; others are linked (default: 20)",
    )
    parser.add_argument("--paper", type=Path, help="published numbers (default: paper.yaml in STUDY or OUT)")


def settings(options: argparse.Namespace) -> Settings:
    """What `add_settings` has read."""
    return Settings(
        options.baseline, options.resamples, options.seconds, options.sizes, options.inline_megabytes, options.paper
    )


def input_sizes(text: str) -> tuple[int, ...]:
    """`608,640` or `none`, for argparse."""
    if text == "none":
        return ()
    sizes = tuple(int(part) for part in text.split(","))
    if any(size < 32 or size % 32 for size in sizes):
        raise argparse.ArgumentTypeError(f"{text}: input sizes are multiples of 32")
    return sizes


def at_least_100(text: str) -> int:
    """For argparse: a 95 % interval of fewer resamples is none."""
    number = int(text)
    if number < 100:
        raise argparse.ArgumentTypeError(f"{text}: at least 100 resamples")
    return number
