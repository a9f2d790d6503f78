"""A trained model from an exported file, which is used as a run is."""

from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from lightdet.core.errors import LightdetError
from lightdet.loss.binary_cross_entropy import BinaryCrossEntropy
from lightdet.loss.cross_entropy import CrossEntropy
from lightdet.metric.costs import Costs
from lightdet.model.classifier import Classifier, ImageClassifier
from lightdet.model.contract import Model
from lightdet.model.exported import BOXES, SCORES, ExportedDetector, FileNetwork
from lightdet.model.multi_label_classifier import MultiLabelClassifier
from lightdet.runtime.contract import DETECTION, SEVERAL, ExportContract
from lightdet.runtime.session import Exported

SCORE_THRESHOLD, BATCH = 0.001, 16  # as detectors that are trained here have them


class _LogProbabilities(nn.Module):
    """images (B, C, H, W) 0..1 -> logits whose softmax is what the file gives."""

    def __init__(self, network: FileNetwork, num_classes: int) -> None:
        super().__init__()
        self.network = network
        self.in_channels = network.in_channels
        self.num_classes = num_classes

    def forward(self, images: Tensor) -> Tensor:
        (probabilities,) = self.network(images)
        return probabilities.clamp(min=torch.finfo(torch.float32).tiny).log()


class _LogOdds(_LogProbabilities):
    """images (B, C, H, W) 0..1 -> logits whose sigmoid is what the file gives."""

    def forward(self, images: Tensor) -> Tensor:
        (probabilities,) = self.network(images)
        return probabilities.logit(eps=torch.finfo(torch.float32).eps)


def exported_model(
    path: Path, checkpoint: str, device: str, threads: int | None = None
) -> tuple[Model, ExportContract]:
    """The model behind a file, computed by `threads` (None: the runtime's choice), and the file's contract. Raises
    LightdetError for a damaged file, and for settings that only a run has."""
    if checkpoint != "best":
        raise LightdetError(f"checkpoint={checkpoint}: {path} is an exported file, which has the best one alone")
    if torch.device(device).type != "cpu":
        raise LightdetError(f"device={device}: {path} is an exported file, which runs on the cpu here")
    file = Exported(path, threads)
    contract, output = file.contract, file.contract.content["output"]
    outputs = (BOXES, SCORES) if contract.task == DETECTION else ("probabilities",)
    network = FileNetwork(file.run_outputs, outputs, contract.channels, contract.one_image)
    if contract.task == DETECTION:
        detector = ExportedDetector(network, SCORE_THRESHOLD, float(output["nms_iou"]), int(output["max_detections"]))
        detector.reentrant, detector.runtime = file.engine.reentrant, (file.engine.runtime, file.engine.threads)
        return detector.eval(), contract
    classifier = _classifier(network, contract)
    classifier.reentrant, classifier.takes_pixels = file.engine.reentrant, True
    classifier.runtime = file.engine.runtime, file.engine.threads
    return classifier.eval(), contract


def _classifier(network: FileNetwork, contract: ExportContract) -> ImageClassifier:
    """The classifier whose probabilities a file gives."""
    if contract.task == SEVERAL:
        return MultiLabelClassifier(_LogOdds(network, len(contract.classes)), BinaryCrossEntropy())
    names = contract.classes
    costs: Costs = {true: dict(zip(names, row, strict=True)) for true, row in zip(names, contract.costs, strict=True)}
    decision = "cheapest" if contract.by_cost else "probable"
    logits = _LogProbabilities(network, len(names))
    return Classifier(logits, CrossEntropy(), costs, decision, contract.good)


def settings(contract: ExportContract) -> DictConfig:
    """What a run's configuration says of its input; a dataset is not there."""
    data = {"bits": contract.bits, "channels": contract.channels, "image_size": contract.image_size}
    tree = {"image_size": contract.image_size, "channels": contract.channels, "seed": 0, "classes": contract.classes}
    batch = 1 if contract.one_image else BATCH
    return OmegaConf.create(
        {**tree, "num_classes": len(contract.classes), "model": {}, "data": {**data, "seed": 0, "batch_size": batch}}
    )
