"""Structured pruning: whole channels go, together with everything that computes or reads them.

Which channels belong together is found by torch-pruning from the graph of one pass (Fang et al. 2023, DepGraph, arXiv
2301.12900). Single weights that are set to zero, and patterns such as two of four, are left out: no runtime for the CPU
of an industrial PC is faster with them.
"""

import copy
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from lightdet.compress.channels import Channels
from lightdet.compress.contract import Compression
from lightdet.core.errors import LightdetError, demand_share
from lightdet.core.types import Batch
from lightdet.metric.footprint import footprint
from lightdet.model.contract import Model
from lightdet.nn.inputs import blank_image
from lightdet.nn.mode import in_mode
from lightdet.nn.widths import changed_widths, narrow, widths_of
from lightdet.ops.grid import ImageSize

IMPORTANCES = ("magnitude", "batchnorm", "taylor")
SCOPES = ("global", "uniform")
HALVINGS = 8  # of the interval in which the share of channels lies


class Prune(Compression):
    """Prunes a network to a share of its FLOPs or parameters.

    flops: share that is left, 0..1; 1: nothing is removed. parameters: share (at most 1) or number that is left. One of
    the two. importance: `magnitude`, the weights of a group of channels, squared (L2); `batchnorm`, the scale behind
    them (Liu et al. 2017, arXiv 1708.06519; without its training for sparse scales); `taylor`, the change of the loss,
    to first order, over `images` training images (Molchanov et al. 2019, arXiv 1906.10771). scope: `global` compares
    groups of all layers; `uniform` takes the same share of each. keep: least share of its channels that a layer keeps.

    Layers that give the network's outputs, and those of at most `round_to` channels, keep theirs. Raises LightdetError
    for values that are none of these.
    """

    def __init__(
        self,
        importance: str = "magnitude",
        scope: str = "global",
        flops: float | None = None,
        parameters: float | None = None,
        round_to: int = 8,
        keep: float = 0.1,
        images: int = 64,
    ) -> None:
        for name, value, values in (("importance", importance, IMPORTANCES), ("scope", scope, SCOPES)):
            if value not in values:
                raise LightdetError(f"compress.{name}={value}: one of {', '.join(values)}")
        if (flops is None) == (parameters is None):
            raise LightdetError("compress=prune: how much is left? compress.flops=0.5 or compress.parameters=500000")
        if flops is not None and not 0 < flops <= 1:
            raise LightdetError(f"compress.flops={flops}: give a number above 0, at most 1")
        if parameters is not None and not parameters > 0:
            raise LightdetError(f"compress.parameters={parameters}: a share, or a number of parameters, above 0")
        demand_share("compress.keep", keep)
        self.importance, self.scope = importance, scope
        self.flops, self.parameters = flops, parameters
        self.round_to, self.keep, self.images = round_to, keep, images

    def compress(self, model: Model, image_size: ImageSize, batches: Iterable[Batch]) -> str:
        """Removes channels until the target is reached. Raises LightdetError for a network whose channels cannot be
        told apart, for a target that cannot be reached with `keep`, and without torch-pruning."""
        network = model.network
        before, widths = footprint(network, image_size), widths_of(network)
        if self.importance == "taylor" and self.flops != 1.0:
            self._take_gradients(model, batches)
        with in_mode(False, model), _quiet():
            after = self._prune(network, image_size, before)
        model.zero_grad(set_to_none=True)
        removed = changed_widths(network, widths)
        said = ", ".join(
            f"{before[key] / scale:.3g} to {after[key] / scale:.3g} {unit}"
            for key, scale, unit in (("macs", 5e8, "GFLOPs"), ("parameters", 1e6, "M parameters"))
        )
        return f"{said}; {len(removed)} of {len(widths)} layers narrower, by {self.importance}, {self.scope}"

    def _prune(self, network: nn.Module, image_size: ImageSize, before: Mapping[str, Any]) -> Mapping[str, Any]:
        """Halves the interval of the share of channels that is removed, until it is known finely enough."""
        if self._reached(before, before):
            return before
        channels = Channels(network, blank_image(network, image_size), self.importance, self.round_to)
        low, high = 0.0, 1.0 - self.keep
        least = self._tried(network, channels, high, image_size)
        if not self._reached(least, before):
            raise LightdetError(
                f"compress=prune: with compress.keep={self.keep:g} {least['macs'] / before['macs']:.2f} of the FLOPs "
                f"and {least['parameters']:,} parameters are left; lower compress.keep, or start from a smaller model"
            )
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            reached = self._reached(self._tried(network, channels, middle, image_size), before)
            low, high = (low, middle) if reached else (middle, high)
        channels.remove(channels.chosen(high, self.scope, self.keep))
        return footprint(network, image_size)

    def _tried(self, network: nn.Module, channels: Channels, share: float, image_size: ImageSize) -> Mapping[str, Any]:
        """The footprint of a copy with the widths that are left. Raises LightdetError for one that cannot compute."""
        narrower = copy.deepcopy(network)
        narrow(narrower, channels.widths_without(network, channels.chosen(share, self.scope, self.keep)))
        try:
            return footprint(narrower, image_size)
        except Exception as error:  # of any kind: the network computes with channels in its own way
            reason = " ".join(str(error).split())[:160]
            raise LightdetError(
                "compress=prune: this network cannot be pruned, for a part of it depends on its number of channels "
                f"({type(error).__name__}: {reason})"
            ) from error

    def _reached(self, now: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
        if self.flops is not None:
            return bool(now["macs"] <= self.flops * before["macs"])
        assert self.parameters is not None
        most = self.parameters * before["parameters"] if self.parameters <= 1 else self.parameters
        return bool(now["parameters"] <= most)

    def _take_gradients(self, model: Model, batches: Iterable[Batch]) -> None:
        """Adds up the gradients of the loss; statistics of BatchNorm do not move."""
        taken = 0
        with in_mode(False, model):
            for batch in batches:
                losses = model.losses(batch.images, batch.targets)
                torch.stack(tuple(losses.values())).sum().backward()
                taken += len(batch.targets)
                if taken >= self.images:
                    break
        bad = [
            name for name, each in model.named_parameters() if each.grad is not None and not each.grad.isfinite().all()
        ]
        if bad or not taken:
            raise LightdetError("compress.importance=taylor: the loss of the given weights has no finite gradient")


@contextmanager
def _quiet() -> Iterator[None]:
    """torch-pruning advises on parameters outside of layers; scales of fusions are numbers, and stay."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
