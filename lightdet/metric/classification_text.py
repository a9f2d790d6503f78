"""The numbers of one evaluation of a classifier as a few lines of text."""

from typing import Any

from lightdet.core.shown import counted
from lightdet.core.table import to_text

COLUMNS = ("precision", "recall", "f1", "truths")
HEADERS = ("precision", "recall", "F1", "images")


def classification_text(report: dict[str, Any]) -> str:
    """A table with a row per class, and the scores of all images. Takes the full report of `ClassificationMetric`; a
    number that does not exist is a dash."""
    rows = [
        [name, *(_cell(numbers.get(column)) for column in COLUMNS)] for name, numbers in report["per_class"].items()
    ]
    whole = {
        "accuracy": report["accuracy"],
        "balanced": report["balanced_accuracy"],
        "G-mean": report["g_mean"],
        "AUROC": report["auroc"],
        "expected cost": report["expected_cost"],
    }
    lines = [
        to_text(["class", *HEADERS], rows, [False] + [True] * len(HEADERS)),
        f"{counted(report['images'], 'image')}: {', '.join(f'{name} {_cell(value)}' for name, value in whole.items())}",
    ]
    if "expected_cost_of_most_probable" in report:
        plain = _cell(report["expected_cost_of_most_probable"])
        lines.append(f"decided by the least expected cost; the most probable class would cost {plain}")
    if "calibration" in report:
        fitted = report["calibration"]
        after = _cell(fitted["ece_with_temperature_of_other_half"])
        lines.append(
            f"calibration error {_cell(report['ece'])}; {after} with a temperature that was fitted on the other half "
            f"of the images (on all of them it is {fitted['temperature']:.2f})"
        )
    if "inspection" in report:
        counts = report["inspection"]
        lines.append(
            f"{counts['escaped_images']} of {counts['defective_images']} defective images pass as good, "
            f"{counts['rejected_images']} of {counts['good_images']} good ones are rejected"
        )
    return "\n".join(lines)


def _cell(value: float | int | None) -> str:
    return "-" if value is None else str(value) if isinstance(value, int) else f"{value:.3f}"
