"""The contract between models of any task and everything that trains, evaluates, explains or runs them."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from lightdet.core.errors import LightdetError
from lightdet.core.types import Batch, Subject, Target, TrainingStats
from lightdet.metric.contract import Metric
from lightdet.nn.capture import captured


class Model(nn.Module, ABC):
    """Images in, losses or predictions out; neither depends on `self.training`.

    task: name of the task, in `results.json` and `scores.json`.
    annotation: kind of annotation, a class of `lightdet.core.annotation`, that training and metric need; None: none.
    result: the class of the result per image in the Python API, as module:class (`lightdet.engine.result.Result`).
    network: the part that turns images into raw outputs: what is counted, timed and exported.
    takes_pixels: whether `predict` takes images (B, C, H, W) uint8 as well, which saves their conversion.
    reentrant: whether several threads may call `predict` at once.
    runtime: name of what computes the network, and by how many threads; None: torch, by those that it is set to.
    """

    task: str
    annotation: type | None = None
    result: str = "lightdet.engine.result:Result"
    network: nn.Module
    takes_pixels: bool = False
    reentrant: bool = False
    runtime: tuple[str, int | None] | None = None

    @abstractmethod
    def losses(self, images: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        """images (B, C, H, W) 0..1, targets in input px -> named scalar terms whose sum is the objective."""

    @abstractmethod
    def predict(self, images: Tensor) -> list[Any]:
        """images (B, C, H, W) 0..1 -> B predictions of the task, in input px where they have a place in the image."""

    @abstractmethod
    def metric(self, classes: Sequence[str]) -> Metric:
        """A new metric for the model's predictions, which declares the scores of the task."""

    def prepare(self, stats: TrainingStats) -> str:
        """Adapts what may depend on the training set, before training; returns what was done, in words, or ""."""
        return ""

    def finish(self, batches: Iterable[Batch], seed: int) -> str:
        """Fits what gradients do not train, after the training; returns what was done, in words, or "".

        The model has its best weights; `batches` hold every training image once, not augmented, on the model's device.
        The same for the same weights, images and `seed`, also where it was called before: a training that is killed
        afterwards calls it again.
        """
        return ""

    def set_progress(self, progress: float) -> None:
        """Called before each training step with the fraction of epochs completed, 0 <= progress < 1.

        For losses that change during training. What follows depends on `progress` alone and not on earlier calls, so
        that a resumed training does the same.
        """

    def notes(self) -> dict[str, str]:
        """Further lines, by a title of one word, for what is printed before a training."""
        return {}

    def layers(self) -> tuple[str, ...]:
        """Names of submodules of `network` whose outputs explanation and distillation may capture."""
        return ()

    def explained(self) -> tuple[str, ...]:
        """Names of submodules of `network` in whose maps an explanation looks for the reason, unless others are named.

        Of several maps those of one scale each, so that their explanations can be added.
        """
        return ()

    def evidence(self, images: Tensor, subject: Subject) -> Tensor:
        """images (1, C, H, W) 0..1 -> the logit of the subject, a scalar with a graph back to the images.

        Raises LightdetError for a model without such a path: `support` explains it from outside.
        """
        raise LightdetError(
            f"{type(self).__name__} gives no logit that can be differentiated for what it predicts; take --method rise,"
            " which asks it for nothing but predictions"
        )

    def support(self, prediction: Any, subject: Subject) -> float:
        """How far a prediction, one of `predict`, holds the subject to be there: 0..1.

        Raises LightdetError for a model that does not say.
        """
        raise LightdetError(f"{type(self).__name__} cannot be explained: implement its `support`")

    def guesses(self, images: Tensor, subject: Subject) -> Tensor | None:
        """images (1, C, H, W) 0..1 -> (classes,) how sure the model is of each class in the place of the subject, 0..1.

        None, the default: the model does not say.
        """
        return None

    def maps(self, images: Tensor) -> dict[str, Tensor]:
        """images (B, C, H, W) 0..1 -> outputs of `layers`, in the order in which they are computed.

        A layer with several outputs has them numbered: "neck.0", "neck.1". Runs in the mode the model is in.
        """
        with captured(self.network, self.layers()) as outputs:
            self.network(images)
        return outputs

    def embed(self, images: Tensor) -> Tensor:
        """images (B, C, H, W) 0..1 -> (B, D): the coarsest feature map of `maps`, averaged over its positions.

        Raises LightdetError for a model that names no layer with such a map.
        """
        features = [output for output in self.maps(images).values() if output.ndim == 4]
        if not features:
            raise LightdetError(f"{type(self).__name__} has no layer with a feature map; implement its `layers`")
        return min(features, key=lambda output: output.shape[-2] * output.shape[-1]).mean(dim=(-2, -1))
