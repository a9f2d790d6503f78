"""Points of a score that a file loses against the model, overall and by the class that loses most."""

from collections.abc import Mapping
from typing import Any

from lightdet.export.budget import Budget
from lightdet.export.verdict import Check
from lightdet.metric.contract import Metric


def compare(model: Metric, file: Metric, split: str, images: int, budget: Budget) -> list[Check]:
    """The primary score of both on the same images of a split: of all and, where it has classes, of each."""
    primary = next(score for score in model.scores if score.primary)
    expected, found = (metric.compute(full=False) for metric in (model, file))
    lost = 100 * ((expected[primary.key] or 0.0) - (found[primary.key] or 0.0))
    checks = [
        Check(
            f"{primary.title}, {split}",
            lost <= budget.overall,
            f"{found[primary.key]:.4f}, model {expected[primary.key]:.4f}",
            f"{budget.overall:g} points lost",
            "",
            {"file": found[primary.key], "model": expected[primary.key], "images": images},
        )
    ]
    worst = _worst_class(expected.get("per_class") or {}, found.get("per_class") or {})
    if worst is not None:
        name, key, points = worst
        checks.append(
            Check(
                f"worst class, {split}",
                points <= budget.worst_class,
                f"{points:.2f} points of {key} lost by {name}",
                f"{budget.worst_class:g} points lost",
                name,
                {"class": name, "score": key, "points": points},
            )
        )
    return checks


def suspects(precision: object) -> str:
    """What a contract's `precision` tells of the layers that lose most, for the message of a file that failed."""
    found = precision.get("effects") if isinstance(precision, Mapping) else None
    return "; ".join(f"layer {each['layer']} loses most ({each['class']})" for each in (found or [])[:2])


def _worst_class(
    expected: Mapping[str, Mapping[str, Any]], found: Mapping[str, Mapping[str, Any]]
) -> tuple[str, str, float] | None:
    """The class that loses most: its name, the key of the score and the points (0.01)."""
    lost = [
        (name, key, 100 * (value - (found[name].get(key) or 0.0)))
        for name, numbers in expected.items()
        for key, value in numbers.items()
        if isinstance(value, float)
    ]
    return max(lost, key=lambda each: each[2], default=None)
