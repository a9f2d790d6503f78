"""Studies of classifiers made up for tests: the files that their runs leave, written by the metrics themselves."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from study_factory import add_job

from lightdet.core.types import Classification, Letterbox, Target
from lightdet.draw import classification_files, multi_label_files
from lightdet.metric.classification import ClassificationMetric
from lightdet.metric.contributions import write_contributions
from lightdet.metric.costs import cost_matrix
from lightdet.metric.multi_label import MultiLabelMetric
from lightdet.runs.folder import RunFolder
from lightdet.runs.scores import write_results, write_scores

CLASSES = ("good", "scratch", "dent")
PLACED = Letterbox(1.0, 1.0, 0.0, 0.0, 8, 8)
Images = list[tuple[Any, np.ndarray]]  # label or labels, probabilities (3,)


def one_class(skill: float, seed: int = 0, images: int = 40) -> Images:
    """The same labels every time, some of each class; probabilities are surer of them the greater the skill (0..1)."""
    random = np.random.default_rng(seed)
    labels = np.random.default_rng(7).integers(0, 3, images)
    logits = random.normal(0, 1, (images, 3)) + 4 * skill * np.eye(3)[labels]
    shares = np.exp(logits)
    return list(zip(labels.tolist(), shares / shares.sum(axis=1, keepdims=True), strict=True))


def several_classes(skill: float, seed: int = 0, images: int = 40) -> Images:
    """The same for any number of the three classes."""
    shown = np.random.default_rng(7).random((images, 3)) < 0.4
    logits = np.random.default_rng(seed).normal(0, 1, (images, 3)) + 4 * skill * (shown - 0.5)
    return [
        (tuple(np.flatnonzero(row).tolist()), 1 / (1 + np.exp(-each))) for row, each in zip(shown, logits, strict=True)
    ]


def metric_of(images: Images, costs: dict[str, float] | None = None) -> ClassificationMetric | MultiLabelMetric:
    """The metric of those images, by the kind of their labels; with costs, these decide."""
    several = isinstance(images[0][0], tuple)
    by_cost = ClassificationMetric(CLASSES, cost_matrix(costs, CLASSES), costs is not None, good=0)
    metric = MultiLabelMetric(CLASSES) if several else by_cost
    for number, (label, probabilities) in enumerate(images):
        truth = {"label_set" if several else "class_label": label}
        target = Target(torch.zeros(0, 4), torch.zeros(0), f"val/{number}.png", PLACED, **truth)
        metric.update([Classification(torch.tensor(probabilities))], [target])
    return metric


def add_classifier(
    study: Path, choices: dict[str, str], seed: int, images: Images, costs: dict[str, float] | None = None
) -> RunFolder:
    """One finished run of a row."""
    folder = add_job(study, choices, seed, keep_boxes=False)
    metric = metric_of(images, costs)
    several = isinstance(metric, MultiLabelMetric)
    write_scores(folder, "multi_label_classification" if several else "classification", metric.scores)
    report = metric.compute()
    write_results(folder, {"metrics": report, "classes": list(CLASSES), "epochs": 6})
    write_contributions(folder.path, metric.contributions())
    if isinstance(metric, MultiLabelMetric):
        multi_label_files.write_files(folder.path, report, metric, ())
    else:
        classification_files.write_files(folder.path, report, metric, ())
    return folder
