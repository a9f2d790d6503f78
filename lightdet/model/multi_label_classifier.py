"""Image classifiers that give an image any number of classes, or none."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lightdet.core.annotation import LabelSet
from lightdet.core.errors import LightdetError
from lightdet.core.types import Target
from lightdet.loss.binary_cross_entropy import BinaryCrossEntropy
from lightdet.metric.contract import Metric
from lightdet.metric.multi_label_scores import TASK
from lightdet.model.classifier import ImageClassifier, readout_of


class MultiLabelClassifier(ImageClassifier):
    """A network of class logits, each of which is a yes or a no, behind the model contract.

    The probability of a class is the sigmoid of its logit, whatever those of the others are. Raises LightdetError for a
    network with a readout, which gives an image one class.
    """

    task = TASK
    annotation = LabelSet
    result = "lightdet.engine.multi_label_result:MultiLabelResult"

    def __init__(self, network: nn.Module, criterion: BinaryCrossEntropy) -> None:
        if readout_of(network) is not None:
            raise LightdetError(
                "labels=several: a readout gives an image one class; take readout=linear, or labels=one"
            )
        super().__init__(network, criterion)

    def losses(self, images: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        logits = self.network(images)
        return {"class": self.criterion(logits, shown(targets, logits))}

    def probabilities(self, logits: Tensor) -> Tensor:
        return logits.sigmoid()

    def metric(self, classes: Sequence[str]) -> Metric:
        from lightdet.metric.multi_label import MultiLabelMetric  # slow to import: not where nothing is measured

        return MultiLabelMetric(classes)


def shown(targets: Sequence[Target], logits: Tensor) -> Tensor:
    """(B, C) like the logits: 1 where an image has a class."""
    found = torch.zeros_like(logits)
    for row, target in zip(found, targets, strict=True):
        row[list(target.label_set or ())] = 1
    return found
