"""`lightdet report`: its options. No torch here."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lightdet.core.options import OptionParser
from lightdet.core.shown import shown, shown_lines
from lightdet.report.settings import add_settings, settings
from lightdet.runs.find import find_study


def run(words: Sequence[str]) -> int:
    """Writes the report and prints its path. Returns 0, or 1 when files of the study cannot be read."""
    options = parse(words)
    study = options.study if options.study.exists() else find_study(options.study)
    from lightdet.report.build import report_study

    unexplained = explained_first(study, options.trust_modules) if options.explain else []
    written = report_study(study, options.out or study / "report", settings(options))
    print(f"{written.summary}\n\n{shown_lines(written.table)}\n")
    print(f"written to {written.page}, with report.md, tables as CSV and figures beside it")
    troubles = [*unexplained, *written.troubles]
    for line in troubles:
        print(f"lightdet: {shown(line)}", file=sys.stderr)
    return 1 if troubles else 0


def explained_first(study: Path, trust_modules: bool) -> list[str]:
    """Explains rows that are not explained yet; returns a line for each run that cannot be."""
    from lightdet.report.explained import explain_missing
    from lightdet.report.rows import read_study

    return explain_missing(read_study(study), trust_modules)


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Raises LightdetError for words that are wrong."""
    parser = OptionParser(
        "lightdet report",
        description="Tables, figures and one HTML page of a study, from the files of its runs alone.",
        epilog="paper.yaml in the study's folder or beside the report, or --paper FILE, adds published "
        "numbers in separate columns: "
        "rows: {model=proposed: {source: where they are printed, mAP50: 98.5}}. benchmark.json in the study's "
        "folder, as `lightdet benchmark STUDY --out STUDY` writes it, adds latency.",
    )
    parser.add_argument("study", type=Path, help="folder or name of a study")
    parser.add_argument("--out", type=Path, help="where the report goes (default: STUDY/report)")
    parser.add_argument(
        "--explain",
        action="store_true",
        help="first draw heat maps for the worst images of rows that have none; needs torch and the data",
    )
    add_settings(parser)
    return parser.parse_args(words)
