"""Bring what a study leaves in its run folders into `experiments/<study>/`: its table, curves and pictures.

    python experiments/collect.py runs/neu_det experiments/neu_det

Everything comes from the files of the runs. In the folder's README.md, the lines between `<!-- table -->` and
`<!-- /table -->` are replaced; the words around them stay.
"""

import argparse
import csv
import io
import re
import shutil
from pathlib import Path

import cv2

from lightdet.report.table import Row, read_rows
from lightdet.run import RunFolder, write_text

PLOTS = ("training.png", "pr_curve.png", "confusion.png")
OVERVIEW_WIDTH = 800  # px
MARKS = re.compile(r"<!-- table -->.*?<!-- /table -->", re.DOTALL)


def columns(row: Row) -> dict[str, str]:
    """One line of the table, percentages with one digit."""

    def percent(value: float | None) -> str:
        return "-" if value is None else f"{100 * value:.1f}"

    results = row.results
    cost = results.get("footprint", {})
    return {
        "model": row.options.get("model", row.name),
        "seed": row.seed,
        "state": row.state,
        "epochs": str(results.get("epochs", "-")),
        "best epoch": str(results["best_epoch"] + 1) if "best_epoch" in results else "-",
        **{name: percent(row.ap50(name)) for name in row.classes()},
        "mAP50": percent(row.metric("map50")),
        "mAP75": percent(row.metric("map75")),
        "mAP50-95": percent(row.metric("map50_95")),
        "parameters": f"{cost['parameters']:,}" if cost else "-",
        "GFLOPs": f"{cost['gflops']:.2f} at {cost['image_size']} px" if cost else "-",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("destination", type=Path)
    options = parser.parse_args()
    rows = read_rows(options.study)
    lines = [columns(row) for row in rows]
    header = list(max(lines, key=len))
    options.destination.mkdir(parents=True, exist_ok=True)

    text = io.StringIO()
    writer = csv.DictWriter(text, header, restval="-", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    write_text(options.destination / "results.csv", text.getvalue())

    table = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    table += ["| " + " | ".join(line.get(name, "-") for name in header) + " |" for line in lines]
    readme = options.destination / "README.md"
    if readme.exists():
        block = "<!-- table -->\n" + "\n".join(table) + "\n<!-- /table -->"
        write_text(readme, MARKS.sub(lambda _: block, readme.read_text()))
    for row in rows:
        copy_pictures(row, RunFolder(options.study / row.run), options.destination)
    print("\n".join(table))


def copy_pictures(row: Row, run: RunFolder, destination: Path) -> None:
    """Plots as they are, the contact sheet of the worst images made smaller; named after the model and the seed."""
    prefix = f"{row.options.get('model', row.name)}-s{row.seed}"
    for name in PLOTS:
        if (run.path / name).exists():
            shutil.copyfile(run.path / name, destination / f"{prefix}-{name}")
    sheet = cv2.imread(str(run.pictures / "overview.png"))
    if sheet is not None:
        height = round(sheet.shape[0] * OVERVIEW_WIDTH / sheet.shape[1])
        small = cv2.resize(sheet, (OVERVIEW_WIDTH, height), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(destination / f"{prefix}-worst.jpg"), small, [cv2.IMWRITE_JPEG_QUALITY, 80])


if __name__ == "__main__":
    main()
