"""The numbers of one evaluation of a classifier of several classes as a few lines of text."""

from typing import Any

from lightdet.core.table import to_text

COLUMNS = ("ap", "precision", "recall", "f1", "truths", "best_threshold", "best_f1")
HEADERS = ("AP", "precision", "recall", "F1", "images", "best threshold", "F1 there")


def multi_label_text(report: dict[str, Any]) -> str:
    """A table with a row per class, and the scores of all images. Takes the full report of `MultiLabelMetric`; a number
    that does not exist is a dash."""
    rows = [
        [name, *(_cell(numbers.get(column)) for column in COLUMNS)] for name, numbers in report["per_class"].items()
    ]
    whole = {
        "mAP": report["map"],
        "AUROC": report["auroc"],
        "exact match": report["exact_match"],
        "Hamming loss": report["hamming_loss"],
    }
    lines = [
        to_text(["class", *HEADERS], rows, [False] + [True] * len(HEADERS)),
        f"{report['images']} images: {', '.join(f'{name} {_cell(value)}' for name, value in whole.items())}",
    ]
    if "operating_point" in report:
        point = report["operating_point"]
        lines.append(
            f"F1 where yes is {point['threshold']:.3g} or more: macro {_cell(report['macro_f1'])}, micro "
            f"{_cell(report['micro_f1'])}; with the best threshold of each class, which these images chose: macro "
            f"{_cell(point['macro_f1_at_best_thresholds'])}"
        )
        if point["good_images"]:
            lines.append(
                f"{point['escaped_images']} of {point['defective_images']} images with a class get no yes, "
                f"{point['rejected_images']} of {point['good_images']} without one get one"
            )
    if "calibration" in report:
        fitted = report["calibration"]
        after = _cell(fitted["ece_with_temperature_of_other_half"])
        lines.append(
            f"calibration error {_cell(report['ece'])} of the answers; {after} with a temperature that was fitted on "
            f"the other half of the images (on all of them it is {fitted['temperature']:.2f})"
        )
    return "\n".join(lines)


def _cell(value: float | int | None) -> str:
    return "-" if value is None else str(value) if isinstance(value, int) else f"{value:.3f}"
