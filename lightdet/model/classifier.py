"""Image classifiers: a backbone, an attention, a pooled map and a readout; and the model around them."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from lightdet.core.annotation import ClassLabel
from lightdet.core.errors import LightdetError
from lightdet.core.types import Batch, Classification, Subject, Target, TrainingStats
from lightdet.loss.binary_cross_entropy import BinaryCrossEntropy
from lightdet.loss.class_weighted import ClassWeighted
from lightdet.metric.classification_scores import TASK
from lightdet.metric.contract import Metric
from lightdet.metric.costs import Costs, cost_matrix
from lightdet.model.contract import Model
from lightdet.model.trained_classes import TrainedClasses
from lightdet.nn.contracts import Backbone
from lightdet.nn.mode import in_mode
from lightdet.nn.pooling import MeanPooling, Pooling
from lightdet.readout.contract import Readout, require_sklearn

DECISIONS = ("probable", "cheapest")
ADJUSTMENTS = ("none", "balanced")


class ClassifierNetwork(nn.Module):
    """images (B, in_channels, H, W) -> logits (B, num_classes).

    The last map of the backbone passes `attention(channels)`, is averaged over its places, or pooled by
    `pooling(channels)` to vectors of its `.channels`, and a linear layer follows; in its place `readout(features,
    num_classes)`, as soon as that is fitted. With `every_map` the finer maps are pooled as well, each in the same way.
    `head` names the grids where an attention is placed in a detector; a classifier has one place, so it is "all", or
    "none" without attention. `dropout`: of what is pooled, in training. Raises LightdetError for another `head`.
    """

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        attention: Callable[[int], nn.Module] | None = None,
        head: str = "none",
        dropout: float = 0.0,
        pooling: Callable[[int], Pooling] | None = None,
        readout: Callable[[int, int], Readout] | None = None,
        every_map: bool = False,
    ) -> None:
        super().__init__()
        if attention is not None and head != "all":
            raise LightdetError(
                f"head={head}: a classifier has one attention, in front of its pooling: head=all; backbone=attended "
                "places one behind the stages"
            )
        self.backbone = backbone
        self.in_channels, self.num_classes = backbone.in_channels, num_classes
        channels = backbone.channels[-1]
        self.attention = nn.Identity() if attention is None else attention(channels)
        pool = MeanPooling if pooling is None else pooling
        self.pooling: Pooling = pool(channels)
        self.finer = nn.ModuleList(pool(finer) for finer in backbone.channels[:-1] if every_map)
        self.dropout = nn.Dropout(dropout)
        width = sum(each.channels for each in (*self.finer, self.pooling))
        self.linear = nn.Linear(width, num_classes)
        self.readout = None if readout is None else readout(width, num_classes)

    def features(self, images: Tensor) -> Tensor:
        """images -> (B, C, h, w), the map in front of the pooling."""
        return self.attention(self.backbone(images)[-1])

    def pooled(self, images: Tensor) -> Tensor:
        """images -> (B, D): the map, with `every_map` behind the finer ones, as one vector."""
        *finer, last = self.backbone(images)
        vectors = [pool(each) for pool, each in zip(self.finer, finer, strict=False)]
        return torch.cat([*vectors, self.pooling(self.attention(last))], dim=1)

    def forward(self, images: Tensor) -> Tensor:
        vectors = self.pooled(images)
        if self.readout is not None and self.readout.fitted:
            return self.readout(vectors)
        return self.linear(self.dropout(vectors))


class ImageClassifier(Model):
    """What classifiers share, whether an image has one class or several."""

    network: nn.Module

    def __init__(self, network: nn.Module, criterion: ClassWeighted) -> None:
        super().__init__()
        self.network = network
        self.criterion = criterion

    @abstractmethod
    def probabilities(self, logits: Tensor) -> Tensor:
        """Logits of the network (B, C) float32 -> the probabilities that are predicted (B, C)."""

    def predict(self, images: Tensor) -> list[Classification]:
        return [Classification(row) for row in self.probabilities(self.network(images).float())]

    def prepare(self, stats: TrainingStats) -> str:
        return self.criterion.prepare(stats, next(self.network.parameters()))

    def notes(self) -> dict[str, str]:
        attention = getattr(self.network, "attention", None)
        placed = isinstance(attention, nn.Module) and not isinstance(attention, nn.Identity)
        places = self.network.backbone.placement() if isinstance(self.network, ClassifierNetwork) else []
        if placed:
            places = [*places, f"{type(attention).__name__} in front of the pooling"]
        lines = {"attention": ", ".join(places) or "none"}
        readout = readout_of(self.network)
        return lines if readout is None else {**lines, "readout": f"{type(readout).__name__}, fitted at the end"}

    def layers(self) -> tuple[str, ...]:
        return ("attention",)

    def explained(self) -> tuple[str, ...]:
        return ("attention",)

    def evidence(self, images: Tensor, subject: Subject) -> Tensor:
        readout = readout_of(self.network)
        if readout is not None and readout.fitted and not readout.differentiable:
            return super().evidence(images, subject)
        return self.network(images)[0, subject.label]

    def support(self, prediction: Classification, subject: Subject) -> float:
        """The probability of the class."""
        return float(prediction.probabilities[subject.label])


class Classifier(ImageClassifier):
    """A network of class logits behind the model contract: one class for an image.

    `costs`: see `cost_matrix`. `decision`: the "probable" class, or the "cheapest" by the expected cost. `adjust`:
    "balanced" makes the predicted probabilities those of equally frequent classes, p_c / N_c normalised; the training
    is the same. `good`: the name of the class of sound parts, where there is one.

    After a training with weighted classes the outputs are no probabilities. A decision by cost divides the weights out
    again, p_c / w_c normalised, so that costs alone correct. Raises LightdetError for two corrections at once, which
    would favour the rare class twice: `adjust` after weighted classes, or with a decision by cost, and either of them
    with a readout that weighs classes.
    """

    task = TASK
    annotation = ClassLabel
    result = "lightdet.engine.classification_result:ClassificationResult"

    def __init__(
        self,
        network: nn.Module,
        criterion: ClassWeighted,
        costs: Costs | None = None,
        decision: str = "probable",
        good: str = "good",
        adjust: str = "none",
    ) -> None:
        super().__init__(network, criterion)
        if isinstance(criterion, BinaryCrossEntropy):
            raise LightdetError(
                "labels=several: this model gives an image one class; take another model, or labels=one"
            )
        if decision not in DECISIONS:
            raise LightdetError(f"model.decision={decision}: one of {', '.join(DECISIONS)}")
        if adjust not in ADJUSTMENTS:
            raise LightdetError(f"model.adjust={adjust}: one of {', '.join(ADJUSTMENTS)}")
        readout = readout_of(network)
        if readout is not None and readout.class_weight is not None and (adjust != "none" or decision == "cheapest"):
            raise LightdetError(
                "model.network.readout.class_weight=balanced: such a readout favours rare classes already, and "
                f"model.adjust={adjust} model.decision={decision} would favour them twice; take "
                "model.network.readout.class_weight=null, or none and probable"
            )
        if adjust != "none" and readout is None and criterion.weigh_classes is not None:
            raise LightdetError(
                f"model.adjust={adjust}: this model is trained with class weights, so its outputs favour rare classes "
                "already and would twice; take loss/class_weights=none or model.adjust=none"
            )
        if adjust != "none" and decision == "cheapest":
            raise LightdetError(
                f"model.adjust={adjust}: model.decision=cheapest weighs costs against probabilities, and adjusted "
                "outputs favour rare classes already; take model.adjust=none or model.decision=probable"
            )
        self.costs = costs
        self.decision = decision
        self.good = good
        self.adjust = adjust
        self.trained_classes = TrainedClasses(_num_classes(network))

    def losses(self, images: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        labels = torch.tensor([target.class_label for target in targets], device=images.device)
        return {"class": self.criterion(self.network(images), labels)}

    def probabilities(self, logits: Tensor) -> Tensor:
        return self._corrected(logits).softmax(dim=1)

    @property
    def readout(self) -> Readout | None:
        return readout_of(self.network)

    def _corrected(self, logits: Tensor) -> Tensor:
        if self.adjust == "balanced":
            return logits + self.trained_classes.for_equal_classes()
        weighed = self.readout is None and self.criterion.weigh_classes is not None  # a readout has weights of its own
        if self.decision == "cheapest" and weighed:
            return logits + self.trained_classes.without_weights()
        return logits

    def metric(self, classes: Sequence[str]) -> Metric:
        from lightdet.metric.classification import ClassificationMetric  # slow to import: not where nothing is measured

        good = list(classes).index(self.good) if self.good in classes else None
        return ClassificationMetric(classes, cost_matrix(self.costs, classes), self.decision == "cheapest", good)

    def prepare(self, stats: TrainingStats) -> str:
        if self.readout is not None:
            require_sklearn()
            if int((stats.class_counts > 0).sum()) < 2:  # or its fit would fail, when everything else is trained
                raise LightdetError("readout: all training images are of one class; it separates two at least")
            self.readout.forget()  # weights of another run may have brought one
        said = super().prepare(stats)
        self.trained_classes.keep(stats.class_counts, self.criterion.weights)
        return said

    def finish(self, batches: Iterable[Batch], seed: int) -> str:
        """Fits the readout, where the network has one, to the pooled maps of the training images."""
        network, readout = self.network, self.readout
        if readout is None or not isinstance(network, ClassifierNetwork):
            return ""
        vectors, labels = [], []
        with in_mode(False, self), torch.no_grad():
            for batch in batches:
                vectors.append(network.pooled(batch.images).cpu())
                labels += [target.class_label for target in batch.targets]
            return readout.fit(torch.cat(vectors), torch.tensor(labels), seed)


def _num_classes(network: nn.Module) -> int:
    count = getattr(network, "num_classes", None)
    if not isinstance(count, int):
        raise LightdetError(
            f"model.network: {type(network).__name__} does not say its num_classes, the logits it gives"
        )
    return count


def readout_of(network: nn.Module) -> Readout | None:
    """What answers in place of a network's linear layer, as soon as it is fitted."""
    return network.readout if isinstance(network, ClassifierNetwork) else None
