"""Fine-tuning for int8: the training sees what rounding to 8 bits does, and learns weights that stand it.

Jacob et al. 2018, arXiv 1712.05877. What is rounded is what `lightdet export --precision int8` rounds: the weights of
each convolution, with a scale for each output channel, and its input, with one for the whole tensor. Gradients pass the
rounding as if it were not there, and are 0 outside of the range (Bengio et al. 2013, arXiv 1308.3432).
Differs: BatchNorm keeps its statistics and is not folded, for a factor of a channel changes the scale of its weights
and not which steps they take; outputs in front of an activation, which onnxruntime rounds as well, are not.
"""

from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from lightdet.core.errors import LightdetError, demand_whole
from lightdet.ops.steps import LEAST_SCALE, steps

OWN = "_conv_forward"  # of Conv2d: (images, weight, bias) -> maps


class Quantized(Callback):
    """Rounds convolutions while a model is trained and validated; the weights stay float32, and what is saved is an
    ordinary run. Add it to a training that starts from a trained model: callback=quantized weights=RUN.

    observed_batches: in the first ones the inputs are not rounded, and their least and largest values are kept; these
    ranges are then fixed. weight_bits: 8 or 7. Raises LightdetError for other numbers, for several processes, each of
    which would see other ranges, and for a network whose convolutions compute in another way.
    """

    def __init__(self, observed_batches: int = 50, weight_bits: int = 8) -> None:
        demand_whole("callback.quantized.observed_batches", observed_batches, 1)
        demand_whole("callback.quantized.weight_bits", weight_bits, 7, 8)
        self.observed_batches = observed_batches
        self.most = 2 ** (weight_bits - 1) - 1
        self.ranges: dict[str, list[float]] = {}  # least and largest input of a convolution, by its name
        self.seen = 0  # batches
        self._rounded: list[_Rounded] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.world_size > 1:
            raise LightdetError("callback=quantized: ranges are observed in one process; set trainer.devices=1")
        for name, module in pl_module.named_modules():
            if isinstance(module, nn.Conv2d) and name.startswith("model.network."):
                plain = type(module).forward is nn.Conv2d.forward
                if not plain or getattr(type(module), OWN) is not getattr(nn.Conv2d, OWN):
                    kind = type(module).__name__
                    raise LightdetError(f"callback=quantized: {kind} of this network is no plain convolution: no int8")
                self._rounded.append(_Rounded(module, self.ranges.setdefault(name, [0.0, 0.0]), self.most))

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        for module in pl_module.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        for each in self._rounded:
            each.observes = self.seen < self.observed_batches
            each.rounds = not each.observes
        self.seen += 1

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for each in self._rounded:
            each.observes = False

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        while self._rounded:
            self._rounded.pop().undo()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.on_fit_end(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        return {"ranges": self.ranges, "seen": self.seen}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.ranges, self.seen = state_dict["ranges"], state_dict["seen"]


class _Rounded:
    """A convolution that computes with rounded weights and, once `rounds`, with a rounded input. range_: least and
    largest value of the input; widened while it `observes`."""

    def __init__(self, module: nn.Conv2d, range_: list[float], most: int) -> None:
        self.module, self.range_, self.most = module, range_, most
        self.observes, self.rounds = False, False
        self._compute = module._conv_forward
        setattr(module, OWN, self)

    def __call__(self, images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.observes:
            low, high = (float(value) for value in images.detach().aminmax())
            self.range_[:] = min(self.range_[0], low), max(self.range_[1], high)
        if self.rounds:
            scale, zero = steps(self.range_[0], self.range_[1])
            images = torch.fake_quantize_per_tensor_affine(images.float(), scale, zero, 0, 255).to(images.dtype)
        scales = (weight.detach().float().abs().amax((1, 2, 3)) / self.most).clamp(min=LEAST_SCALE)
        whole = torch.fake_quantize_per_channel_affine(
            weight.float(), scales, torch.zeros_like(scales, dtype=torch.int32), 0, -self.most, self.most
        )
        return self._compute(images, whole.to(weight.dtype), bias)

    def undo(self) -> None:
        delattr(self.module, OWN)
