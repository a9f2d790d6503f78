"""The numbers of one evaluation as a few lines of text."""

from typing import Any

from lightdet.core.table import to_text

COLUMNS = ("ap50", "ap50_95", "precision", "recall", "f1", "truths")
HEADERS = ("AP50", "AP50-95", "precision", "recall", "F1", "boxes")


def metrics_text(report: dict[str, Any]) -> str:
    """A table with a row per class and one for the mean, and the images that a threshold misses and rejects.

    Takes the full report of `DetectionMetric.compute`; a number that does not exist is a dash.
    """
    per_class: dict[str, dict[str, Any]] = report["per_class"]
    point: dict[str, Any] = report["operating_point"]
    rows = [[name, *(_cell(numbers[column]) for column in COLUMNS)] for name, numbers in per_class.items()]
    means = (report["map50"], report["map50_95"], point["precision"], point["recall"], point["f1"])
    boxes = sum(numbers["truths"] for numbers in per_class.values())
    rows.append(["all", *(_cell(number) for number in means), _cell(boxes)])
    note = (
        f"{report['images']} images; precision, recall and F1 of boxes with score >= {point['threshold']:.3g}, where "
        f"{_share(point['escape_rate'])} of {point['defective_images']} defective images are missed and "
        f"{_share(point['overkill_rate'])} of {point['good_images']} good ones rejected"
    )
    return f"{to_text(['class', *HEADERS], rows, [False] + [True] * len(HEADERS))}\n{note}"


def _cell(value: float | int | None) -> str:
    return "-" if value is None else str(value) if isinstance(value, int) else f"{value:.3f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
