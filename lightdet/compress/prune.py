"""Structured pruning: whole channels go, together with everything that computes or reads them.

Which channels belong together is found by torch-pruning from the graph of one pass (Fang et al. 2023, DepGraph, arXiv
2301.12900). Single weights that are set to zero, and patterns such as two of four, are left out: no runtime for the CPU
of an industrial PC is faster with them.
"""

import copy
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from lightdet.compress.channels import Channels
from lightdet.compress.contract import Compressed, Compression
from lightdet.compress.latency import Stopwatch
from lightdet.config.settings import HOW_MUCH
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


@dataclass(frozen=True, slots=True)
class Cut:
    """A network with fewer channels. removed: share of the channels that were asked to go. latency: share of the whole
    network's time; None: not measured."""

    removed: float
    macs: int
    parameters: int
    latency: float | None = None


class Prune(Compression):
    """Prunes a network to a share of its FLOPs, parameters or latency.

    flops: share that is left, 0..1; 1: nothing is removed. parameters: share (at most 1) or number that is left.
    latency: share of the time of one image that is left, 0..1, as `Stopwatch` measures it on this machine. One of the
    three. importance: `magnitude`, the weights of a group of channels, squared (L2); `batchnorm`, the scale behind
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
        latency: float | None = None,
        round_to: int = 8,
        keep: float = 0.1,
        images: int = 64,
    ) -> None:
        for name, value, values in (("importance", importance, IMPORTANCES), ("scope", scope, SCOPES)):
            if value not in values:
                raise LightdetError(f"compress.{name}={value}: one of {', '.join(values)}")
        if [flops, parameters, latency].count(None) != 2:
            raise LightdetError(HOW_MUCH)
        for name, share in (("flops", flops), ("latency", latency)):
            if share is not None and not 0 < share <= 1:
                raise LightdetError(f"compress.{name}={share}: give a number above 0, at most 1")
        if parameters is not None and not parameters > 0:
            raise LightdetError(f"compress.parameters={parameters}: a share, or a number of parameters, above 0")
        demand_share("compress.keep", keep)
        self.importance, self.scope = importance, scope
        self.flops, self.parameters, self.latency = flops, parameters, latency
        self.round_to, self.keep, self.images = round_to, keep, images

    def compress(
        self, model: Model, image_size: ImageSize, batches: Iterable[Batch], known: Mapping[str, Any]
    ) -> Compressed:
        """Removes channels until the target is reached. Raises LightdetError for a network whose channels cannot be
        told apart, for a target that cannot be reached with `keep`, for damaged facts, and without torch-pruning."""
        network = model.network
        before, widths = _cut(network, image_size), widths_of(network)
        if self.importance == "taylor" and self.flops != 1.0:
            self._take_gradients(model, batches)
        with in_mode(False, model), _quiet():
            facts = dict(known) or self._searched(network, image_size, before)
            self._remove(network, image_size, facts.get("removed"))
        model.zero_grad(set_to_none=True)
        after, removed = _cut(network, image_size), changed_widths(network, widths)
        said = ", ".join(
            f"{old / scale:.3g} to {new / scale:.3g} {unit}"
            for old, new, scale, unit in (
                (before.macs, after.macs, 5e8, "GFLOPs"),
                (before.parameters, after.parameters, 1e6, "M parameters"),
            )
        )
        if facts.get("latency") is not None:
            said += f", {facts['latency']:.2f} of the time in {facts['runtime']}"
        told = f"{said}; {len(removed)} of {len(widths)} layers narrower, by {self.importance}, {self.scope}"
        return Compressed(told, facts)

    def _remove(self, network: nn.Module, image_size: ImageSize, share: Any) -> None:
        if type(share) not in (int, float) or not 0 <= share <= 1:
            raise LightdetError(f"compress=prune: {share} is no share of channels; the file that keeps it is damaged")
        if share:
            channels = self._channels(network, image_size)
            channels.remove(channels.chosen(share, self.scope, self.keep))

    def _channels(self, network: nn.Module, image_size: ImageSize) -> Channels:
        return Channels(network, blank_image(network, image_size), self.importance, self.round_to)

    def _searched(self, network: nn.Module, image_size: ImageSize, before: Cut) -> dict[str, Any]:
        """Halves the interval of the share of channels that is removed, until it is known finely enough; what is to be
        done then, and what was measured."""
        if self._reached(replace(before, latency=1.0), before):
            return {"removed": 0.0}
        channels = self._channels(network, image_size)
        stopwatch = Stopwatch(network, image_size) if self.latency is not None else None
        low, high = 0.0, 1.0 - self.keep
        best = self._tried(network, channels, high, image_size, stopwatch)
        tried = [best]
        if not self._reached(best, before):
            time = "" if best.latency is None else f", {best.latency:.2f} of the time"
            raise LightdetError(
                f"compress=prune: with compress.keep={self.keep:g} {best.macs / before.macs:.2f} of the FLOPs, "
                f"{best.parameters:,} parameters{time} are left; lower compress.keep, or start from a smaller model"
            )
        for _ in range(HALVINGS):
            tried.append(self._tried(network, channels, (low + high) / 2, image_size, stopwatch))
            if self._reached(tried[-1], before):
                best, high = tried[-1], tried[-1].removed
            else:
                low = tried[-1].removed
        if stopwatch is None:
            return {"removed": best.removed}
        measured = [{"removed": each.removed, "latency": each.latency} for each in tried]
        return {"removed": best.removed, "latency": best.latency, "runtime": stopwatch.runtime, "tried": measured}

    def _tried(
        self, network: nn.Module, channels: Channels, share: float, image_size: ImageSize, stopwatch: Stopwatch | None
    ) -> Cut:
        """What a copy with the widths that are left costs. Raises LightdetError for one that cannot compute."""
        narrower = copy.deepcopy(network)
        narrow(narrower, channels.widths_without(network, channels.chosen(share, self.scope, self.keep)))
        try:
            cut = _cut(narrower, image_size, share)
        except Exception as error:  # of any kind: the network computes with channels in its own way
            reason = " ".join(str(error).split())[:160]
            raise LightdetError(
                "compress=prune: this network cannot be pruned, for a part of it depends on its number of channels "
                f"({type(error).__name__}: {reason})"
            ) from error
        return cut if stopwatch is None else replace(cut, latency=stopwatch.share(narrower))

    def _reached(self, now: Cut, before: Cut) -> bool:
        if self.flops is not None:
            return now.macs <= self.flops * before.macs
        if self.parameters is not None:
            most = self.parameters * before.parameters if self.parameters <= 1 else self.parameters
            return now.parameters <= most
        assert self.latency is not None and now.latency is not None
        return now.latency <= self.latency

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


def _cut(network: nn.Module, image_size: ImageSize, removed: float = 0.0) -> Cut:
    cost = footprint(network, image_size)
    return Cut(removed, cost["macs"], cost["parameters"])


@contextmanager
def _quiet() -> Iterator[None]:
    """torch-pruning advises on parameters outside of layers; scales of fusions are numbers, and stay."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
