"""The settings of a report, in code and on the command line. Quick to import."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lightdet.config.trust import WORD

SIZES = (608, 640)  # px


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a report."""

    baseline: str | None = None  # a row's number or choices; None: the first row
    resamples: int = 1000
    seconds: float = 20.0  # of processor time: half for counting operations, and what that leaves for comparisons
    sizes: Sequence[int] = SIZES  # px, inputs to count operations at beside the runs' own
    megabytes: float = 20.0  # of pictures inside the page
    trust_modules: bool = False  # whether code outside lightdet may run to count operations
    paper: Path | None = None  # None: paper.yaml of the study or beside the report, if any


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Adds the options of a report to a command line."""
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
    parser.add_argument(
        WORD,
        action="store_true",
        help="count operations of detectors with modules outside lightdet too, which runs their code",
    )
    parser.add_argument("--paper", type=Path, help="published numbers (default: paper.yaml in STUDY or OUT)")


def settings(options: argparse.Namespace) -> Settings:
    """The settings from options that `add_settings` added."""
    return Settings(
        options.baseline,
        options.resamples,
        options.seconds,
        options.sizes,
        options.inline_megabytes,
        options.trust_modules,
        options.paper,
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
